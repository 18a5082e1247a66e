"""Picking and placing elements by index. ONNX lets an index count from the end; PyTorch's functions do not."""

from __future__ import annotations

import torch
from torch import Tensor


def from_start(index: Tensor, size: int) -> Tensor:
    """Indices below 0 count from the end."""
    return torch.where(index < 0, index + size, index).long()


def gather(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Slices of `x` along `axis`, in the shape of `index`."""
    axis = axis % x.ndim
    flat = x.index_select(axis, from_start(index.reshape(-1), x.shape[axis]))
    return flat.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def gather_elements(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """One element of `x` for each element of `index`."""
    return x.gather(axis, from_start(index, x.shape[axis]))


def gather_nd(x: Tensor, index: Tensor, batch_dims: int) -> Tensor:
    """Slices of `x` at the positions that the last dimension of `index` holds, within equal leading dimensions."""
    batch = x.shape[:batch_dims]
    depth = index.shape[-1]
    parts = [from_start(index[..., i], x.shape[batch_dims + i]) for i in range(depth)]
    leads = []
    for axis, size in enumerate(batch):
        shape = [1] * (index.ndim - 1)
        shape[axis] = size
        leads.append(torch.arange(size, device=x.device).reshape(shape))
    return x[(*leads, *parts)]


def scatter_elements(x: Tensor, index: Tensor, updates: Tensor, axis: int, reduction: str) -> Tensor:
    """`x` with one element replaced by, or reduced with, each element of `updates`."""
    index = from_start(index, x.shape[axis])
    if not reduction:
        return x.scatter(axis, index, updates)
    return x.scatter_reduce(axis, index, updates, reduction)


def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """`x` with the slices at the positions in the last dimension of `index` replaced, or reduced, one after another."""
    depth = index.shape[-1]
    inner = x.shape[depth:]
    flat = torch.zeros(index.shape[:-1], dtype=torch.int64, device=x.device)
    for i in range(depth):
        flat = flat * x.shape[i] + from_start(index[..., i], x.shape[i])
    rows = x.reshape(-1, *inner)
    flat = flat.reshape(-1)
    updates = updates.reshape(-1, *inner)
    if reduction:
        return (
            rows.index_reduce(0, flat, updates, reduction).reshape(x.shape)
            if reduction != "sum"
            else (rows.index_add(0, flat, updates).reshape(x.shape))
        )
    return rows.index_copy(0, flat, updates).reshape(x.shape)


def tensor_scatter(x: Tensor, updates: Tensor, starts: Tensor | None, axis: int, circular: bool) -> Tensor:
    """A cache with `updates` written along `axis` from each batch's start on."""
    axis = axis % x.ndim
    steps = torch.arange(updates.shape[axis], device=x.device)
    begin = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device) if starts is None else starts
    index = begin.unsqueeze(1) + steps
    index = index % x.shape[axis] if circular else index
    shape = [1] * x.ndim
    shape[0], shape[axis] = index.shape
    return x.scatter(axis, index.reshape(shape).expand_as(updates), updates)


def one_hot(index: Tensor, depth: int, values: Tensor, axis: int) -> Tensor:
    """`values[1]` where a new dimension equals `index` (counting from the end below 0), `values[0]` elsewhere."""
    classes = torch.arange(depth, device=index.device)
    hot = from_start(index, depth).unsqueeze(-1) == classes
    return torch.where(hot, values[1], values[0]).movedim(-1, axis)


def compress(x: Tensor, condition: Tensor, axis: int | None) -> Tensor:
    """The slices along `axis` (or elements, of all) where `condition` holds; it may be shorter than the axis."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return x.index_select(axis, condition.nonzero().reshape(-1))


def top_k(x: Tensor, k: int, axis: int, largest: bool) -> tuple[Tensor, Tensor]:
    """The k largest or smallest along `axis`, best first; equal ones in the order of their index."""
    values, index = x.sort(dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), index.narrow(axis, 0, k)


def unique(x: Tensor, axis: int | None, is_sorted: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The different elements (or slices), the index where each occurs first, which of them each was, and how often."""
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    inverse = inverse.reshape(-1)
    size = counts.shape[0]
    positions = torch.arange(inverse.shape[0], device=x.device)
    first = torch.full((size,), inverse.shape[0], device=x.device).scatter_reduce(0, inverse, positions, "amin")
    if not is_sorted:
        order = first.argsort()
        values = values.index_select(0 if axis is None else axis, order)
        first, counts = first[order], counts[order]
        inverse = order.argsort()[inverse]
    return values, first, inverse, counts


def last_index(x: Tensor, axis: int, keepdim: bool, largest: bool) -> Tensor:
    """The index of the last largest or smallest element along `axis`."""
    flipped = x.flip(axis)
    index = flipped.argmax(axis, keepdim) if largest else flipped.argmin(axis, keepdim)
    return x.shape[axis] - 1 - index
