"""Element by element."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shrink(x: Tensor, bias: float, bound: float) -> Tensor:
    """x + bias below -bound, x - bias above bound, 0 between."""
    zero = torch.zeros_like(x)
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, zero)).to(x.dtype)


def round_half_even(x: float) -> int:
    """The nearest whole number of x >= 0, a half going to the even one, by arithmetic that torch.export knows."""
    is_even = 1 - torch.sym_int(x) % 2
    result: int = torch.sym_int(x + 0.5 - 1e-9 * is_even)
    return result


def hardmax(x: Tensor, dim: int) -> Tensor:
    """1 at the first largest element along `dim`, 0 elsewhere."""
    size = x.shape[dim]
    return F.one_hot(x.argmax(dim), size).movedim(-1, dim).to(x.dtype)
