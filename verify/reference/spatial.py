"""The layers without weights that rearrange or combine maps: pooling, upsampling, reorg, crop, route, shortcut.

Pure functions on arrays [N, C, H, W] of one float type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def windows(x: Array, size: int, stride: tuple[int, int], padding: int, fill: float) -> Array:
    """[N, C, H', W', size, size]: Darknet's pooling windows; `padding` is the total, `padding // 2` of it lies left
    and above. H' = (H + padding − size) // stride + 1; `stride` is (y, x)."""
    before, after = padding // 2, padding - padding // 2
    x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)), constant_values=fill)
    return sliding_window_view(x, (size, size), axis=(2, 3))[:, :, :: stride[0], :: stride[1]]


def max_pool(x: Array, size: int, stride: tuple[int, int], padding: int) -> Array:
    """The greatest of each window; outside the map lies the least float; NaN never wins, as in C's comparison."""
    lowest = float(np.finfo(np.float32).min)
    taps = windows(x, size, stride, padding, lowest)
    output = np.full(taps.shape[:4], lowest, x.dtype)
    for row in range(size):
        for column in range(size):
            np.fmax(output, taps[..., row, column], out=output)
    return output


def max_pool_channels(x: Array, channels: int) -> Array:
    """maxpool_depth: output channel g is the greatest of the input channels g, g + channels, g + 2 · channels, …"""
    return np.stack([np.fmax.reduce(x[:, first::channels], axis=1) for first in range(channels)], axis=1)


def average_pool(x: Array) -> Array:
    """The mean over the whole map: [N, C, 1, 1]."""
    result: Array = x.mean(axis=(2, 3), keepdims=True)
    return result


def local_average_pool(x: Array, size: int, stride: tuple[int, int], padding: int) -> Array:
    """The mean of the cells of each window that lie inside the map."""
    total = _sum_of_windows(x, size, stride, padding)
    count = _sum_of_windows(np.ones((1, 1, *x.shape[2:]), x.dtype), size, stride, padding)
    return total / count


def _sum_of_windows(x: Array, size: int, stride: tuple[int, int], padding: int) -> Array:
    taps = windows(x, size, stride, padding, 0)
    output = np.zeros(taps.shape[:4], x.dtype)
    for row in range(size):
        for column in range(size):
            output += taps[..., row, column]
    return output


def upsample(x: Array, stride: int, scale: float) -> Array:
    """Each cell repeated `stride` times in both directions, times `scale`."""
    return x.repeat(stride, axis=2).repeat(stride, axis=3) * x.dtype.type(scale)


