"""Activations and normalisations, as the tf.nn functions that TensorFlow fuses into convolutions where there is one."""

from __future__ import annotations

import math
from typing import Any

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, logical, plain
from zoo.convert.to_tensorflow.operators.shape import laid
from zoo.convert.to_tensorflow.operators.table import Call, Input, by_axis, elementwise, operator, picture


@elementwise("Relu")
def relu(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(x)


@elementwise("LeakyRelu")
def leaky_relu(call: Call, x: tf.Tensor) -> tf.Tensor:
    """After a sum it is spelt out: TensorFlow 2.21 fuses convolution, bias, sum and leaky ReLU, and loses the slope."""
    alpha = call.attribute("alpha", 0.01)
    if not _is_sum(x):
        return tf.nn.leaky_relu(x, alpha)
    return tf.maximum(x, alpha * x) if alpha <= 1 else tf.where(x < 0, alpha * x, x)


def _is_sum(x: tf.Tensor) -> bool:
    return hasattr(x, "op") and x.op.type in ("Add", "AddV2", "AddN")


@elementwise("Elu")
def elu(call: Call, x: tf.Tensor) -> tf.Tensor:
    alpha = call.attribute("alpha", 1.0)
    return tf.nn.elu(x) if alpha == 1 else tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0)))


@elementwise("Celu")
def celu(call: Call, x: tf.Tensor) -> tf.Tensor:
    alpha = call.attribute("alpha", 1.0)
    return tf.maximum(x, 0) + tf.minimum(alpha * tf.math.expm1(x / alpha), 0)


@elementwise("Selu")
def selu(call: Call, x: tf.Tensor) -> tf.Tensor:
    alpha, gamma = (
        call.attribute("alpha", 1.67326319217681884765625),
        call.attribute("gamma", 1.05070102214813232421875),
    )
    return gamma * tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0)))


