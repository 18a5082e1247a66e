"""Operators that pick or place elements by index, and those that find indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, in_order, logical, plain, without
from zoo.convert.to_tensorflow.operators.shape import laid
from zoo.convert.to_tensorflow.operators.sizes import sizes_in
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_tensor, by_axis, operator


def counted_from_front(indices: Input, size: Any) -> tf.Tensor:
    """Indices without the negative ones, which count from the end; `size` broadcasts against them."""
    if isinstance(indices, np.ndarray) and indices.dtype != object and (indices >= 0).all():
        return tf.constant(indices)
    tensor = as_tensor(indices)
    return tf.where(tensor < 0, tensor + tf.cast(size, tensor.dtype), tensor)


@by_axis("Gather")
def gather(call: Call, data: Input, indices: Input) -> Laid:
    x = laid(data)
    axis = call.attribute("axis", 0) % x.rank
    place = x.position(axis)
    chosen = counted_from_front(indices, tf.shape(x.tensor)[place])
    if len(chosen.shape) == 0:
        return without(x, [axis], tf.gather(x.tensor, chosen, axis=place))
    if len(chosen.shape) == 1:
        return Laid(tf.gather(x.tensor, chosen, axis=place), x.order)
    return plain(tf.gather(logical(x), chosen, axis=axis))


@by_axis("GatherND")
def gather_nd(call: Call, data: Input, indices: Input) -> Laid:
    tensor = logical(laid(data))
    batch = call.attribute("batch_dims", 0)
    depth = indices.shape[-1] if indices is not None else 0
    return plain(tf.gather_nd(tensor, counted_from_front(indices, tf.shape(tensor)[batch : batch + depth]), batch))


@by_axis("GatherElements")
def gather_elements(call: Call, data: Input, indices: Input) -> Laid:
    tensor = logical(laid(data))
    return plain(tf.gather_nd(tensor, _coordinates(call, tensor, indices)))


def _coordinates(call: Call, tensor: tf.Tensor, indices: Input) -> tf.Tensor:
    """For each element of `indices` the full coordinate that it means: its own place, but on `axis` its value."""
    axis = call.attribute("axis", 0) % len(tensor.shape)
    chosen = counted_from_front(indices, tf.shape(tensor)[axis])
    sizes = tf.shape(chosen, out_type=chosen.dtype)
    grid = tf.meshgrid(*(tf.range(sizes[i]) for i in range(len(tensor.shape))), indexing="ij")
    return tf.stack([*grid[:axis], chosen, *grid[axis + 1 :]], -1)


SCATTERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "none": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
    "mul": lambda tensor, places, updates: _scatter_product(tensor, places, updates),
}


def _scatter_product(tensor: tf.Tensor, places: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """TensorFlow cannot multiply in place: multiply what goes to one place first."""
    depth = places.shape[-1]
    sizes = tf.shape(tensor, out_type=places.dtype)
    strides = tf.math.cumprod(sizes[:depth], exclusive=True, reverse=True)
    rows = tf.reshape(tf.reduce_sum(places * strides, -1), [-1])
    flat = tf.reshape(updates, tf.concat([tf.shape(rows, places.dtype), sizes[depth:]], 0))
    factors = tf.math.unsorted_segment_prod(flat, rows, tf.reduce_prod(sizes[:depth]))
    return tensor * tf.reshape(factors, sizes)


@by_axis("ScatterND", since=11)
def scatter_nd(call: Call, data: Input, indices: Input, updates: Input) -> Laid:
    tensor = logical(laid(data))
    depth = indices.shape[-1] if indices is not None else 0
    places = counted_from_front(indices, tf.shape(tensor)[:depth])
    return plain(SCATTERS[call.attribute("reduction", "none")](tensor, places, as_tensor(updates)))


@by_axis("ScatterElements", "Scatter", since=9)
def scatter_elements(call: Call, data: Input, indices: Input, updates: Input) -> Laid:
    tensor = logical(laid(data))
    places = _coordinates(call, tensor, indices)
    return plain(SCATTERS[call.attribute("reduction", "none")](tensor, places, as_tensor(updates)))


@by_axis("TopK")
def top_k(call: Call, data: Input, _: Input = None) -> tuple[Laid, Laid]:
    """Equal elements in the order of their places, as ONNX wants; `sorted` = 0 permits any order, so also this one."""
    x = laid(data)
    axis = call.attribute("axis", -1) % x.rank
    order = (*(other for other in x.order if other != axis), axis)
    tensor = in_order(x, order)
    count = call.attribute("k") if "k" in call.node.attributes else sizes_in(call.input(1), 1)[0]
    count = count if isinstance(count, int) else tf.cast(count, tf.int32)
    if call.attribute("largest", 1):
        values, places = tf.math.top_k(tensor, count)
    else:
        places = tf.argsort(tensor, axis=-1, stable=True)[..., :count]
        values = tf.gather(tensor, places, batch_dims=len(tensor.shape) - 1)
    return Laid(values, order), Laid(tf.cast(places, tf.int64), order)


@operator("NonZero", since=9)
def non_zero(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.transpose(tf.where(x if x.dtype == tf.bool else tf.not_equal(x, tf.zeros((), x.dtype))))


@operator("Compress", since=9)
def compress(call: Call, x: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    axis = call.attribute("axis")
    x = tf.reshape(x, [-1]) if axis is None else x
    return tf.gather(x, tf.where(condition)[:, 0], axis=axis or 0)


@operator("OneHot", since=9)
def one_hot(call: Call, indices: tf.Tensor, depth: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    size = tf.cast(tf.reshape(depth, []), tf.int32)
    chosen = tf.cast(indices, tf.int64)
    chosen = tf.where(chosen < 0, chosen + tf.cast(size, tf.int64), chosen)
    axis = call.attribute("axis", -1)
    place = axis if axis >= 0 else axis + len(indices.shape) + 1
    return tf.one_hot(chosen, size, values[1], values[0], axis=-1 if place == len(indices.shape) else place)


@operator("Unique", since=11)
def unique(call: Call, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Values, place of their first appearance, for each element the number of its value, and counts."""
    axis = call.attribute("axis")
    x = tf.reshape(x, [-1]) if axis is None else x
    axis = (axis or 0) % len(x.shape)
    rows = tf.transpose(x, [axis, *(other for other in range(len(x.shape)) if other != axis)])
    _, inverse, counts = tf.raw_ops.UniqueWithCountsV2(x=rows, axis=[0], out_idx=tf.int64)
    length = tf.shape(counts, out_type=tf.int64)[0]
    first = tf.math.unsorted_segment_min(tf.range(tf.size(inverse, out_type=tf.int64)), inverse, length)
    if call.attribute("sorted", 1):
        ranking = _row_order(tf.gather(rows, first))
        first, counts = tf.gather(first, ranking), tf.gather(counts, ranking)
        inverse = tf.gather(tf.argsort(ranking), inverse)
    return tf.gather(x, first, axis=axis), first, tf.cast(inverse, tf.int64), counts


def _row_order(rows: tf.Tensor) -> tf.Tensor:
    """The order that sorts rows by their first column, then the second, and so on."""
    flat = tf.reshape(rows, [tf.shape(rows)[0], int(np.prod(rows.shape[1:]))])
    order = tf.range(tf.shape(flat)[0])
    for column in reversed(range(flat.shape[1])):
        order = tf.gather(order, tf.argsort(tf.gather(flat[:, column], order), stable=True))
    return order
