"""Every activation against its formula in float64, as the programs write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.convert.from_darknet.running import execute, last, noise
from zoo.convert.from_darknet.activations import ACTIVATIONS, activate
from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.darknet.activations import ACTIVATIONS as NAMES

F64 = NDArray[np.float64]


def _stair(x: F64) -> F64:
    n = np.floor(x)
    return np.where(n % 2 == 0, np.floor(x / 2), (x - n) + np.floor(x / 2))


def _plse(x: F64) -> F64:
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _mish(x: F64) -> F64:
    result: F64 = x * np.tanh(np.log1p(np.exp(np.minimum(x, 20))) + np.maximum(x - 20, 0))
    return result


FORMULAS: dict[str, Callable[[F64], F64]] = {
    "elu": lambda x: np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
    "hard_mish": lambda x: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
    "hardtan": lambda x: np.clip(x, -1, 1),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "linear": lambda x: x,
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "mish": _mish,
    "plse": _plse,
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "revleaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "selu": lambda x: 1.0507 * np.where(x >= 0, x, 1.6732 * (np.exp(np.minimum(x, 0)) - 1)),
    "stair": _stair,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def run(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = GraphBuilder("activation")
    value = activate(graph, name, graph.input("x", values.shape), "y")
    if value == "x":
        value = graph.op("Identity", value, hint="y")
    graph.output(value, values.shape)
    return execute(graph.model({}).proto(), {"x": values})["y"]


def test_every_activation_has_an_emitter() -> None:
    assert {*ACTIVATIONS, "linear"} == set(NAMES)


@pytest.mark.parametrize("name", FORMULAS)
def test_activation(name: str) -> None:
    values = np.concatenate([np.linspace(-15, 15, 4001), np.asarray([-100.0, -30, -2, -1, 0, 1, 2, 30, 100])])
    x = values.astype(np.float32).reshape(1, 1, -1, 2)
    expected = FORMULAS[name](x.astype(np.float64))
    assert np.abs(run(name, x) - expected).max() <= 3e-6 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("suffix", ["", "_softmax", "_softmax_maxval"])
def test_normalisation_over_channels(tmp_path: Path, suffix: str) -> None:
    images = noise(2, 3, 4, 4)
    body = "[convolutional]\nfilters=5\nactivation="
    before = last(tmp_path, f"{body}linear\n", images).astype(np.float64)
    shift = before.max(axis=1, keepdims=True) if suffix.endswith("maxval") else 0.0
    part = np.exp(before - shift) if suffix else np.maximum(before, 0)
    expected = part / (part.sum(axis=1, keepdims=True) + 1e-4)
    found = last(tmp_path, f"{body}normalize_channels{suffix}\n", images)
    assert np.abs(found - expected).max() < 2e-6
