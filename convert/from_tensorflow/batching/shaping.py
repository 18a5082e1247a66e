"""Rules for operators that move, join, split and reshape: what is said of axis k of one image holds for axis k + 1."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import Context, constant, sizes_in, static
from zoo.convert.from_tensorflow.batching.leading import inferred_shape
from zoo.convert.from_tensorflow.batching.value import (
    Dim,
    Layout,
    NotBatched,
    Value,
    as_stacked,
    folded,
    reshaped,
    sizes_of,
    stacked,
)
from zoo.convert.from_tensorflow.graph import Node


def shape_of(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """Shape: the sizes of one image's value, as constants where they are known."""
    (value,) = values
    dtype = tf.as_dtype(node.attributes["out_type"].type) if "out_type" in node.attributes else tf.int32
    tensor = value.tensor
    sizes: list[Dim]
    if value.layout is Layout.STACKED:
        sizes = sizes_of(tensor)[1:]
    elif value.layout is Layout.FOLDED:
        rows = value.rows if value.rows is not None else tf.shape(tensor)[0] // value.images
        sizes = [rows, *sizes_of(tensor)[1:]]
    elif tensor.shape.rank is None:
        return [Value(tf.shape(tensor, dtype))]
    else:
        sizes = sizes_of(tensor)
    if all(isinstance(size, int) for size in sizes):
        return [Value(tf.constant(sizes, dtype))]
    return [Value(tf.cast(tf.stack(sizes), dtype))]


