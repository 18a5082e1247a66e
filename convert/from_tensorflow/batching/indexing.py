"""Rules for operators that take parts of a tensor; on sizes that are known they give constants."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import Context, constant, sizes_in, static
from zoo.convert.from_tensorflow.batching.value import NotBatched, Value, as_stacked, stacked
from zoo.convert.from_tensorflow.graph import Node

MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def strided_slice(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, *bounds = values
    if not all(bound.is_shared for bound in bounds):
        raise NotBatched(f"{node}: its bounds differ from image to image")
    begin, end, strides = (bound.tensor for bound in bounds)
    masks = {mask: node.integer(mask) for mask in MASKS}
    if value.is_shared:
        known = _known_sizes(value.tensor, begin, end, strides, masks)
        return [Value(known if known is not None else tf.strided_slice(value.tensor, begin, end, strides, **masks))]
    value = as_stacked(value, value.images)
    zero, one = tf.zeros([1], begin.dtype), tf.ones([1], begin.dtype)
    wider = {mask: number << 1 for mask, number in masks.items()}
    wider["begin_mask"] |= 1
    wider["end_mask"] |= 1
    bounds_of_all = (tf.concat([extra, bound], 0) for extra, bound in ((zero, begin), (zero, end), (one, strides)))
    return [value.with_tensor(tf.strided_slice(value.tensor, *bounds_of_all, **wider))]


def _known_sizes(tensor: Any, begin: Any, end: Any, strides: Any, masks: dict[str, int]) -> Any:
    """The slice as a constant where `tensor` holds sizes and those that are taken are known; else None."""
    sizes = sizes_in(tensor)
    bounds = [static(bound) for bound in (begin, end, strides)]
    if sizes is None or any(bound is None or bound.size != 1 for bound in bounds):
        return None
    if masks["ellipsis_mask"] or masks["new_axis_mask"]:
        return None
    first, last, step = (int(bound.item()) for bound in bounds if bound is not None)
    if masks["shrink_axis_mask"]:
        taken: list[int | None] = [sizes[first]]
    else:
        taken = sizes[slice(None if masks["begin_mask"] else first, None if masks["end_mask"] else last, step)]
    if None in taken:
        return None
    return tf.constant(taken[0] if masks["shrink_axis_mask"] else taken, tensor.dtype)


def slice_(context: Context, node: Node, values: list[Value]) -> list[Value]:
    value, begin, size = values
    if not begin.is_shared or not size.is_shared:
        raise NotBatched(f"{node}: its bounds differ from image to image")
    if value.is_shared:
        return [Value(tf.slice(value.tensor, begin.tensor, size.tensor))]
    value = as_stacked(value, value.images)
    zero = tf.zeros([1], begin.tensor.dtype)
    return [
        value.with_tensor(
            tf.slice(
                value.tensor,
                *(tf.concat([extra, bound.tensor], 0) for extra, bound in ((zero, begin), (zero - 1, size))),
            )
        )
    ]


def gather(context: Context, node: Node, values: list[Value]) -> list[Value]:
    table, index, *axis_value = values
    axis = int(constant(axis_value[0], node, "axis").item()) if axis_value else 0
    batch_dims = node.integer("batch_dims")
    if table.is_shared and index.is_shared:
        return [Value(_gathered_sizes(table.tensor, index.tensor, axis, batch_dims))]
    axis = axis % table.rank
    if table.is_shared:
        if axis or batch_dims:
            raise NotBatched(f"{node}: a shared table is only indexed along its first axis")
        index = as_stacked(index, index.images)
        return [index.with_tensor(tf.gather(table.tensor, index.tensor))]
    images = table.images
    table = as_stacked(table, images)
    if index.is_shared and not batch_dims:
        return [table.with_tensor(tf.gather(table.tensor, index.tensor, axis=axis + 1))]
    index = as_stacked(index, images)
    return [stacked(tf.gather(table.tensor, index.tensor, axis=axis + 1, batch_dims=batch_dims + 1), images)]


def _gathered_sizes(table: Any, index: Any, axis: int, batch_dims: int) -> Any:
    sizes, taken = sizes_in(table), static(index)
    if sizes is not None and taken is not None and taken.ndim <= 1:
        picked = [sizes[int(position)] for position in taken.ravel()]
        if None not in picked:
            return tf.constant(picked if taken.ndim else picked[0], table.dtype)
    return tf.gather(table, index, axis=axis, batch_dims=batch_dims)


RULES = {"StridedSlice": strided_slice, "Slice": slice_, "GatherV2": gather, "Gather": gather}
ALSO_SHARED = set(RULES)
"""Operators whose rule also does better than a plain copy on SHARED values: sizes become constants."""
