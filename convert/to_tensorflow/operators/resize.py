"""Resize in every mode of ONNX: TensorFlow's own resize where it is exactly equal, else taps and weights per axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, Size, channels_last, in_order
from zoo.convert.to_tensorflow.operators.shape import laid
from zoo.convert.to_tensorflow.operators.sizes import packed, sizes_in
from zoo.convert.to_tensorflow.operators.table import Call, Input, by_axis

# Rules under which growing by a whole factor repeats each element.
REPEATING = {
    *(
        (rule, nearest)
        for rule in ("half_pixel", "half_pixel_symmetric")
        for nearest in ("round_prefer_floor", "round_prefer_ceil")
    ),
    ("tf_half_pixel_for_nn", "floor"),
}


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: `scale` is the factor that the coordinates use; `roi` its start and end."""

    size: Size
    wanted: Size
    scale: Any
    roi: tuple[float, float] = (0.0, 1.0)


@by_axis("Upsample", since=7, until=9)
@by_axis("Resize", since=10, until=10)
def upsample(call: Call, data: Input, _: Input = None) -> Laid:
    x = laid(data)
    scales = [float(scale) for scale in call.setting("scales", 1)]
    axes = {axis: _scaled(x.sizes()[axis], scale) for axis, scale in enumerate(scales) if scale != 1}
    return _resized(call, x, axes, call.attribute("mode", "nearest"), "asymmetric", "floor")


@by_axis("Resize", since=11)
def resize(call: Call, data: Input, roi: Input = None, scales: Input = None, sizes: Input = None) -> Laid:
    x = laid(data)
    named = [axis % x.rank for axis in call.attribute("axes") or range(x.rank)]
    given = call.constant(2, "scales")
    if given is not None and given.size:
        axes = {axis: _scaled(x.sizes()[axis], float(scale)) for axis, scale in zip(named, given, strict=True)}
    else:
        axes = _to_sizes(call, x, named, sizes_in(sizes, len(named)))
    rule = call.attribute("coordinate_transformation_mode", "half_pixel")
    if rule == "tf_crop_and_resize":
        region = call.constant(1, "roi")
        assert region is not None
        ends = {axis: (float(region[i]), float(region[i + len(named)])) for i, axis in enumerate(named)}
        axes = {axis: Axis(way.size, way.wanted, way.scale, ends[axis]) for axis, way in axes.items()}
    else:
        axes = {axis: way for axis, way in axes.items() if not _is_unchanged(way)}
    nearest = call.attribute("nearest_mode", "round_prefer_floor")
    return _resized(call, x, axes, call.attribute("mode", "nearest"), rule, nearest)


def _is_unchanged(way: Axis) -> bool:
    return isinstance(way.size, int) and way.size == way.wanted and way.scale == 1


def _scaled(size: Size, scale: float) -> Axis:
    """ONNX rounds the new size down."""
    if isinstance(size, int):
        return Axis(size, math.floor(size * scale), scale)
    if scale == int(scale):
        return Axis(size, size * int(scale), scale)
    return Axis(size, tf.cast(tf.floor(tf.cast(size, tf.float32) * scale), tf.int64), scale)


def _to_sizes(call: Call, x: Laid, named: list[int], wanted: list[Size]) -> dict[int, Axis]:
    """The policies keep the aspect ratio: one scale, so that the picture fits inside or covers the wanted size."""
    sizes = x.sizes()
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    ratios = [_ratio(new, sizes[axis]) for new, axis in zip(wanted, named, strict=True)]
    if policy == "stretch":
        return {axis: Axis(sizes[axis], new, r) for axis, new, r in zip(named, wanted, ratios, strict=True)}
    if not all(isinstance(ratio, float) for ratio in ratios):
        raise call.error(f"keep_aspect_ratio_policy {policy} needs fixed sizes", "export with fixed sizes")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return {axis: Axis(sizes[axis], math.floor(sizes[axis] * scale + 0.5), scale) for axis in named}


def _ratio(new: Size, old: Size) -> Any:
    if isinstance(new, int) and isinstance(old, int):
        return new / old
    return tf.cast(new, tf.float32) / tf.cast(old, tf.float32)


def _resized(call: Call, x: Laid, axes: dict[int, Axis], mode: str, rule: str, nearest: str) -> Laid:
    if x.rank == 4 and axes and set(axes) <= {2, 3}:
        order = channels_last(4)
        picture = in_order(x, order)
        whole = {axis: axes.get(axis) or Axis(x.sizes()[axis], x.sizes()[axis], 1.0) for axis in (2, 3)}
        result = _whole_picture(call, picture, whole[2], whole[3], mode, rule, nearest)
        if result is not None:
            return Laid(result, order)
    tensor = x.tensor
    for axis, way in axes.items():
        tensor = _along(call, tensor, x.position(axis), way, mode, rule, nearest)
    if rule == "tf_crop_and_resize":
        return Laid(_extrapolated(call, x, tensor, axes), x.order)
    return Laid(tensor, x.order)


def _whole_picture(
    call: Call, picture: tf.Tensor, height: Axis, width: Axis, mode: str, rule: str, nearest: str
) -> tf.Tensor | None:
    """TensorFlow's resize, where its rule gives what ONNX asks for; None elsewhere."""
    ways = (height, width)
    size = tf.cast(packed([height.wanted, width.wanted]), tf.int32)
    floor = (rule, nearest) == ("asymmetric", "floor")
    if mode == "nearest" and ((floor and _is_exact(ways)) or ((rule, nearest) in REPEATING and _repeats(ways))):
        return tf.raw_ops.ResizeNearestNeighbor(images=picture, size=size)
    rules = {
        "half_pixel": {"half_pixel_centers": True},
        "asymmetric": {},
        "align_corners": {"align_corners": True},
    }
    if mode != "linear" or rule not in rules or call.attribute("antialias", 0) or not _is_exact(ways):
        return None
    if picture.dtype != tf.float32 or call.attribute("exclude_outside", 0):
        return None
    return tf.raw_ops.ResizeBilinear(images=picture, size=size, **rules[rule])