def downsample(x: Array, stride: int, scale: float) -> Array:
    """upsample with a negative stride: the sum over each stride × stride window, times `scale`."""
    images, channels, height, width = x.shape
    cells = x.reshape(images, channels, height // stride, stride, width // stride, stride)
    result: Array = cells.sum(axis=(3, 5)) * x.dtype.type(scale)
    return result


def _gather(x: Array, shape: tuple[int, int, int], stride: int) -> Array:
    """Darknet's reorg_cpu with forward = 0, which reads a map as [C / s², H · s, W · s] and writes [C, H, W],
    the offset inside the s × s cell major. `shape` is (C, H, W)."""
    channels, height, width = shape
    cells = x.reshape(len(x), channels // stride**2, height, stride, width, stride)
    return cells.transpose(0, 3, 5, 1, 2, 4).reshape(len(x), channels, height, width)


def _scatter(x: Array, shape: tuple[int, int, int], stride: int) -> Array:
    """The inverse of `_gather`: reads [C, H, W], writes [C / s², H · s, W · s]. `shape` is (C, H, W)."""
    channels, height, width = shape
    cells = x.reshape(len(x), stride, stride, channels // stride**2, height, width)
    return cells.transpose(0, 3, 4, 1, 5, 2).reshape(len(x), channels // stride**2, height * stride, width * stride)


def reorg(x: Array, stride: int, reverse: bool) -> Array:
    """[reorg]: the scramble runs over the *input's* dimensions, whatever the output's are; not space-to-depth."""
    images, channels, height, width = x.shape
    scrambled = (_scatter if reverse else _gather)(x, (channels, height, width), stride)
    return scrambled.reshape(images, *_reorg_shape(channels, height, width, stride, reverse))


def reorg3d(x: Array, stride: int, reverse: bool) -> Array:
    """[reorg3d]: space-to-depth with the offset major; `reverse` scrambles over the output's dimensions."""
    images, channels, height, width = x.shape
    shape = _reorg_shape(channels, height, width, stride, reverse)
    return (_scatter if reverse else _gather)(x, shape, stride).reshape(images, *shape)


def _reorg_shape(channels: int, height: int, width: int, stride: int, reverse: bool) -> tuple[int, int, int]:
    if reverse:
        return channels // stride**2, height * stride, width * stride
    return channels * stride**2, height // stride, width // stride


def flatten_channels(x: Array, reverse: bool) -> Array:
    """P's [reorg] flatten=1: memory from [C, H · W] to [H · W, C] (or back); the shape stays."""
    images, channels, height, width = x.shape
    cells = x.reshape(images, height * width, channels) if reverse else x.reshape(images, channels, height * width)
    return cells.transpose(0, 2, 1).reshape(x.shape)


def unit_channels(x: Array) -> Array:
    """P's [l2norm]: each place's channels divided by their Euclidean norm."""
    result: Array = x / np.sqrt((x * x).sum(axis=1, keepdims=True))
    return result


def crop(x: Array, height: int, width: int, adjust: bool) -> Array:
    """The centre of the map; `adjust` maps 0..1 to −1..1."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    centre = x[:, :, top : top + height, left : left + width]
    return centre * 2 - 1 if adjust else centre


def local_response(x: Array, size: int, alpha: float, beta: float, kappa: float) -> Array:
    """[normalization]: x / (kappa + alpha · the sum of squares over a window of channels) ** beta.

    The sum slides: from one channel to the next one square enters and one leaves. Channel size // 2 never enters (the
    first sum ends before it, the first to enter is the one behind it) but leaves later, so this is not the textbook's.
    """
    channels = x.shape[1]
    squares = x * x
    norms = np.empty_like(x)
    norms[:, 0] = kappa + alpha * squares[:, : size // 2].sum(axis=1)
    for channel in range(1, channels):
        norm = norms[:, channel - 1].copy()
        leaving, entering = channel - (size - 1) // 2 - 1, channel + size // 2
        if leaving >= 0:
            norm -= alpha * squares[:, leaving]
        if entering < channels:
            norm += alpha * squares[:, entering]
        norms[:, channel] = norm
    result: Array = x * norms ** x.dtype.type(-beta)
    return result


def route(inputs: Sequence[Array], groups: int, group: int) -> Array:
    """The maps one behind the other along the channels; of each only the `group`-th of `groups` slices."""
    sizes = [x.shape[1] // groups for x in inputs]
    return np.concatenate([x[:, size * group : size * (group + 1)] for x, size in zip(inputs, sizes, strict=True)], 1)


def shortcut(x: Array, others: Sequence[Array], weights: Array | None) -> Array:
    """A's shortcut: x plus the first channels of each other map, as many as both have.

    `weights` [1 + len(others), 1 or C], already normalised, multiplies x and the others.
    """
    columns = None if weights is None else weights.astype(x.dtype)[:, :, None, None]
    output = x.copy() if columns is None else x * columns[0]
    for index, other in enumerate(others, 1):
        common = min(x.shape[1], other.shape[1])
        part = other[:, :common]
        output[:, :common] += part if columns is None else part * columns[index][:common]
    return output


def shortcut_across_strides(x: Array, other: Array, alpha: float, beta: float) -> Array:
    """P's shortcut: alpha · x + beta · other where both have a cell; a larger `other` is subsampled, a smaller one
    scattered over every n-th cell. Elsewhere x stays as it is."""
    stride = max(1, other.shape[3] // x.shape[3])
    sample = max(1, x.shape[3] // other.shape[3])
    channels, height, width = (min(a, b) for a, b in zip(x.shape[1:], other.shape[1:], strict=True))
    output = x.copy()
    cells = output[:, :channels, : height * sample : sample, : width * sample : sample]
    cells *= x.dtype.type(alpha)
    cells += x.dtype.type(beta) * other[:, :channels, : height * stride : stride, : width * stride : stride]
    return output


# weights_normalization → the positive weights that are divided by their sum. A normalises once, when it folds batch
# normalisation before it detects, and does not let the relu go below 0.001 there.
POSITIVE: dict[str, Callable[[Array], Array]] = {
    "relu": lambda weights: np.maximum(weights, 0.001),
    "softmax": lambda weights: np.exp(weights - weights.max(axis=0)),
}


def normalize_shortcut(weights: Array, normalization: str) -> Array:
    """The weights of a shortcut [1 + inputs, 1 or C] as A deploys them; `normalization` none, relu or softmax."""
    if normalization == "none":
        return weights
    positive = POSITIVE[normalization](weights)
    result: Array = positive / (1e-4 + positive.sum(axis=0))
    return result