@elementwise("Gelu")
def gelu(call: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(x, approximate=call.attribute("approximate", "none") == "tanh")


@elementwise("HardSigmoid")
def hard_sigmoid(call: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(x * call.attribute("alpha", 0.2) + call.attribute("beta", 0.5), 0, 1)


@elementwise("HardSwish")
def hard_swish(_: Call, x: tf.Tensor) -> tf.Tensor:
    return x * tf.nn.relu6(x + 3) * (1 / 6)


@elementwise("Mish")
def mish(_: Call, x: tf.Tensor) -> tf.Tensor:
    """After a sum it is spelt out: TensorFlow 2.21 fuses convolution, bias, sum and mish into what it cannot run.

    tanh(softplus(x)) = n / (n + 2) with n = eˣ · (eˣ + 2), which is 1 in float32 long before x = 20.
    """
    if not _is_sum(x):
        return x * tf.tanh(tf.nn.softplus(x))
    power = tf.exp(tf.minimum(x, 20))
    n = power * (power + 2)
    return x * (n / (n + 2))


@elementwise("PRelu", since=7)
def prelu(_: Call, x: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    return tf.where(x < 0, x * slope, x)


@elementwise("Shrink")
def shrink(call: Call, x: tf.Tensor) -> tf.Tensor:
    edge, bias = call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    return tf.where(x < -edge, x + bias, tf.where(x > edge, x - bias, tf.zeros((), x.dtype)))


@elementwise("Sigmoid")
def sigmoid(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.sigmoid(x)


@elementwise("Softplus")
def softplus(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(x)


@elementwise("Softsign")
def softsign(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.nn.softsign(x)


@elementwise("Swish")
def swish(call: Call, x: tf.Tensor) -> tf.Tensor:
    """Not tf.nn.silu: its custom gradient hides the product from TensorFlow's fusion."""
    return x * tf.sigmoid(x * call.attribute("alpha", 1.0))


@elementwise("Tanh")
def tanh(_: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.tanh(x)


@elementwise("ThresholdedRelu")
def thresholded_relu(call: Call, x: tf.Tensor) -> tf.Tensor:
    return tf.where(x > call.attribute("alpha", 1.0), x, tf.zeros((), x.dtype))


def _spread(call: Call, x: Laid) -> list[int]:
    """The tensor's axes over which Softmax and its kin work: one axis since opset 13, before it all that follow."""
    if call.opset >= 13:
        return [x.position(call.attribute("axis", -1))]
    first = call.attribute("axis", 1) % x.rank
    return [x.position(axis) for axis in range(first, x.rank)]


@by_axis("Softmax")
def softmax(call: Call, data: Input) -> Laid:
    x = laid(data)
    axes = _spread(call, x)
    if len(axes) == 1:
        return Laid(tf.nn.softmax(x.tensor, axes[0]), x.order)
    powers = tf.exp(x.tensor - tf.reduce_max(x.tensor, axes, keepdims=True))
    return Laid(powers / tf.reduce_sum(powers, axes, keepdims=True), x.order)


@by_axis("LogSoftmax")
def log_softmax(call: Call, data: Input) -> Laid:
    x = laid(data)
    axes = _spread(call, x)
    if len(axes) == 1:
        return Laid(tf.nn.log_softmax(x.tensor, axes[0]), x.order)
    return Laid(x.tensor - tf.reduce_logsumexp(x.tensor, axes, keepdims=True), x.order)


@by_axis("Hardmax")
def hardmax(call: Call, data: Input) -> Laid:
    """1 at the first of the largest, 0 elsewhere."""
    x = laid(data)
    axis = call.attribute("axis", -1 if call.opset >= 13 else 1) % x.rank
    if call.opset < 13 and axis < x.rank - 1:
        rows = tf.reshape(logical(x), [math.prod(size or 0 for size in x.shape[:axis]), -1])
        flat = tf.one_hot(tf.argmax(rows, -1), rows.shape[-1], dtype=rows.dtype)
        return plain(tf.reshape(flat, x.shape))
    place = x.position(axis)
    best = tf.argmax(x.tensor, place)
    return Laid(tf.one_hot(best, x.tensor.shape[place], axis=place, dtype=x.tensor.dtype), x.order)


@picture("BatchNormalization", since=7)
def batch_normalization(call: Call, x: tf.Tensor, *_: Input) -> tf.Tensor:
    if call.attribute("training_mode", 0) or any(map(call.has_output, (1, 2, 3, 4))):
        raise call.error("batch normalisation in training mode", "export the model for inference")
    scale, offset = call.weight(1, "gamma"), call.weight(2, "beta")
    mean, variance = (call.weight(at, role, trainable=False) for at, role in ((3, "mean"), (4, "variance")))
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, call.attribute("epsilon", 1e-5))


def standardized(x: tf.Tensor, axes: Any, epsilon: float) -> tf.Tensor:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    spread = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    return (x - mean) * tf.math.rsqrt(spread + epsilon)


@picture("InstanceNormalization", since=6)
def instance_normalization(call: Call, x: tf.Tensor, *_: Input) -> tf.Tensor:
    normal = standardized(x, list(range(1, len(x.shape) - 1)), call.attribute("epsilon", 1e-5))
    return normal * call.weight(1, "gamma") + call.weight(2, "beta")


@operator("GroupNormalization", since=18)
def group_normalization(call: Call, x: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    """Scale and bias are for each group until opset 20, for each channel since."""
    groups, channels = call.attribute("num_groups"), x.shape[1]
    grouped = tf.reshape(x, tf.concat([tf.shape(x)[:1], [groups, channels // groups], tf.shape(x)[2:]], 0))
    normal = standardized(grouped, list(range(2, len(grouped.shape))), call.attribute("epsilon", 1e-5))
    split = [groups, 1] if call.opset < 21 else [groups, channels // groups]
    ones = [1] * (len(x.shape) - 2)
    scale, bias = (tf.reshape(call.weight(at, role), [1, *split, *ones]) for at, role in ((1, "gamma"), (2, "beta")))
    return tf.reshape(normal * scale + bias, tf.shape(x))


@operator("LayerNormalization", since=17)
def layer_normalization(call: Call, x: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
    axes = list(range(call.attribute("axis", -1) % len(x.shape), len(x.shape)))
    mean = tf.reduce_mean(x, axes, keepdims=True)
    spread = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    inverse = tf.math.rsqrt(spread + call.attribute("epsilon", 1e-5))
    result = (x - mean) * inverse * call.weight(1, "gamma")
    return (result + call.weight(2, "beta") if call.has(2) else result), mean, inverse


@operator("RMSNormalization", since=23)
def rms_normalization(call: Call, x: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    axes = list(range(call.attribute("axis", -1) % len(x.shape), len(x.shape)))
    power = tf.reduce_mean(tf.square(x), axes, keepdims=True)
    return x * tf.math.rsqrt(power + call.attribute("epsilon", 1e-5)) * call.weight(1, "gamma")


@by_axis("MeanVarianceNormalization", since=9)
def mean_variance_normalization(call: Call, data: Input) -> Laid:
    x = laid(data)
    axes = [x.position(axis) for axis in call.attribute("axes", (0, 2, 3))]
    mean = tf.reduce_mean(x.tensor, axes, keepdims=True)
    spread = tf.reduce_mean(tf.square(x.tensor), axes, keepdims=True) - tf.square(mean)
    return Laid((x.tensor - mean) / (tf.sqrt(spread) + 1e-9), x.order)


@by_axis("LpNormalization")
def lp_normalization(call: Call, data: Input) -> Laid:
    """A vector of zeros stays zeros."""
    x = laid(data)
    kind = "euclidean" if call.attribute("p", 2) == 2 else 1
    norm = tf.norm(x.tensor, kind, x.position(call.attribute("axis", -1)), keepdims=True)
    return Laid(tf.math.divide_no_nan(x.tensor, norm), x.order)


@picture("LRN")
def lrn(call: Call, x: tf.Tensor) -> tf.Tensor:
    """ONNX divides alpha by the window's size; an even window reaches one further to the right."""
    size, alpha = call.attribute("size"), call.attribute("alpha", 1e-4) / call.attribute("size")
    bias, beta = call.attribute("bias", 1.0), call.attribute("beta", 0.75)
    if size % 2 and len(x.shape) == 4:
        return tf.nn.lrn(x, size // 2, bias, alpha, beta)
    left = (size - 1) // 2
    squares = tf.pad(tf.square(x), [[0, 0]] * (len(x.shape) - 1) + [[left, size - 1 - left]])
    channels = x.shape[-1]
    total = tf.add_n([squares[..., start : start + channels] for start in range(size)])
    return x / tf.pow(bias + alpha * total, beta)