def _repeats(ways: tuple[Axis, ...]) -> bool:
    """True where both axes grow by a whole factor."""
    return all(isinstance(way.scale, float) and way.scale >= 1 and way.scale == int(way.scale) for way in ways)


def _is_exact(ways: tuple[Axis, ...]) -> bool:
    """TensorFlow takes the factor from the sizes; a given scale may be another when the new size was rounded."""
    return all(
        not isinstance(way.scale, float)
        or way.scale == int(way.scale)
        or (isinstance(way.size, int) and way.size * way.scale == way.wanted)
        for way in ways
    )


Rule = Callable[[tf.Tensor, Axis, tf.Tensor, tf.Tensor], tf.Tensor]


def _symmetric(x: tf.Tensor, way: Axis, size: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    adjustment = tf.cast(way.wanted, tf.float32) / wanted
    return size / 2 * (1 - adjustment) + (x + 0.5) / way.scale - 0.5


def _cropped(x: tf.Tensor, way: Axis, size: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    start, end = way.roi
    if way.wanted == 1:
        return 0.5 * (start + end) * (size - 1) + 0 * x
    return start * (size - 1) + x * (end - start) * (size - 1) / (wanted - 1)


# Where in the source the element x of the result lies; `wanted` is the new size before it was rounded.
RULES: dict[str, Rule] = {
    "half_pixel": lambda x, way, *_: (x + 0.5) / way.scale - 0.5,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda x, way, _, wanted: tf.where(wanted > 1, (x + 0.5) / way.scale - 0.5, 0 * x),
    "asymmetric": lambda x, way, *_: x / way.scale,
    "tf_half_pixel_for_nn": lambda x, way, *_: (x + 0.5) / way.scale,
    "align_corners": lambda x, way, size, wanted: x * (size - 1) / tf.maximum(wanted - 1, 1),
    "tf_crop_and_resize": _cropped,
}
ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: tf.math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: tf.floor(x + 0.5),
    "floor": tf.floor,
    "ceil": tf.math.ceil,
}


def _places(way: Axis, rule: str) -> tf.Tensor:
    """The source coordinate of each element of the result, float32 [wanted]."""
    size = tf.cast(way.size, tf.float32)
    return RULES[rule](tf.range(tf.cast(way.wanted, tf.float32)), way, size, size * way.scale)


def _along(call: Call, tensor: tf.Tensor, place: int, way: Axis, mode: str, rule: str, nearest: str) -> tf.Tensor:
    """Resize one axis of the tensor."""
    places = _places(way, rule)
    last = tf.cast(way.size, tf.int32) - 1
    if mode == "nearest":
        chosen = tf.cast(ROUNDING[nearest](places), tf.int32)
        return tf.gather(tensor, tf.clip_by_value(chosen, 0, last), axis=place)
    taps, weights = _taps(call, places, way, mode)
    if call.attribute("exclude_outside", 0):
        inside = tf.logical_and(taps >= 0, taps <= last)
        weights = tf.where(inside, weights, 0.0)
    weights = weights / tf.reduce_sum(weights, 0, keepdims=True)
    shape = [-1 if axis == place else 1 for axis in range(len(tensor.shape))]
    taps = tf.clip_by_value(taps, 0, last)
    parts = [
        tf.gather(tensor, index, axis=place) * tf.reshape(tf.cast(weight, tensor.dtype), shape)
        for index, weight in zip(tf.unstack(taps), tf.unstack(weights), strict=True)
    ]
    return tf.add_n(parts)


def _taps(call: Call, places: tf.Tensor, way: Axis, mode: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Source indices and weights, each [taps, wanted]. Antialiasing stretches the kernel when the axis shrinks."""
    stretch = 1.0
    if call.attribute("antialias", 0):
        if not isinstance(way.scale, float):
            raise call.error("antialias needs fixed sizes", "export with fixed sizes")
        stretch = max(1.0, 1 / way.scale)
    radius = math.ceil((1 if mode == "linear" else 2) * stretch)
    offsets = np.arange(1 - radius, radius + 1, dtype=np.float32)[:, None]
    base = tf.floor(places)[None, :]
    distance = tf.abs((places[None, :] - base - offsets) / stretch)
    weights = (
        tf.maximum(1 - distance, 0)
        if mode == "linear"
        else keys_kernel(distance, call.attribute("cubic_coeff_a", -0.75))
    )
    return tf.cast(base + offsets, tf.int32), weights


def keys_kernel(distance: tf.Tensor, a: float) -> tf.Tensor:
    """Keys' kernel."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return tf.where(distance <= 1, near, tf.where(distance < 2, far, 0.0))


def _extrapolated(call: Call, x: Laid, tensor: tf.Tensor, axes: dict[int, Axis]) -> tf.Tensor:
    """Elements of a crop that lie outside the source become `extrapolation_value`."""
    for axis, way in axes.items():
        places = _places(way, "tf_crop_and_resize")
        outside = tf.logical_or(places < 0, places > tf.cast(way.size, tf.float32) - 1)
        shape = [-1 if at == x.position(axis) else 1 for at in range(x.rank)]
        fill = tf.cast(call.attribute("extrapolation_value", 0.0), tensor.dtype)
        tensor = tf.where(tf.reshape(outside, shape), fill, tensor)
    return tensor
