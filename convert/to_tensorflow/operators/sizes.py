"""Arithmetic on sizes while converting: Shape → Gather → Concat → Reshape chains become numbers, not tensors.

A shape whose sizes are all known is an int64 array. Where some are known only when the model runs, it is an array of
dtype object that holds ints and scalar integer tensors; `SIZES` says which ONNX operators compute on such arrays.
Whatever is not in it sees the sizes as one int64 tensor.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Size
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_tensor

INTEGERS = {onnx.TensorProto.INT32: tf.int32, onnx.TensorProto.INT64: tf.int64}


def as_sizes(sizes: Sequence[Size]) -> np.ndarray:
    """A vector of sizes: int64 where all are known, else object."""
    array = np.empty(len(sizes), object)
    for place, size in enumerate(sizes):  # one by one: numpy would look into the tensors
        array[place] = size
    return _tidy(array)


def packed(sizes: Sequence[Size]) -> Any:
    """Sizes as TensorFlow's functions take a shape: a list of ints, or one int64 tensor."""
    if all(isinstance(size, int) for size in sizes):
        return list(sizes)
    return tf.stack([tf.cast(size, tf.int64) for size in sizes])


def sizes_in(value: Input, count: int | None = None) -> list[Size]:
    """The elements of a one-dimensional integer input: ints where known, else scalar int64 tensors."""
    if isinstance(value, np.ndarray):
        return [tf.cast(size, tf.int64) if tf.is_tensor(size) else int(size) for size in value.ravel()]
    tensor = tf.cast(as_tensor(value), tf.int64)
    return list(tf.unstack(tf.reshape(tensor, [-1]), num=count or tensor.shape[0]))


def computed(call: Call) -> np.ndarray | None:
    """The result of a call whose inputs are all sizes; None where it is not arithmetic that `SIZES` knows."""
    inputs = [value for value in call.inputs if value is not None]
    if call.node.op not in SIZES or not inputs or not all(isinstance(value, np.ndarray) for value in inputs):
        return None
    if not any(value.dtype == object for value in inputs if isinstance(value, np.ndarray)):
        return None
    result = SIZES[call.node.op](call, *inputs)
    if result is None:
        return None
    array = _tidy(_as_array(result))
    declared = call.graph.value(call.node.outputs[0]).dtype
    return array if array.dtype == object or declared is None else array.astype(declared)


def _as_array(result: Any) -> np.ndarray:
    """NumPy gives a bare element where the result has no axes."""
    if isinstance(result, np.ndarray):
        return result
    array = np.empty((), object)
    array[()] = result
    return array


def _tidy(array: np.ndarray) -> np.ndarray:
    return array if any(tf.is_tensor(size) for size in array.flat) else array.astype(np.int64)


def _gather(call: Call, sizes: np.ndarray, indices: np.ndarray) -> Any:
    return None if indices.dtype == object else np.take(sizes, indices, axis=call.attribute("axis", 0))


def _concat(call: Call, *parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=call.attribute("axis", 0))


def _cast(call: Call, sizes: np.ndarray) -> Any:
    dtype = INTEGERS.get(call.attribute("to"))
    if dtype is None:
        return None
    return np.frompyfunc(lambda size: tf.cast(size, dtype) if tf.is_tensor(size) else size, 1, 1)(sizes)


def _squeeze(call: Call, sizes: np.ndarray, *_: np.ndarray) -> np.ndarray:
    axes = call.axes(sizes.ndim)
    return np.squeeze(sizes, axis=None if axes is None else tuple(axes))


def _unsqueeze(call: Call, sizes: np.ndarray, *_: np.ndarray) -> np.ndarray:
    axes = call.axes(sizes.ndim + len(np.atleast_1d(call.setting("axes", 1))))
    return np.expand_dims(sizes, tuple(axes or ()))


def _slice(call: Call, sizes: np.ndarray, *rest: np.ndarray) -> np.ndarray | None:
    if sizes.ndim != 1 or any(array.dtype == object for array in rest):
        return None
    start, end = (int(np.atleast_1d(call.setting(name, at))[0]) for at, name in ((1, "starts"), (2, "ends")))
    step = int(rest[3].item()) if len(rest) > 3 else 1
    return sizes[start : None if step < 0 and end < -sizes.size else end : step]


def _reshape(_: Call, sizes: np.ndarray, shape: np.ndarray) -> np.ndarray | None:
    return None if shape.dtype == object or 0 in shape else sizes.reshape(shape)


def _product(call: Call, sizes: np.ndarray, *_: np.ndarray) -> Any:
    axes = call.axes(sizes.ndim)
    return np.prod(sizes, axis=None if axes is None else tuple(axes), keepdims=bool(call.attribute("keepdims", 1)))


def _divided(_: Call, a: np.ndarray, b: np.ndarray) -> Any:
    return np.asarray(a, dtype=object) // np.asarray(b, dtype=object)


def _elementwise(function: Callable[[Any, Any], Any]) -> Callable[..., np.ndarray]:
    loop = np.frompyfunc(function, 2, 1)
    return lambda _, *arrays: functools.reduce(loop, (np.asarray(a, dtype=object) for a in arrays))


SIZES: dict[str, Callable[..., Any]] = {
    "Add": _elementwise(lambda a, b: a + b),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _divided,
    "Gather": _gather,
    "Identity": lambda _, sizes: sizes,
    "Mul": _elementwise(lambda a, b: a * b),
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _elementwise(lambda a, b: a - b),
    "Unsqueeze": _unsqueeze,
}
