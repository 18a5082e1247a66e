"""The form of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor


def reshape(x: Tensor, sizes: tuple[int, ...], allow_zero: bool) -> Tensor:
    """Reshape to sizes of which 0 means "as before" unless `allow_zero`."""
    if not allow_zero:
        sizes = tuple(size or x.shape[axis] for axis, size in enumerate(sizes))
    return x.reshape(sizes)


def expand(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Broadcast `x` and a tensor of `sizes` against each other."""
    return x.expand(torch.broadcast_shapes(x.shape, sizes))


def slice_backwards(x: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    """x[start:end:step] along `axis` with a negative step, which PyTorch's slices do not have."""
    size = x.shape[axis]
    first = min(start + size if start < 0 else start, size - 1)
    last = max(end + size if end < 0 else end, -1)
    return x.flip(axis).narrow(axis, size - 1 - first, max(first - last, 0))[
        (slice(None),) * axis + (slice(None, None, -step),)
    ]


def same_pads(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], upper: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and after each dimension so that ceil(size / stride) windows fit; an odd one goes to the end
    (`upper`) or to the start.
    """
    totals = []
    for axis in range(len(kernel)):
        size = x.shape[2 + axis]
        wanted = -(-size // stride[axis])
        totals.append(max((wanted - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - size, 0))
    less, more = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (less, more) if upper else (more, less)


def pad_same(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], upper: bool, value: float
) -> Tensor:
    """`x` with the padding of `same_pads`."""
    before, after = same_pads(x, kernel, stride, dilation, upper)
    pads = [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]
    return F.pad(x, pads, value=value)


def pad_by_index(x: Tensor, pads: tuple[int, ...], mode: str) -> Tensor:
    """Pad by repeating what is inside (reflect, edge, wrap). The last dimension comes first, negative numbers cut."""
    for number in range(len(pads) // 2):
        axis = x.ndim - 1 - number
        before, after, size = pads[2 * number], pads[2 * number + 1], x.shape[axis]
        index = torch.arange(-before, size + after, device=x.device)
        if mode == "edge":
            index = index.clamp(0, size - 1)
        elif mode == "wrap":
            index = index % size
        else:
            period = max(2 * (size - 1), 1)
            index = index % period
            index = torch.where(index < size, index, period - index)
        x = x.index_select(axis, index)
    return x


def eye_like(x: Tensor, diagonal: int, dtype: torch.dtype) -> Tensor:
    """Ones on a diagonal of a matrix of the shape of `x`."""
    rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    columns = torch.arange(x.shape[1], device=x.device)
    return (rows + diagonal == columns).to(dtype)


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Channels to blocks of pixels, the place within the block major (PyTorch's pixel_shuffle: the channel major)."""
    n, c, h, w = x.shape
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(x: Tensor, block: int) -> Tensor:
    """Blocks of pixels to channels, the place within the block major."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block**2, h // block, w // block)


def center_crop_pad(x: Tensor, sizes: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """Crop around the centre where `sizes` are smaller, pad with zeros where they are larger."""
    for size, axis in zip(sizes, axes, strict=True):
        extra = size - x.shape[axis]
        before = extra // 2 if extra > 0 else -(-extra // 2)
        pads = [0, 0] * (x.ndim - 1 - axis % x.ndim) + [before, extra - before]
        x = F.pad(x, pads)
    return x


def reverse_sequence(x: Tensor, lengths: Tensor, batch_axis: int, time_axis: int) -> Tensor:
    """Reverse the first `lengths[b]` steps of each sequence."""
    moved = x.movedim((batch_axis, time_axis), (0, 1))
    steps = torch.arange(moved.shape[1], device=x.device)
    ends = lengths.unsqueeze(1)
    index = torch.where(steps < ends, ends - 1 - steps, steps)
    index = index.reshape(*index.shape, *[1] * (x.ndim - 2)).expand_as(moved)
    return moved.gather(1, index).movedim((0, 1), (batch_axis, time_axis))


def erased(items: list[Tensor], position: int) -> list[Tensor]:
    """The list without one item."""
    return [item for index, item in enumerate(items) if index != position % len(items)]


def stacked(items: Sequence[Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The items of a loop as one tensor, also where the loop never ran."""
    return torch.stack(list(items)) if items else torch.empty((0, *shape), dtype=dtype, device=device)


def count_up() -> Iterator[int]:
    """0, 1, 2 … for a loop that only its condition ends."""
    return count()
