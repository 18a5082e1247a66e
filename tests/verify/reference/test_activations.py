"""Every activation at points where its value can be computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.darknet.activations import ACTIVATIONS as KNOWN
from zoo.verify.reference.activations import ACTIVATIONS, activate, logistic

SIGMOID_1 = 1 / (1 + math.exp(-1))

VALUES = {
    "linear": {-2.0: -2.0, 3.0: 3.0},
    "logistic": {0.0: 0.5, 1.0: SIGMOID_1},
    "loggy": {0.0: 0.0, 1.0: 2 * SIGMOID_1 - 1},
    "relu": {-2.0: 0.0, 3.0: 3.0},
    "relu6": {-2.0: 0.0, 3.0: 3.0, 7.0: 6.0},
    "elu": {-1.0: math.exp(-1) - 1, 2.0: 2.0},
    "selu": {-1.0: 1.0507 * 1.6732 * (math.exp(-1) - 1), 2.0: 2.1014},
    "relie": {-2.0: -0.02, 2.0: 2.0},
    "ramp": {-2.0: -0.2, 2.0: 2.2},
    "leaky": {-2.0: -0.2, 2.0: 2.0},
    "revleaky": {-2.0: -0.2, 2.0: 2.0},
    "tanh": {1.0: math.tanh(1)},
    "gelu": {1.0: 0.5 * (1 + math.tanh(0.797885 + 0.035677))},
    "plse": {-6.0: -0.02, 0.0: 0.5, 6.0: 1.02},
    "stair": {0.5: 0.0, 1.25: 0.25, 2.5: 1.0, 3.25: 1.25, -0.25: -0.25},
    "hardtan": {-2.0: -1.0, 0.5: 0.5, 2.0: 1.0},
    "lhtan": {-2.0: -0.002, 0.5: 0.5, 3.0: 1.002},
    "swish": {1.0: SIGMOID_1},
    "mish": {1.0: math.tanh(math.log(1 + math.e)), 25.0: 25.0, -25.0: -25 * math.tanh(math.exp(-25))},
    "hard_mish": {-3.0: 0.0, -1.0: -0.5, 2.0: 2.0},
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    points, values = (np.array(list(side)) for side in (VALUES[name].keys(), VALUES[name].values()))
    assert activate(points, name) == pytest.approx(values, abs=1e-15)


def test_the_channel_family_divides_by_the_sum_over_channels() -> None:
    x = np.array([1.0, -1.0, 3.0]).reshape(1, 3, 1, 1)
    power = np.exp(x)
    shifted = np.exp(x - 3)
    assert activate(x, "normalize_channels").ravel() == pytest.approx(np.array([1, 0, 3]) / 4.0001)
    assert activate(x, "normalize_channels_softmax") == pytest.approx(power / (power.sum() + 1e-4))
    assert activate(x, "normalize_channels_softmax_maxval") == pytest.approx(shifted / (shifted.sum() + 1e-4))


def test_every_activation_of_the_language_is_here() -> None:
    assert set(ACTIVATIONS) == set(KNOWN)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_type_stays_and_nothing_overflows(name: str, dtype: type[np.floating]) -> None:
    """±80 is where exp still fits into a float32; the C code has no more range either."""
    result = activate(np.array([-80, -1, 0, 1, 80], dtype).reshape(1, 5, 1, 1), name)
    assert result.dtype == dtype
    assert np.isfinite(result).all()


def test_logistic_has_no_overflow_at_all() -> None:
    assert logistic(np.array([-1e4, 1e4])).tolist() == [0, 1]
