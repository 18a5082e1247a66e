"""Convolutions in TensorFlow's own forms: SAME where it is equal, explicit pads where not, depthwise for groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.operators.shape import padded
from zoo.convert.to_tensorflow.operators.table import Call, Input, picture

Pads = list[tuple[int, int]]


def explicit_pads(
    call: Call, sizes: Sequence[int | None], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pads | None:
    """The (before, after) pads of each spatial axis from `pads` or `auto_pad`.

    None where sizes are known only when the model runs and TensorFlow's SAME, which is ONNX's SAME_UPPER, finds them.
    """
    rule = call.attribute("auto_pad", "NOTSET")
    if rule in ("VALID", "NOTSET"):
        pads = call.attribute("pads") or [0] * 2 * len(kernel)
        return list(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True)) if rule == "NOTSET" else _none(kernel)
    pairs = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        if size is None and stride != 1 and rule == "SAME_UPPER":
            return None
        if size is None and stride != 1:
            raise call.error(f"auto_pad {rule} with a stride needs fixed sizes", "export with explicit pads")
        total = max((-(-(size or 1) // stride) - 1) * stride + (taps - 1) * dilation + 1 - (size or 1), 0)
        pairs.append((total // 2, total - total // 2) if rule == "SAME_UPPER" else (total - total // 2, total // 2))
    return pairs


def _none(kernel: Sequence[int]) -> Pads:
    return [(0, 0)] * len(kernel)


def is_same(
    pads: Pads | None,
    sizes: Sequence[int | None],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> bool:
    """True where TensorFlow's SAME pads exactly so, for every size that the model can meet."""
    if pads is None:
        return True
    for pair, size, taps, stride, dilation in zip(pads, sizes, kernel, strides, dilations, strict=True):
        reach = (taps - 1) * dilation + 1
        if stride == 1:
            total = reach - 1
        elif size is None:
            return False
        else:
            total = max(reach - (size % stride or stride), 0)
        if pair != (total // 2, total - total // 2):
            return False
    return True


def spatial(x: tf.Tensor) -> list[int | None]:
    """The sizes between batch and channels."""
    return list(x.shape[1:-1])


def around(pads: Pads | None) -> list[tuple[Any, Any]]:
    """Spatial pads as pads of the whole channels-last tensor."""
    assert pads is not None, "SAME needs none"
    return [(0, 0), *pads, (0, 0)]


@picture("Conv")
def conv(call: Call, x: tf.Tensor, weights: Input, bias: Input = None) -> tf.Tensor:
    assert weights is not None
    filters, depth = weights.shape[:2]
    kernel = [int(taps or 0) for taps in weights.shape[2:]]
    rank = len(kernel)
    strides = list(call.attribute("strides") or [1] * rank)
    dilations = list(call.attribute("dilations") or [1] * rank)
    pads = explicit_pads(call, spatial(x), kernel, strides, dilations)
    same = is_same(pads, spatial(x), kernel, strides, dilations)
    groups = call.attribute("group", 1)
    if rank == 1:
        result = _conv_1d(call, x, pads, strides, dilations)
    elif rank == 3:
        kernel_axes = (2, 3, 4, 1, 0)
        filled = x if same else padded(x, around(pads))
        mode = "SAME" if same else "VALID"
        result = _conv_3d(filled, call.weight(1, "kernel", kernel_axes), groups, strides, mode, dilations)
    elif groups == x.shape[-1] and groups > 1 and depth == 1 and _suits_depthwise(strides, dilations):
        filled = x if same else padded(x, around(pads))
        result = _depthwise(call, filled, filters // groups, "SAME" if same else "VALID", strides, dilations)
    else:
        kernel_weights = call.weight(1, "kernel", (2, 3, 1, 0))
        result = tf.nn.conv2d(x, kernel_weights, strides, "SAME" if same else around(pads), dilations=dilations)
    return result if bias is None else tf.nn.bias_add(result, call.weight(2, "bias"))


def _suits_depthwise(strides: list[int], dilations: list[int]) -> bool:
    """TensorFlow's depthwise convolution takes equal strides only, and strides or dilations, not both."""
    return strides[0] == strides[1] and (strides == [1, 1] or dilations == [1, 1])


def _depthwise(
    call: Call, x: tf.Tensor, multiplier: int, padding: str, strides: list[int], dilations: list[int]
) -> tf.Tensor:
    """One filter bank for each channel. Never with explicit pads: TensorFlow 2.21 can crash while it optimizes them."""
    kernel = call.weight(1, "kernel", (2, 3, 0, 1))
    height, width, channels, _ = kernel.shape
    kernel = kernel if multiplier == 1 else tf.reshape(kernel, [height, width, channels // multiplier, multiplier])
    return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding, dilations=dilations)


def _conv_1d(call: Call, x: tf.Tensor, pads: Pads | None, strides: list[int], dilations: list[int]) -> tf.Tensor:
    """As a picture of height 1."""
    kernel = tf.expand_dims(call.weight(1, "kernel", (2, 1, 0)), 0)
    tall = tf.expand_dims(x, 1)
    padding = "SAME" if pads is None else [(0, 0), (0, 0), *pads, (0, 0)]
    return tf.squeeze(tf.nn.conv2d(tall, kernel, [1, *strides], padding, dilations=[1, *dilations]), [1])


def _conv_3d(
    x: tf.Tensor, kernel: tf.Tensor, groups: int, strides: list[int], padding: str, dilations: list[int]
) -> tf.Tensor:
    """TensorFlow has no grouped convolution of volumes: one convolution for each group."""
    parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    results = [tf.nn.convolution(part, weights, strides, padding, dilations=dilations) for part, weights in parts]
    return results[0] if groups == 1 else tf.concat(results, -1)


@picture("ConvTranspose")
def conv_transpose(call: Call, x: tf.Tensor, weights: Input, bias: Input = None) -> tf.Tensor:
    """The whole result without pads, then cut: TensorFlow's own padding rules reach only some of ONNX's."""
    assert weights is not None
    rank = len(weights.shape) - 2
    kernel = list(weights.shape[2:])
    strides = list(call.attribute("strides") or [1] * rank)
    dilations = list(call.attribute("dilations") or [1] * rank)
    groups = call.attribute("group", 1)
    extra = list(call.attribute("output_padding") or [0] * rank)
    filters = call.weight(1, "kernel", (*range(2, rank + 2), 1, 0))
    parts = zip(tf.split(x, groups, -1), tf.split(filters, groups, -1), strict=True)
    results = [_transposed(part, weight, strides, dilations) for part, weight in parts]
    full = results[0] if groups == 1 else tf.concat(results, -1)
    reach = [(taps - 1) * dilation + 1 for taps, dilation in zip(kernel, dilations, strict=True)]
    pads = _transposed_pads(call, spatial(x), reach, strides, extra)
    full = padded(full, around([(0, max(0, more - after)) for more, (_, after) in zip(extra, pads, strict=True)]))
    cuts = [
        slice(before, (more - after if after > more else None))
        for more, (before, after) in zip(extra, pads, strict=True)
    ]
    result = full[(slice(None), *cuts, slice(None))]
    return result if bias is None else tf.nn.bias_add(result, call.weight(2, "bias"))


def _transposed(x: tf.Tensor, kernel: tf.Tensor, strides: list[int], dilations: list[int]) -> tf.Tensor:
    """The uncut result: every input element spreads its filter over (size − 1) · stride + reach outputs."""
    rank = len(strides)
    if rank == 1:
        tall = _transposed(tf.expand_dims(x, 1), tf.expand_dims(kernel, 0), [1, *strides], [1, *dilations])
        return tf.squeeze(tall, [1])
    kernel = _dilated(kernel, dilations)
    sizes = tf.shape(x)
    spread = [(sizes[i + 1] - 1) * strides[i] + kernel.shape[i] for i in range(rank)]
    shape = tf.stack([sizes[0], *spread, kernel.shape[-2]])
    result = tf.nn.conv_transpose(x, kernel, shape, strides, "VALID")
    known = [None if s is None else (s - 1) * strides[i] + kernel.shape[i] for i, s in enumerate(spatial(x))]
    result.set_shape([x.shape[0], *known, kernel.shape[-2]])
    return result


def _dilated(kernel: tf.Tensor, dilations: list[int]) -> tf.Tensor:
    """The kernel with zeros between its taps: TensorFlow's transposed convolution knows no dilation."""
    for axis, dilation in enumerate(dilations):
        taps = kernel.shape[axis]
        if dilation > 1 and taps > 1:
            spread = np.zeros((taps, (taps - 1) * dilation + 1), np.float32)
            spread[np.arange(taps), np.arange(taps) * dilation] = 1
            moved = tf.tensordot(tf.constant(spread, kernel.dtype), kernel, [[0], [axis]])
            order = [*range(1, axis + 1), 0, *range(axis + 1, len(kernel.shape))]
            kernel = tf.transpose(moved, order)
    return kernel


def _transposed_pads(
    call: Call, sizes: Sequence[int | None], reach: Sequence[int], strides: Sequence[int], extra: Sequence[int]
) -> Pads:
    """What is cut from the uncut result; `output_shape` and SAME say it as a total to share out."""
    rule = call.attribute("auto_pad", "NOTSET")
    wanted = call.attribute("output_shape")
    rank = len(reach)
    if not wanted and rule in ("NOTSET", "VALID"):
        pads = call.attribute("pads") or [0] * 2 * rank
        return list(zip(pads[:rank], pads[rank:], strict=True))
    pairs = []
    for axis, size in enumerate(sizes):
        if wanted:
            if size is None:
                raise call.error("output_shape with an input of dynamic size", "export with fixed sizes")
            total = strides[axis] * (size - 1) + extra[axis] + reach[axis] - wanted[-rank + axis]
        else:
            total = extra[axis] + reach[axis] - strides[axis]
        small, big = total // 2, total - total // 2
        pairs.append((0, total) if total < 0 else (small, big) if rule == "SAME_UPPER" else (big, small))
    return pairs
