"""Operators of detectors: suppression of overlapping boxes, and sampling of feature maps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import plain
from zoo.convert.to_tensorflow.operators.sizes import sizes_in
from zoo.convert.to_tensorflow.operators.table import Call, operator


@operator("NonMaxSuppression", since=10)
def non_max_suppression(call: Call, boxes: tf.Tensor, scores: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    """Rows of (batch, class, box), int64 [K, 3]: by batch, then class, then falling score.

    TensorFlow's kernel keeps, as ONNX does, a box whose score is above the threshold and whose overlap with all
    better ones is not above the other; it runs once for each batch and class.
    """
    if call.attribute("center_point_box", 0):
        x, y, width, height = tf.unstack(boxes, axis=-1)
        boxes = tf.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1)
    limit = sizes_in(call.input(2), 1)[0] if call.has(2) else 0
    overlap = _number(call, 3, 0.0)
    threshold = _number(call, 4, -float("inf"))
    batches, classes, count = plain(scores).sizes()
    most = min(limit, count) if isinstance(limit, int) and isinstance(count, int) else None
    limit = most if most is not None else tf.cast(tf.minimum(tf.cast(limit, tf.int64), count), tf.int32)
    classes = tf.cast(classes, tf.int32)

    def one(pair: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch, kind = pair // classes, pair % classes
        chosen, valid = tf.raw_ops.NonMaxSuppressionV4(
            boxes=boxes[batch],
            scores=scores[batch, kind],
            max_output_size=limit,
            iou_threshold=overlap,
            score_threshold=threshold,
            pad_to_max_output_size=True,
        )
        row = tf.stack([tf.fill([limit], batch), tf.fill([limit], kind), chosen], -1)
        return row, tf.range(limit) < valid

    signature = (tf.TensorSpec([most, 3], tf.int32), tf.TensorSpec([most], tf.bool))
    rows, kept = tf.map_fn(one, tf.range(tf.cast(batches, tf.int32) * classes), fn_output_signature=signature)
    return tf.cast(tf.boolean_mask(tf.reshape(rows, [-1, 3]), tf.reshape(kept, [-1])), tf.int64)


def _number(call: Call, position: int, default: float) -> tf.Tensor:
    return tf.reshape(call.tensor(position), []) if call.has(position) else tf.constant(default)


@operator("RoiAlign", since=10)
def roi_align(call: Call, x: tf.Tensor, rois: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Each bin of a region is the mean of bilinear samples on a regular grid inside it; in mode "max" the largest
    share that one of a sample's four neighbours has in it, as ONNX defines it.

    Without a fixed `sampling_ratio` each region has its own number of samples: all get the largest, masked.
    """
    height, width = call.attribute("output_height", 1), call.attribute("output_width", 1)
    half = 0.5 if _aligned_default(call) else 0.0
    scaled = rois * call.attribute("spatial_scale", 1.0) - half
    left, top, right, bottom = tf.unstack(scaled, axis=-1)
    spans = [bottom - top, right - left]
    if not half:
        spans = [tf.maximum(span, 1.0) for span in spans]
    rows = _sample_places(call, top, spans[0], height)
    columns = _sample_places(call, left, spans[1], width)
    image = tf.transpose(x, [0, 2, 3, 1])
    shares = _samples(image, tf.cast(batch, tf.int32), rows[0], columns[0])  # four times [R, h, sh, w, sw, C]
    kept = rows[1][:, None, :, None, None, None] & columns[1][:, None, None, None, :, None]
    if call.attribute("mode", "avg") == "max":
        results = functools.reduce(tf.maximum, shares)
        pooled = tf.reduce_max(tf.where(kept, results, results.dtype.min), [2, 4])
    else:
        results = tf.add_n(shares)
        count = tf.reduce_sum(tf.cast(kept, x.dtype), [2, 4])
        pooled = tf.reduce_sum(tf.where(kept, results, 0.0), [2, 4]) / tf.maximum(count, 1)
    return tf.transpose(pooled, [0, 3, 1, 2])


def _aligned_default(call: Call) -> bool:
    default = "half_pixel" if call.opset >= 16 else "output_half_pixel"
    return bool(call.attribute("coordinate_transformation_mode", default) == "half_pixel")


