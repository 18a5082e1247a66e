"""Poolings by ONNX's rules: any padding, dilation and rounding of the output size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def window_sum(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Tensor:
    """The sum of each window; a convolution with ones, for it knows dilation."""
    convolution: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 1]
    ones = torch.ones(1, 1, *kernel, dtype=x.dtype, device=x.device)
    sums = convolution(x.flatten(0, 1).unsqueeze(1), ones, None, stride, 0, dilation)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def pool_pads(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[list[int], list[int]]:
    """Padding as F.pad wants it: what was asked for, and what rounding the size up adds at each end."""
    asked: list[int] = []
    added: list[int] = []
    for axis in reversed(range(len(kernel))):
        size = x.shape[2 + axis] + before[axis] + after[axis] - (kernel[axis] - 1) * dilation[axis] - 1
        more = -size % stride[axis] if ceil_mode else 0
        if more and size + more >= x.shape[2 + axis] + before[axis]:
            more = 0  # a window that would start in the padding at the end does not count
        asked += [before[axis], after[axis]]
        added += [0, more]
    return asked, added


def average_pool(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
    ceil_mode: bool,
    count_padding: bool,
) -> Tensor:
    """The mean of each window over the elements inside, or over the padding too where `count_padding`."""
    asked, added = pool_pads(x, kernel, stride, dilation, before, after, ceil_mode)
    ones = F.pad(torch.ones_like(x[:1, :1]), asked, value=1.0 if count_padding else 0.0)
    total = window_sum(F.pad(F.pad(x, asked), added), kernel, stride, dilation)
    return total / window_sum(F.pad(ones, added), kernel, stride, dilation)


def lp_pool(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
    ceil_mode: bool,
    p: int,
) -> Tensor:
    """The p-norm of each window."""
    asked, added = pool_pads(x, kernel, stride, dilation, before, after, ceil_mode)
    return window_sum(F.pad(F.pad(x.abs() ** p, asked), added), kernel, stride, dilation) ** (1 / p)


def max_pool_with_indices(x: Tensor, column_major: bool, **window: Any) -> tuple[Tensor, Tensor]:
    """Max-pooling and where in the whole flattened input each maximum lies (PyTorch: where in its own plane)."""
    rank = x.ndim - 2
    pool: Callable[..., Any] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    values, index = pool(x, **window, return_indices=True)
    size = x[0, 0].numel()
    if column_major and rank == 2:
        width, height = x.shape[-1], x.shape[-2]
        index = index % width * height + index // width
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device) * size
    return values, index + planes.reshape(*x.shape[:2], *[1] * rank)


def max_unpool(x: Tensor, index: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Zeros of `sizes` with the elements of `x` at `index`, which counts in a tensor of these sizes."""
    empty = torch.zeros(sizes, dtype=x.dtype, device=x.device)
    return empty.reshape(-1).scatter(0, index.reshape(-1), x.reshape(-1)).reshape(sizes)