def reshape(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, shape = values
    if not shape.is_shared:
        raise NotBatched(f"{node}: its shape differs from image to image")
    if value.is_shared:
        (tensor,) = context.copy(node, [value.tensor, shape.tensor])
        known = inferred_shape(value.tensor, shape.tensor)
        if known is not None:
            tensor.set_shape(known)
        return [Value(tensor)]
    target = _target(value, shape.tensor)
    if target[0:1] == [1] and value.rows == 1:
        return [folded(reshaped(value.tensor, [_rest(target[1:], value.images), *target[1:]]), value.images, 1)]
    value = as_stacked(value, value.images)
    return [stacked(reshaped(value.tensor, [_rest(target, value.images), *target]), value.images)]


def _rest(target: list[Dim], otherwise: Any = None) -> Dim:
    """The leading size: left to be inferred where all others are known, else the number of images."""
    return otherwise if None in target else None


def _target(value: Value, shape: Any) -> list[Dim]:
    """The sizes to reshape one image's value to; None for the -1 that cannot be resolved."""
    known = sizes_in(shape)
    if known is None:
        raise NotBatched(f"the rank that {value.tensor.name!r} is reshaped to is not known")
    exact = static(shape)
    target: list[Dim] = list(known)
    if exact is not None:
        target = [None if size == -1 else int(size) for size in exact]
    else:
        running = tf.cast(shape, tf.int32)
        target = [size if size is not None else running[axis] for axis, size in enumerate(known)]
    if target.count(None) == 1 and all(isinstance(size, int) for size in target if size is not None):
        inner = value.inner
        others = math.prod(size for size in target if size is not None)
        if None not in inner and others:
            target[target.index(None)] = math.prod(inner) // others  # type: ignore[arg-type]
    return target


def squeeze(context: Context, node: Node, values: list[Value]) -> list[Value]:
    (value,) = values
    dims = node.integers("squeeze_dims")
    axes = [axis % value.rank for axis in dims] if dims else [i for i, size in enumerate(value.inner) if size == 1]
    if value.layout is Layout.FOLDED and 0 not in axes:
        return [value.with_tensor(tf.squeeze(value.tensor, axes) if axes else value.tensor)]
    value = as_stacked(value, value.images)
    return [value.with_tensor(tf.squeeze(value.tensor, [axis + 1 for axis in axes]) if axes else value.tensor)]


def expand_dims(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, axis_value = values
    axis = int(constant(axis_value, node, "axis").item())
    axis = axis + value.rank + 1 if axis < 0 else axis
    if axis == 0 and value.layout is Layout.STACKED:
        return [folded(value.tensor, value.images, 1)]
    value = as_stacked(value, value.images)
    return [value.with_tensor(tf.expand_dims(value.tensor, axis + 1))]


def pack(context: Context, node: Node, values: list[Value]) -> list[Value]:
    images = next(value.images for value in values if not value.is_shared)
    rank = max(value.rank for value in values)
    axis = node.integer("axis") % (rank + 1)
    tensors = [as_stacked(value, images).tensor for value in values]
    if axis == 0 and len(values) == 1:
        return [folded(tensors[0], images, 1)]
    return [stacked(tf.stack(tensors, axis + 1), images)]


def unpack(context: Context, node: Node, values: list[Value]) -> list[Value]:
    (value,) = values
    axis = node.integer("axis") % value.rank
    if axis == 0 and value.rows == 1:
        return [stacked(value.tensor, value.images)]
    value = as_stacked(value, value.images)
    return [value.with_tensor(part) for part in tf.unstack(value.tensor, node.integer("num"), axis + 1)]


def concat(context: Context, node: Node, values: list[Value]) -> list[Value]:
    *parts, axis_value = values
    images = next(value.images for value in parts if not value.is_shared)
    axis = int(constant(axis_value, node, "axis").item()) % parts[0].rank
    first = parts[0]
    if axis and all(part.layout is Layout.FOLDED and part.rows == first.rows is not None for part in parts):
        return [first.with_tensor(tf.concat([part.tensor for part in parts], axis))]
    return [stacked(tf.concat([as_stacked(part, images).tensor for part in parts], axis + 1), images)]


def split(context: Context, node: Node, values: list[Value]) -> list[Value]:
    axis_value, value = values
    axis = int(constant(axis_value, node, "axis").item()) % value.rank
    value = as_stacked(value, value.images)
    return [value.with_tensor(part) for part in tf.split(value.tensor, node.integer("num_split"), axis + 1)]


def split_v(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, sizes, axis_value = values
    axis = int(constant(axis_value, node, "axis").item()) % value.rank
    value = as_stacked(value, value.images)
    parts = tf.split(value.tensor, constant(sizes, node, "sizes").tolist(), axis + 1)
    return [value.with_tensor(part) for part in parts]


def transpose(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, order = values
    axes = constant(order, node, "order of axes").tolist()
    if value.layout is Layout.FOLDED and axes[0] == 0:
        return [value.with_tensor(tf.transpose(value.tensor, axes))]
    value = as_stacked(value, value.images)
    return [value.with_tensor(tf.transpose(value.tensor, [0, *(axis + 1 for axis in axes)]))]


def tile(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, multiples = values
    if not multiples.is_shared:
        raise NotBatched(f"{node}: its multiples differ from image to image")
    value = as_stacked(value, value.images)
    one = tf.ones([1], multiples.tensor.dtype)
    return [value.with_tensor(tf.tile(value.tensor, tf.concat([one, multiples.tensor], 0)))]


def broadcast_to(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, shape = values
    value = as_stacked(value, value.images)
    sizes = sizes_in(shape.tensor)
    if not shape.is_shared or sizes is None or len(sizes) != value.rank:
        raise NotBatched(f"{node}: the shape it is broadcast to is not known")
    count = tf.reshape(tf.cast(value.images, shape.tensor.dtype), [1])
    return [value.with_tensor(tf.broadcast_to(value.tensor, tf.concat([count, shape.tensor], 0)))]


def reduce(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, axes_value = values
    axes = [int(axis) % value.rank for axis in constant(axes_value, node, "axes").ravel()]
    if value.layout is not Layout.FOLDED or 0 in axes:
        value = as_stacked(value, value.images)
        axes = [axis + 1 for axis in axes]
    shape = [] if node.op in ("ArgMax", "ArgMin") else [len(axes)]
    where = tf.constant(axes[0] if not shape else axes, axes_value.tensor.dtype)
    return [value.with_tensor(tensor) for tensor in context.copy(node, [value.tensor, where])]


def along_last(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """Softmax and TopK: they work along the last axis, whatever lies before it."""
    value, *rest = values
    if not all(other.is_shared for other in rest):
        raise NotBatched(f"{node}: its number of results differs from image to image")
    if value.layout is Layout.FOLDED and value.rank == 1:
        value = as_stacked(value, value.images)
    outputs = context.copy(node, [value.tensor, *(other.tensor for other in rest)])
    return [value.with_tensor(tensor) for tensor in outputs]


RULES = {
    "Shape": shape_of,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "ExpandDims": expand_dims,
    "Pack": pack,
    "Unpack": unpack,
    "ConcatV2": concat,
    "Split": split,
    "SplitV": split_v,
    "Transpose": transpose,
    "Tile": tile,
    "BroadcastTo": broadcast_to,
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "ArgMax", "ArgMin"), reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopKV2", "TopK"), along_last),
}
