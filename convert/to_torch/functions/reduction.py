"""Reductions that PyTorch words differently."""

from __future__ import annotations

import torch
from torch import Tensor


def prod(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    """The product along several axes (PyTorch's takes one); along all where `axes` is empty."""
    result = x
    for axis in sorted((axis % x.ndim for axis in axes or range(x.ndim)), reverse=True):
        result = result.prod(axis, keepdim=keepdim, dtype=x.dtype)
    return result


def extreme(x: Tensor, axes: tuple[int, ...], keepdim: bool, largest: bool) -> Tensor:
    """The largest or smallest along `axes`; of nothing, the smallest or largest number there is."""
    if x.dtype.is_floating_point:
        empty = float("-inf") if largest else float("inf")
    elif x.dtype == torch.bool:
        empty = not largest
    else:
        empty = torch.iinfo(x.dtype).min if largest else torch.iinfo(x.dtype).max
    for axis in sorted((axis % x.ndim for axis in axes or range(x.ndim)), reverse=True):
        if x.shape[axis]:
            x = x.amax(axis, keepdim) if largest else x.amin(axis, keepdim)
        else:
            x = torch.full_like(x.sum(axis, keepdim), empty, dtype=x.dtype)
    return x


def cumulative_sum(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Running sums along `axis`, from the end where `reverse`, without the element itself where `exclusive`."""
    x = x.flip(axis) if reverse else x
    total = x.cumsum(axis, dtype=x.dtype)
    total = total - x if exclusive else total
    return total.flip(axis) if reverse else total


def cumulative_product(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Running products along `axis`, from the end where `reverse`, without the element itself where `exclusive`."""
    x = x.flip(axis) if reverse else x
    if exclusive:
        first = torch.ones_like(x.narrow(axis, 0, 1))
        x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], dim=axis)
    total = x.cumprod(axis, dtype=x.dtype)
    return total.flip(axis) if reverse else total
