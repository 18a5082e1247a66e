"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, plain
from zoo.convert.to_tensorflow.operators.table import Call, Input, by_axis, operator


@by_axis("MatMul")
def matmul(call: Call, a: Input, b: Input) -> Laid:
    """NumPy's rule: vectors become a row or a column for the product, and the axis goes again."""
    left, right = _factor(call, 0), _factor(call, 1)
    row, column = len(left.shape) == 1, len(right.shape) == 1
    left = left[None, :] if row else left
    right = right[:, None] if column else right
    if len(right.shape) == 2 and len(left.shape) > 2:
        result = tf.tensordot(left, right, [[-1], [0]])
    else:
        result = tf.matmul(left, right)
    gone = [-2] * row + [-1] * column
    return plain(tf.squeeze(result, gone) if gone else result)


def _factor(call: Call, position: int) -> tf.Tensor:
    """A constant factor of floats is a layer's kernel."""
    value = call.input(position)
    is_kernel = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim > 1
    return call.weight(position, "kernel") if is_kernel else call.tensor(position)


@by_axis("Gemm", since=7)
def gemm(call: Call, a: Input, b: Input, c: Input = None) -> Laid:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    left, right = call.tensor(0), _factor(call, 1)
    product = tf.matmul(
        left, right, transpose_a=bool(call.attribute("transA", 0)), transpose_b=bool(call.attribute("transB", 0))
    )
    product = product if alpha == 1 else scaled(product, alpha)
    if c is None:
        return plain(product)
    bias = tf.convert_to_tensor(call.weight(2, "bias"))
    if bias.shape.rank == 2 and bias.shape[0] == 1:  # TensorFlow's fusion with the product takes a vector only
        bias = tf.reshape(bias, [-1])
    return plain(product + (bias if beta == 1 else scaled(bias, beta)))


def scaled(x: tf.Tensor, factor: float) -> tf.Tensor:
    return x * tf.cast(factor, x.dtype)


@operator("Einsum", since=12)
def einsum(call: Call, *tensors: tf.Tensor) -> Any:
    return tf.einsum(call.attribute("equation").replace(" ", ""), *tensors)


@operator("Det")
def determinant(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.linalg.det(x)
