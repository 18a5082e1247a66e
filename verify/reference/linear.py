"""The layers with weights: convolution, local, connected, and the batch normalisation behind them.

Pure functions on arrays of one float type; images are [N, C, H, W]. Kernels arrive as the weights file has them
(float32) and are widened in blocks, so that float64 never doubles a whole file in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Dialect = Literal["alexey", "pj"]

BLOCK = 1 << 22  # elements of a temporary: 32 MB in float64

# What 1 / standard deviation is: A adds the epsilon to the variance, P to the deviation.
DEVIATION: dict[Dialect, Callable[[Array], Array]] = {
    "alexey": lambda variance: np.sqrt(variance + 1e-5),
    "pj": lambda variance: np.sqrt(variance) + 1e-6,
}
BLUR = {1: (np.outer([1, 2, 1], [1, 2, 1]) / 16, 1), 2: (np.full((2, 2), 0.25), 0)}  # antialiasing → kernel, padding


def per_channel(vector: Array, x: Array) -> Array:
    """`vector` [C] in the type of `x` and shaped to act along axis 1 of `x`."""
    return vector.astype(x.dtype, copy=False).reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(x: Array, mean: Array, variance: Array, scale: Array, bias: Array, dialect: Dialect) -> Array:
    """(x − mean) / deviation · scale + bias along axis 1; a variance below 0 gives NaN, as in Darknet."""
    deviation = DEVIATION[dialect](variance.astype(x.dtype, copy=False))
    normal = (x - per_channel(mean, x)) / per_channel(deviation, x)
    result: Array = normal * per_channel(scale, x) + per_channel(bias, x)
    return result


def convolve(
    x: Array,
    kernel: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """[N, C, H, W] with `kernel` [filters, C / groups, k, k] → [N, filters, H', W'].

    `stride` is (y, x); `padding` zeros on each side, already multiplied by the dilation. H' = (H + 2 · padding −
    dilation · (k − 1) − 1) // stride + 1.
    """
    filters, _, size, _ = kernel.shape
    if padding:
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span = dilation * (size - 1) + 1
    height, width = ((x.shape[axis] - span) // step + 1 for axis, step in zip((2, 3), stride, strict=True))
    matrix = kernel.astype(x.dtype, copy=False).reshape(groups, filters // groups, -1)
    output = np.empty((len(x), filters, height, width), x.dtype)
    rows = max(1, BLOCK // (matrix.shape[0] * matrix.shape[2] * width))
    for image, result in zip(x, output, strict=True):
        taps = sliding_window_view(image, (span, span), axis=(1, 2))[
            :, :: stride[0], :: stride[1], ::dilation, ::dilation
        ]
        for top in range(0, height, rows):
            block = taps[:, top : top + rows].transpose(0, 3, 4, 1, 2)
            columns = block.reshape(groups, matrix.shape[2], -1)
            result[:, top : top + rows] = (matrix @ columns).reshape(filters, -1, width)
    return output


def deconvolve(x: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """Transposed convolution: each cell of [N, C, H, W] adds its multiple of `kernel` [C, filters, k, k];
    H' = (H − 1) · stride + k − 2 · padding."""
    images, _, height, width = x.shape
    _, filters, size, _ = kernel.shape
    matrix = kernel.astype(x.dtype, copy=False)
    canvas = np.zeros((images, filters, (height - 1) * stride + size, (width - 1) * stride + size), x.dtype)
    for row in range(size):
        for column in range(size):
            part = np.einsum("nchw,cf->nfhw", x, matrix[:, :, row, column], optimize=True)
            rows = slice(row, row + (height - 1) * stride + 1, stride)
            canvas[:, :, rows, column : column + (width - 1) * stride + 1 : stride] += part
    return canvas[:, :, padding : canvas.shape[2] - padding, padding : canvas.shape[3] - padding]


def binarize_kernel(kernel: Array) -> Array:
    """xnor: each filter becomes ± the mean of its absolute values; 0 counts as negative."""
    mean: Array = np.abs(kernel).mean(axis=(1, 2, 3), keepdims=True)
    return np.where(kernel > 0, mean, -mean)


def binarize_input(x: Array) -> Array:
    """xnor: 1 where x > 0, else −1; the padding around it stays 0."""
    return np.where(x > 0, np.ones(1, x.dtype), -np.ones(1, x.dtype))


def blur(x: Array, antialiasing: int, stride: tuple[int, int]) -> Array:
    """A's antialiasing: each channel blurred with a fixed kernel (3×3 binomial, or 2×2 mean for 2), then strided."""
    weights, padding = BLUR[2 if antialiasing == 2 else 1]
    channels = x.shape[1]
    kernel = np.broadcast_to(weights, (channels, 1, *weights.shape)).astype(x.dtype)
    return convolve(x, kernel, stride=stride, padding=padding, groups=channels)


def connect(x: Array, kernel: Array) -> Array:
    """[N, …] flattened, times `kernel` [outputs, inputs] transposed → [N, outputs]."""
    rows = x.reshape(len(x), -1)
    block = max(1, BLOCK // kernel.shape[1])
    parts = [rows @ kernel[top : top + block].astype(x.dtype).T for top in range(0, len(kernel), block)]
    return np.concatenate(parts, axis=1)


def locally_connect(x: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """A convolution with weights of its own at each place: [N, C, H, W] with `kernel` [H', W', filters, C, k, k] →
    [N, filters, H', W']; `padding` zeros on each side."""
    *shape, filters, channels, size, _ = kernel.shape
    places = shape[0] * shape[1]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    taps = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    columns = taps.transpose(2, 3, 1, 4, 5, 0).reshape(places, channels * size * size, len(x))
    output = np.empty((places, filters, len(x)), x.dtype)
    matrices = kernel.reshape(places, filters, -1)
    for place in range(places):
        output[place] = matrices[place].astype(x.dtype) @ columns[place]
    return output.transpose(2, 1, 0).reshape(len(x), filters, *shape)