def _sample_places(call: Call, start: tf.Tensor, span: tf.Tensor, bins: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Coordinates of the samples of each region, [R, bins, samples], and which of them count, [R, samples]."""
    step = span / bins
    ratio = call.attribute("sampling_ratio", 0)
    counts = tf.fill(tf.shape(step), float(ratio)) if ratio > 0 else tf.maximum(tf.math.ceil(step), 1.0)
    most = tf.range(float(ratio)) if ratio > 0 else tf.range(tf.reduce_max(tf.concat([counts, [1.0]], 0)))
    inside = (most[None, :] + 0.5) * (step / counts)[:, None]
    places = start[:, None, None] + tf.range(float(bins))[None, :, None] * step[:, None, None] + inside[:, None, :]
    return places, most[None, :] < counts[:, None]


def _samples(image: tf.Tensor, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> list[tf.Tensor]:
    """What the four neighbours give to the bilinear sample at every row × column, each [R, h, sh, w, sw, C].

    Samples further than 1 outside the map are 0.
    """
    sizes = tf.shape(image)
    y = _corners(rows, sizes[1])
    x = _corners(columns, sizes[2])
    shares = []
    for row, row_weight in y:
        for column, column_weight in x:
            at_row, at_column = row[:, :, :, None, None], column[:, None, None, :, :]
            at_row, at_column = at_row + 0 * at_column, at_column + 0 * at_row
            at_batch = 0 * at_row + batch[:, None, None, None, None]
            weight = row_weight[:, :, :, None, None] * column_weight[:, None, None, :, :]
            shares.append(tf.gather_nd(image, tf.stack([at_batch, at_row, at_column], -1)) * weight[..., None])
    return shares


def _corners(places: tf.Tensor, size: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The two neighbours of each coordinate with their weights."""
    last = tf.cast(size, places.dtype) - 1
    inside = tf.cast((places >= -1) & (places <= last + 1), places.dtype)
    places = tf.clip_by_value(places, 0, last)
    low = tf.floor(places)
    high = tf.minimum(low + 1, last)
    weight = places - low
    return [(tf.cast(low, tf.int32), (1 - weight) * inside), (tf.cast(high, tf.int32), weight * inside)]


@operator("GridSample", since=16)
def grid_sample(call: Call, x: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Samples of N, C, spatial… at the places in `grid` (−1…1, last spatial axis first)."""
    mode = call.attribute("mode", "linear").replace("bilinear", "linear").replace("bicubic", "cubic")
    image = tf.transpose(x, [0, *range(2, len(x.shape)), 1])
    sizes = tf.cast(tf.shape(image)[1:-1], x.dtype)
    aligned = bool(call.attribute("align_corners", 0))
    places = tf.reverse(grid, [-1])
    places = (places + 1) / 2 * (sizes - 1) if aligned else ((places + 1) * sizes - 1) / 2
    padding = call.attribute("padding_mode", "zeros")
    if mode != "cubic":
        places = _PADDINGS[padding](places, sizes, aligned)
    result: Any = 0.0
    for offsets, weight in _neighbours(places, mode):
        result += _picked(image, offsets, sizes, padding, aligned) * weight[..., None]
    return tf.transpose(result, [0, len(x.shape) - 1, *range(1, len(x.shape) - 1)])


def _neighbours(places: tf.Tensor, mode: str) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The source elements that count at each place, as (coordinates, weight) pairs."""
    from zoo.convert.to_tensorflow.operators.resize import keys_kernel

    if mode == "nearest":
        return [(tf.round(places), tf.ones_like(places[..., 0]))]
    base = tf.floor(places)
    reach = range(2) if mode == "linear" else range(-1, 3)
    found: list[tuple[list[tf.Tensor], Any]] = [([], 1.0)]
    for axis in range(places.shape[-1]):
        here, low = places[..., axis], base[..., axis]
        choices = []
        for offset in reach:
            distance = tf.abs(here - low - offset)
            choices.append((low + offset, 1 - distance if mode == "linear" else keys_kernel(distance, -0.75)))
        found = [([*at, place], weight * more) for at, weight in found for place, more in choices]
    return [(tf.stack(at, -1), weight) for at, weight in found]


def _picked(image: tf.Tensor, places: tf.Tensor, sizes: tf.Tensor, padding: str, aligned: bool) -> tf.Tensor:
    """The elements of each batch at whole coordinates; outside the map by the padding rule, or 0."""
    places = _PADDINGS[padding](places, sizes, aligned)
    inside = tf.reduce_all((places >= 0) & (places <= sizes - 1), -1)
    chosen = tf.cast(tf.clip_by_value(places, 0, sizes - 1), tf.int32)
    return tf.where(inside[..., None], tf.gather_nd(image, chosen, batch_dims=1), tf.zeros((), image.dtype))


def _reflected(places: tf.Tensor, sizes: tf.Tensor, aligned: bool) -> tf.Tensor:
    """Mirror at the centres of the border elements, or at their outer edges."""
    low, high = (0.0, sizes - 1) if aligned else (-0.5, sizes - 0.5)
    span = tf.maximum(high - low, 1e-6)
    distance = tf.math.floormod(places - low, 2 * span)
    return tf.where(distance > span, 2 * span - distance, distance) + low


_PADDINGS: dict[str, Callable[[Any, Any, bool], Any]] = {
    "zeros": lambda places, sizes, _: places,
    "border": lambda places, sizes, _: tf.clip_by_value(places, 0, sizes - 1),
    "reflection": _reflected,
}


@operator("AffineGrid", since=20)
def affine_grid(call: Call, theta: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """The places that an affine map sends a regular grid to, last spatial axis first."""
    sizes = sizes_in(call.input(1), theta.shape[1] + 2)[2:]
    axes = []
    for size in sizes:
        count = tf.cast(size, theta.dtype)
        steps = tf.range(count)
        if call.attribute("align_corners", 0):
            axes.append(steps * 2 / tf.maximum(count - 1, 1) - 1)
        else:
            axes.append((steps * 2 + 1) / count - 1)
    grid = tf.meshgrid(*axes, indexing="ij")
    homogeneous = tf.stack([*reversed(grid), tf.ones_like(grid[0])], -1)
    flat = tf.reshape(homogeneous, [1, -1, len(sizes) + 1])
    result = tf.matmul(flat, theta, transpose_b=True)
    return tf.reshape(result, tf.concat([tf.shape(theta)[:1], tf.shape(grid[0]), [len(sizes)]], 0))
