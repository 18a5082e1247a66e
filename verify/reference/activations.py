"""Darknet's activation functions on arrays of any float type, read from its activations.c and activations.h.

Both repositories agree on those that both have. `relu6` follows AlexeyAB's CUDA code: its CPU code returns 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Activation = Callable[[Array], Array]

CHANNEL_EPSILON = 1e-4  # added to the sum over channels before the normalize_channels family divides by it


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), computed from exp(-|x|) so that no exponential overflows."""
    small = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, small) / (1 + small)
    return result


def mish(x: Array) -> Array:
    """x · tanh(softplus(x)); softplus is linear above 20 and exp below −20."""
    softplus = np.where(x > 20, x, np.where(x < -20, np.exp(np.minimum(x, 0)), np.log(np.exp(np.minimum(x, 20)) + 1)))
    result: Array = x * np.tanh(softplus)
    return result


def hard_mish(x: Array) -> Array:
    """0 below −2, x²/2 + x up to 0, x above."""
    return np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0))


def stair(x: Array) -> Array:
    """A staircase of flat steps (even integer parts) and ramps (odd ones)."""
    whole = np.floor(x)
    half = np.floor(x / 2)
    return np.where(whole % 2 == 0, half, x - whole + half)


def plse(x: Array) -> Array:
    """A logistic made of three straight pieces."""
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def lhtan(x: Array) -> Array:
    """x between 0 and 1, slope 0.001 outside."""
    return np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x))


def elu(x: Array) -> Array:
    return np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1)


def gelu(x: Array) -> Array:
    """The tanh approximation, with the constants as Darknet has them."""
    result: Array = 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3))
    return result


def normalize_channels(x: Array) -> Array:
    """relu(x) over its sum along the channels (axis 1)."""
    positive = np.maximum(x, 0)
    result: Array = positive / (positive.sum(axis=1, keepdims=True) + CHANNEL_EPSILON)
    return result


def channel_softmax(x: Array, *, shift: bool) -> Array:
    """exp over its sum along the channels (axis 1); `shift` subtracts the greatest of the channels first."""
    power = np.exp(x - x.max(axis=1, keepdims=True)) if shift else np.exp(x)
    result: Array = power / (power.sum(axis=1, keepdims=True) + CHANNEL_EPSILON)
    return result


# Name in the cfg → function. The normalize_channels family needs [N, C, …]; the others are element-wise.
ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda x: x,
    "logistic": logistic,
    "loggy": lambda x: 2 * logistic(x) - 1,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": elu,
    "selu": lambda x: 1.0507 * np.where(x >= 0, x, 1.6732 * elu(x)),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: np.maximum(x, 0) + 0.1 * x,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "revleaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "tanh": np.tanh,
    "gelu": gelu,
    "plse": plse,
    "stair": stair,
    "hardtan": lambda x: np.clip(x, -1, 1),
    "lhtan": lhtan,
    "swish": lambda x: x * logistic(x),
    "mish": mish,
    "hard_mish": hard_mish,
    "normalize_channels": normalize_channels,
    "normalize_channels_softmax": lambda x: channel_softmax(x, shift=False),
    "normalize_channels_softmax_maxval": lambda x: channel_softmax(x, shift=True),
}


def activate(x: Array, name: str) -> Array:
    """Apply the activation `name`; KeyError where Darknet has none of that name (the reader has refused it)."""
    return ACTIVATIONS[name](x)
