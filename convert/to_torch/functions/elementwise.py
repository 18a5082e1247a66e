"""Element by element."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shrink(x: Tensor, bias: float, bound: float) -> Tensor:
    """x + bias below -bound, x - bias above bound, 0 between."""
    zero = torch.zeros_like(x)
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, zero)).to(x.dtype)


def hardmax(x: Tensor, dim: int) -> Tensor:
    """1 at the first largest element along `dim`, 0 elsewhere."""
    size = x.shape[dim]
    return F.one_hot(x.argmax(dim), size).movedim(-1, dim).to(x.dtype)
