"""Pooling: TensorFlow's forms with SAME where it is equal, else over explicitly padded pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.operators.convolution import Pads, around, explicit_pads, is_same, spatial
from zoo.convert.to_tensorflow.operators.shape import padded
from zoo.convert.to_tensorflow.operators.table import Call, Input, picture


@dataclass(frozen=True)
class Window:
    """How a pool slides: `pads` as asked (None: TensorFlow's SAME, see `explicit_pads`), `fill` what `ceil_mode` needs
    beyond them at the end.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: Pads | None
    fill: list[int]

    @property
    def all_pads(self) -> Pads:
        assert self.pads is not None, "SAME needs none"
        return [(before, after + more) for (before, after), more in zip(self.pads, self.fill, strict=True)]

    def same(self, x: tf.Tensor) -> bool:
        return self.pads is None or is_same(self.all_pads, spatial(x), self.kernel, self.strides, self.dilations)


def window_of(call: Call, x: tf.Tensor) -> Window:
    kernel = list(call.attribute("kernel_shape"))
    strides = list(call.attribute("strides") or [1] * len(kernel))
    dilations = list(call.attribute("dilations") or [1] * len(kernel))
    pads = explicit_pads(call, spatial(x), kernel, strides, dilations)
    fill = [0] * len(kernel)
    if pads is None:
        if dilations != [1] * len(kernel) or call.node.op == "LpPool":
            raise call.error("auto_pad with a stride needs fixed sizes here", "export with explicit pads")
    elif call.attribute("ceil_mode", 0):
        reach = [(taps - 1) * dilation + 1 for taps, dilation in zip(kernel, dilations, strict=True)]
        fill = [
            _missing(call, size, pair, span, stride)
            for size, pair, span, stride in zip(spatial(x), pads, reach, strides, strict=True)
        ]
    elif dilations == [1] * len(kernel):
        pads = [_reached(*facts) for facts in zip(spatial(x), pads, kernel, strides, strict=True)]
    return Window(kernel, strides, dilations, pads, fill)


def _reached(size: int | None, pads: tuple[int, int], taps: int, stride: int) -> tuple[int, int]:
    """The pads without what no window reaches at the end: Darknet pads even pictures of its 2 × 2 pools, too."""
    before, after = pads
    if size is None:
        return pads
    end = (size + before + after - taps) // stride * stride + taps
    return before, min(after, max(end - size - before, 0))


def _missing(call: Call, size: int | None, pads: tuple[int, int], reach: int, stride: int) -> int:
    """How far the last window of `ceil_mode` reaches beyond the pads; it must begin inside them."""
    if stride == 1:
        return 0
    if size is None:
        raise call.error("ceil_mode with a stride needs fixed sizes", "export with floor mode and explicit pads")
    room = size + sum(pads) - reach
    last = -(-room // stride) * stride
    if last >= size + pads[0]:
        last -= stride
    return max(last - room, 0)


def pool(kind: str, x: tf.Tensor, window: Window, padding: str = "VALID") -> tf.Tensor:
    """MAX or AVG over an already padded picture. With dilations TensorFlow knows no strides: compute all and skip."""
    rank = len(window.kernel)
    if window.dilations == [1] * rank and rank > 1:
        function = tf.nn.max_pool if kind == "MAX" else tf.nn.avg_pool
        return function(x, window.kernel, window.strides, padding)
    if window.dilations == [1] * rank:
        return tf.nn.pool(x, window.kernel, kind, window.strides, padding)
    full = tf.nn.pool(x, window.kernel, kind, [1] * rank, padding, dilations=window.dilations)
    return full[(slice(None), *(slice(None, None, stride) for stride in window.strides))]


@picture("MaxPool")
def max_pool(call: Call, x: tf.Tensor) -> Any:
    window = window_of(call, x)
    if call.has_output(1):
        return _max_pool_with_places(call, x, window)
    dtype = x.dtype
    x = x if dtype.is_floating else tf.cast(x, tf.float32)
    if window.same(x) and window.dilations == [1] * len(window.dilations):
        return tf.cast(pool("MAX", x, window, "SAME"), dtype)
    pads = around(window.all_pads)
    filled = padded(x, pads, "SYMMETRIC") if _can_mirror(x, window) else padded(x, pads, fill=x.dtype.min)
    return tf.cast(pool("MAX", filled, window), dtype)


def _can_mirror(x: tf.Tensor, window: Window) -> bool:
    """True where every window that reaches into the border also holds what is mirrored there: its maximum stays.

    The lowest number as a border would leave int8 no scale for the rest.
    """
    return window.dilations == [1] * len(window.kernel) and all(
        2 * max(pair) <= taps and max(pair) <= (size or 1)
        for pair, taps, size in zip(window.all_pads, window.kernel, spatial(x), strict=True)
    )


def _max_pool_with_places(call: Call, x: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """The second output numbers elements over the whole N, C, H, W input, or column-major within a picture."""
    if len(window.kernel) != 2 or window.dilations != [1, 1] or None in x.shape:
        raise call.error("the places of the maxima need fixed sizes, two axes and no dilation", "drop output 1")
    _, height, width, channels = x.shape
    filled = padded(x, around(window.all_pads), fill=x.dtype.min)
    best, places = tf.nn.max_pool_with_argmax(
        filled, window.kernel, window.strides, "VALID", include_batch_in_index=True
    )
    inner_height, inner_width = filled.shape[1:3]
    channel = places % channels
    column = places // channels % inner_width - window.all_pads[1][0]
    row = places // (channels * inner_width) % inner_height - window.all_pads[0][0]
    picture_number = places // (channels * inner_width * inner_height) * channels + channel
    inside = row * width + column if call.attribute("storage_order", 0) == 0 else column * height + row
    return best, tf.transpose(picture_number * (height * width) + inside, [0, 3, 1, 2])


@picture("AveragePool")
def average_pool(call: Call, x: tf.Tensor) -> tf.Tensor:
    """Without `count_include_pad` only the elements inside the picture count; the fill of ceil_mode never does."""
    window = window_of(call, x)
    plain = window.dilations == [1] * len(window.dilations)
    counts_pads = call.attribute("count_include_pad", 0) and call.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    if window.pads is not None and not np.any(window.all_pads):
        return pool("AVG", x, window)
    if not counts_pads and plain and window.same(x):
        return pool("AVG", x, window, "SAME")
    total = pool("AVG", padded(x, around(window.all_pads)), window)
    if counts_pads and not any(window.fill):
        return total
    ones = tf.ones_like(x[:1, ..., :1])
    if counts_pads:
        ones = padded(ones, around(window.pads), fill=1)
        return total / pool("AVG", padded(ones, around([(0, more) for more in window.fill])), window)
    return total / pool("AVG", padded(ones, around(window.all_pads)), window)


@picture("LpPool", since=2)
def lp_pool(call: Call, x: tf.Tensor) -> tf.Tensor:
    window, power = window_of(call, x), call.attribute("p", 2)
    powers = tf.pow(tf.abs(padded(x, around(window.all_pads))), power)
    return tf.pow(pool("AVG", powers, window) * np.prod(window.kernel), 1 / power)


@picture("GlobalAveragePool")
def global_average_pool(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, list(range(1, len(x.shape) - 1)), keepdims=True)


@picture("GlobalMaxPool")
def global_max_pool(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(x, list(range(1, len(x.shape) - 1)), keepdims=True)


@picture("GlobalLpPool", since=2)
def global_lp_pool(call: Call, x: tf.Tensor) -> tf.Tensor:
    power = call.attribute("p", 2)
    powers = tf.pow(tf.abs(x), power)
    return tf.pow(tf.reduce_sum(powers, list(range(1, len(x.shape) - 1)), keepdims=True), 1 / power)


@picture("MaxUnpool", since=9)
def max_unpool(call: Call, x: tf.Tensor, _: Input, shape: Input = None) -> tf.Tensor:
    """Put each maximum back where MaxPool found it, zeros elsewhere; `shape` may ask for a larger picture."""
    rank = len(x.shape) - 2
    kernel, strides = call.attribute("kernel_shape"), call.attribute("strides") or [1] * rank
    pads = call.attribute("pads") or [0] * 2 * rank
    if None in x.shape:
        raise call.error("unpooling needs fixed sizes", "export with fixed sizes")
    sizes = [(x.shape[i + 1] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + rank] for i in range(rank)]
    small = [x.shape[0], x.shape[-1], *sizes]
    places = tf.reshape(call.tensor(1), [-1, 1])
    values = tf.reshape(tf.transpose(x, [0, rank + 1, *range(1, rank + 1)]), [-1])
    wanted = call.constant(2, "output_shape")
    if shape is not None and wanted is not None and wanted.tolist() != small:
        coordinates = tf.transpose(tf.unravel_index(places[:, 0], tf.constant(small, places.dtype)))
        result = tf.scatter_nd(coordinates, values, tf.constant(wanted, places.dtype))
    else:
        flat = tf.scatter_nd(places, values, [int(np.prod(small))])
        result = tf.reshape(flat, small)
    return tf.transpose(result, [0, *range(2, rank + 2), 1])
