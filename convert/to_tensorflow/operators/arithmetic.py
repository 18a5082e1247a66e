"""Element-wise operators: arithmetic, comparison, logic, rounding, trigonometry, casts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_laid, by_axis, elementwise, operator

UNARY: dict[str, Callable[[Any], Any]] = {
    "Abs": tf.abs,
    "Acos": tf.acos,
    "Acosh": tf.acosh,
    "Asin": tf.asin,
    "Asinh": tf.asinh,
    "Atan": tf.atan,
    "Atanh": tf.atanh,
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Cosh": tf.cosh,
    "Erf": tf.math.erf,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "IsNaN": tf.math.is_nan,
    "Log": tf.math.log,
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": tf.math.reciprocal,
    "Round": tf.round,
    "Sign": tf.sign,
    "Sin": tf.sin,
    "Sinh": tf.sinh,
    "Sqrt": tf.sqrt,
    "Tan": tf.tan,
    "BitwiseNot": tf.bitwise.invert,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": tf.add,
    "And": tf.logical_and,
    "BitwiseAnd": tf.bitwise.bitwise_and,
    "BitwiseOr": tf.bitwise.bitwise_or,
    "BitwiseXor": tf.bitwise.bitwise_xor,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "Mul": tf.multiply,
    "Or": tf.logical_or,
    "Sub": tf.subtract,
    "Xor": tf.math.logical_xor,
}
VARIADIC: dict[str, Callable[[Any, Any], Any]] = {"Max": tf.maximum, "Min": tf.minimum, "Sum": tf.add}


def _register_tables() -> None:
    for name, unary in UNARY.items():
        elementwise(name)(lambda _, x, function=unary: function(x))
    for name, binary in BINARY.items():
        elementwise(name, since=7)(lambda _, a, b, function=binary: function(a, b))
    for name, step in VARIADIC.items():
        elementwise(name, since=8)(lambda _, *xs, function=step: functools.reduce(function, xs))


_register_tables()


@elementwise("Div", since=7)
def div(_: Call, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Integers divide towards zero, as in C.

    Coordinates (numbers and vectors) are divided truly: TensorFlow turns a division by a constant into a product with
    its reciprocal, which moves the samples of a resize; it leaves `divide_no_nan` alone.
    """
    if a.dtype.is_integer:
        return tf.truncatediv(a, b)
    divisor = tf.get_static_value(b)
    if len(a.shape) <= 1 and divisor is not None and np.all(divisor):
        return tf.math.divide_no_nan(a, b)
    return tf.divide(a, b)


@elementwise("Mod")
def mod(call: Call, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """`fmod` gives the sign of the dividend, else of the divisor."""
    return tf.truncatemod(a, b) if call.attribute("fmod", 0) else tf.math.floormod(a, b)


@elementwise("Pow", since=7)
def power(_: Call, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The result has the type of the base, whatever the exponent's."""
    if a.dtype == b.dtype and not a.dtype.is_integer:
        return tf.pow(a, b)
    wide = tf.float64 if b.dtype.is_floating or a.dtype.is_floating else a.dtype
    return tf.cast(tf.pow(tf.cast(a, wide), tf.cast(b, wide)), a.dtype)


@elementwise("Mean", since=8)
def mean(_: Call, *tensors: tf.Tensor) -> tf.Tensor:
    return functools.reduce(tf.add, tensors) / len(tensors)


@elementwise("Where", since=9)
def where(_: Call, condition: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.where(condition, a, b)


@elementwise("Clip", since=6)
def clip(call: Call, x: tf.Tensor, low: tf.Tensor = None, high: tf.Tensor = None) -> tf.Tensor:
    """Bounds are attributes until opset 10, then inputs; low above high gives high."""
    low = call.attribute("min") if low is None else low
    high = call.attribute("max") if high is None else high
    if _is(low, 0) and _is(high, 6) and x.dtype.is_floating:
        return tf.nn.relu6(x)
    if low is not None:
        x = tf.maximum(x, tf.cast(low, x.dtype))
    return x if high is None else tf.minimum(x, tf.cast(high, x.dtype))


def _is(value: Any, number: float) -> bool:
    known = tf.get_static_value(value) if tf.is_tensor(value) else value
    return known is not None and np.ndim(known) == 0 and float(known) == number


@elementwise("IsInf")
def is_inf(call: Call, x: tf.Tensor) -> tf.Tensor:
    found = tf.math.is_inf(x)
    if not call.attribute("detect_negative", 1):
        found = tf.logical_and(found, x > 0)
    return found if call.attribute("detect_positive", 1) else tf.logical_and(found, x < 0)


@elementwise("BitShift")
def bit_shift(call: Call, x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """A count outside the type's width shifts every bit out; TensorFlow leaves that open."""
    bits = 8 * x.dtype.size
    inside = tf.logical_and(count >= 0, count < bits)
    if call.attribute("direction") == "LEFT":
        return tf.where(inside, tf.bitwise.left_shift(x, tf.where(inside, count, 0)), 0)
    return tf.bitwise.right_shift(x, tf.where(inside, count, bits - 1))


@elementwise("Cast")
def cast(call: Call, x: tf.Tensor) -> tf.Tensor:
    return _converted(x, element_type(call, "to"))


@by_axis("CastLike")
def cast_like(call: Call, data: Input, _: Input) -> Laid:
    x = as_laid(data)
    assert x is not None
    return Laid(_converted(x.tensor, call.tensor(1).dtype), x.order)


def _converted(x: tf.Tensor, dtype: Any) -> tf.Tensor:
    """TensorFlow turns a number into a bool by comparing with 0, as ONNX does, but only when asked."""
    return tf.not_equal(x, tf.zeros((), x.dtype)) if dtype == tf.bool and x.dtype != tf.bool else tf.cast(x, dtype)


def element_type(call: Call, name: str) -> Any:
    """The TensorFlow type for an attribute that holds an ONNX data type number."""
    import onnx

    try:
        return tf.dtypes.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(call.attribute(name)))
    except (KeyError, TypeError) as error:
        raise call.error(
            f"element type {call.attribute(name)} does not exist in TensorFlow", "export the model without it"
        ) from error


@operator("CumSum")
def cumsum(call: Call, x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return tf.cumsum(x, **_running(call))


@operator("CumProd")
def cumprod(call: Call, x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return tf.math.cumprod(x, **_running(call))


def _running(call: Call) -> dict[str, Any]:
    axis = call.constant(1, "axis")
    assert axis is not None
    return {
        "axis": int(axis.item()),
        "exclusive": bool(call.attribute("exclusive", 0)),
        "reverse": bool(call.attribute("reverse", 0)),
    }
