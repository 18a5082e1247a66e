"""Operators that reduce axes to one number, or to the place of the largest or smallest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, without
from zoo.convert.to_tensorflow.operators.shape import laid
from zoo.convert.to_tensorflow.operators.table import Call, Input, by_axis

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, axes, keepdims: tf.reduce_sum(tf.abs(x), axes, keepdims),
    "ReduceL2": lambda x, axes, keepdims: _root(tf.reduce_sum(tf.square(x), axes, keepdims)),
    "ReduceLogSum": lambda x, axes, keepdims: tf.math.log(tf.reduce_sum(x, axes, keepdims)),
    "ReduceLogSumExp": tf.reduce_logsumexp,
    "ReduceMax": lambda x, axes, keepdims: _of_bools(tf.reduce_any, tf.reduce_max, x, axes, keepdims),
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": lambda x, axes, keepdims: _of_bools(tf.reduce_all, tf.reduce_min, x, axes, keepdims),
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
    "ReduceSumSquare": lambda x, axes, keepdims: tf.reduce_sum(tf.square(x), axes, keepdims),
}


def _root(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.sqrt(tf.cast(x, tf.float64)), x.dtype) if x.dtype.is_integer else tf.sqrt(x)


def _of_bools(of_bools: Any, of_numbers: Any, x: tf.Tensor, axes: list[int], keepdims: bool) -> tf.Tensor:
    return (of_bools if x.dtype == tf.bool else of_numbers)(x, axes, keepdims)


@by_axis(*REDUCTIONS)
def reduce(call: Call, data: Input, _: Input = None) -> Laid:
    x = laid(data)
    axes = call.axes(x.rank)
    if not axes and call.attribute("noop_with_empty_axes", 0):
        axes = []
    elif not axes:
        axes = list(range(x.rank))
    keep = bool(call.attribute("keepdims", 1))
    result = REDUCTIONS[call.node.op](x.tensor, [x.position(axis) for axis in axes], keep)
    return Laid(result, x.order) if keep else without(x, axes, result)


@by_axis("ArgMax", "ArgMin")
def arg_best(call: Call, data: Input) -> Laid:
    """Of equal elements the first, or the last with `select_last_index`."""
    x = laid(data)
    axis = call.attribute("axis", 0) % x.rank
    place = x.position(axis)
    best = tf.argmax if call.node.op == "ArgMax" else tf.argmin
    if call.attribute("select_last_index", 0):
        last = tf.shape(x.tensor, out_type=tf.int64)[place] - 1
        result = last - best(tf.reverse(x.tensor, [place]), place)
    else:
        result = best(x.tensor, place)
    if call.attribute("keepdims", 1):
        return Laid(tf.expand_dims(result, place), x.order)
    return without(x, [axis], result)
