"""Layers on vectors, and the recurrent ones over several steps with their state fed back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.convert.from_darknet.running import Array, convert, execute, last, noise, raw
from tests.darknet.toys import write_cfg
from zoo.base.errors import ConversionError

F64 = NDArray[np.float64]


def sigmoid(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


def softmax(x: F64) -> F64:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    result: F64 = e / e.sum(axis=-1, keepdims=True)
    return result


def matrix(weights: Mapping[str, Array], x: F64) -> F64:
    result: F64 = x @ weights["kernel"].astype(np.float64).T + weights["bias"]
    return result


def test_connected_reads_an_image_as_a_vector(tmp_path: Path) -> None:
    x = noise(2, 3, 2, 2)
    outputs, weights = raw(tmp_path, "[connected]\noutput=5\nactivation=linear\n", x)
    assert np.allclose(outputs["000_connected"], matrix(weights[0], x.reshape(2, -1).astype(np.float64)), atol=1e-5)


def test_a_convolution_may_follow_a_connected_layer(tmp_path: Path) -> None:
    body = "[connected]\noutput=5\nactivation=linear\n[convolutional]\nfilters=2\nactivation=linear\n"
    assert last(tmp_path, body, noise(2, 3, 2, 2)).shape == (2, 2, 1, 1)


@pytest.mark.parametrize(
    ("options", "groups", "temperature"), [("", 1, 1), ("groups=3\n", 3, 1), ("temperature=2\n", 1, 2)]
)
def test_softmax(tmp_path: Path, options: str, groups: int, temperature: float) -> None:
    x = noise(2, 3, 2, 2)
    outputs, _ = raw(tmp_path, f"[softmax]\n{options}", x)
    expected = softmax(x.astype(np.float64).reshape(2, groups, -1) / temperature).reshape(2, -1)
    assert np.allclose(outputs["000_softmax"], expected, atol=1e-6)


def test_softmax_over_a_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "x.tree").write_text("a -1\nb -1\nc 0\nd 0\ne 0\nf 3\n")
    x = noise(2, 6, 1, 1)
    outputs, _ = raw(tmp_path, "[softmax]\ntree=x.tree\n", x)
    wide = x.astype(np.float64).reshape(2, 6)
    expected = np.concatenate([softmax(wide[:, a:b]) for a, b in ((0, 2), (2, 5), (5, 6))], axis=1)
    assert np.allclose(outputs["000_softmax"], expected, atol=1e-6)


def test_raw_outputs_of_a_classifier_hold_the_logits(tmp_path: Path) -> None:
    x = noise(1, 3, 2, 2)
    outputs, _ = raw(tmp_path, "[avgpool]\n[softmax]\n[cost]\n", x)
    assert list(outputs) == ["001_softmax", "000_logits"]
    assert np.allclose(outputs["000_logits"], x.mean(axis=(2, 3)), atol=1e-6)


def test_decoded_output_of_a_classifier(tmp_path: Path) -> None:
    model, _ = convert(write_cfg(tmp_path, "[avgpool]\n[softmax]\n[cost]\n", w=2, h=2))
    assert [value.name for value in model.graph.output] == ["probabilities"]
    other, _ = convert(write_cfg(tmp_path, "[avgpool]\n", w=2, h=2))
    assert [value.name for value in other.graph.output] == ["output"]


def test_passing_layers_add_no_node(tmp_path: Path) -> None:
    x = noise(1, 3, 2, 2)
    body = "[avgpool]\n[dropout]\n[empty]\n[activation]\nactivation=relu\n"
    assert np.allclose(last(tmp_path, body, x), np.maximum(x.mean(axis=(2, 3), keepdims=True), 0))
    model, _ = convert(write_cfg(tmp_path, body, w=2, h=2))
    assert [node.op_type for node in model.graph.node] == ["GlobalAveragePool", "Relu", "Identity"]


def test_logistic_contrastive_implicit(tmp_path: Path) -> None:
    x = noise(2, 3, 2, 2)
    assert np.allclose(last(tmp_path, "[logistic]\n", x, "pj"), sigmoid(x.astype(np.float64)), atol=1e-6)
    assert not last(tmp_path, "[contrastive]\n", x).any()
    outputs, weights = raw(tmp_path, "[implicit]\nfilters=4\natoms=2\n", x)
    assert np.array_equal(outputs["000_implicit"][1, :, :, 0], weights[0]["weights"])


def steps(folder: Path, body: str, x: Array, dialect: str, c: int = 6, side: int = 1) -> tuple[list[Array], Any]:
    """The raw output of the only layer for each step [c, side, side] of x; states go round."""
    cfg = write_cfg(folder, body, w=side, h=side, c=c)
    model, weights = convert(cfg, dialect, heads="raw")
    names = [value.name for value in model.graph.input if value.name != "images"]
    dims = {
        value.name: [1, *[d.dim_value for d in value.type.tensor_type.shape.dim][1:]] for value in model.graph.input
    }
    states = {name: np.zeros(dims[name], np.float32) for name in names}
    results = []
    for step in x:
        outputs = execute(model, {"images": step[None], **states})
        states = {name: outputs[f"{name}_next"] for name in names}
        results.append(next(value for name, value in outputs.items() if not name.endswith("_next"))[0])
    return results, weights


def leaky(x: F64) -> F64:
    return np.where(x > 0, x, 0.1 * x)


@pytest.mark.parametrize(
    ("dialect", "extra"), [("alexey", "hidden=3\n"), ("pj", ""), ("alexey", "hidden=3\nshortcut=1\n")]
)
def test_rnn(tmp_path: Path, dialect: str, extra: str) -> None:
    x = noise(3, 6, 1, 1)
    found, weights = steps(tmp_path, f"[rnn]\noutput=4\nactivation=leaky\n{extra}", x, dialect)
    state = np.zeros(3 if "hidden" in extra else 4)
    for step, result in zip(x.reshape(3, 6).astype(np.float64), found, strict=True):
        before = state
        state = leaky(matrix(weights.part(0, "input"), step)) + leaky(matrix(weights.part(0, "self"), state))
        state = state + before if "shortcut" in extra else state
        assert np.allclose(result, leaky(matrix(weights.part(0, "output"), state)), atol=1e-5)


@pytest.mark.parametrize(("dialect", "extra"), [("alexey", ""), ("pj", ""), ("pj", "tanh=1\n")])
def test_gru(tmp_path: Path, dialect: str, extra: str) -> None:
    x = noise(3, 6, 1, 1)
    found, weights = steps(tmp_path, f"[gru]\noutput=4\n{extra}", x, dialect)
    state = np.zeros(4)
    for step, result in zip(x.reshape(3, 6).astype(np.float64), found, strict=True):
        gate = {p: matrix(weights.part(0, f"i{p}"), step) for p in "zrh"}
        z, r = (sigmoid(gate[p] + matrix(weights.part(0, f"s{p}"), state)) for p in "zr")
        candidate = gate["h"] + matrix(weights.part(0, "sh"), r * state)
        h = np.tanh(candidate) if extra else sigmoid(candidate)
        state = z * state + (1 - z) * h
        assert np.allclose(result, state, atol=1e-5)


@pytest.mark.parametrize("dialect", ["alexey", "pj"])
def test_lstm(tmp_path: Path, dialect: str) -> None:
    x = noise(3, 6, 1, 1)
    found, weights = steps(tmp_path, "[lstm]\noutput=4\n", x, dialect)
    c, h = np.zeros(4), np.zeros(4)
    for step, result in zip(x.reshape(3, 6).astype(np.float64), found, strict=True):
        gate = {p: matrix(weights.part(0, f"u{p}"), step) + matrix(weights.part(0, f"w{p}"), h) for p in "figo"}
        c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
        h = sigmoid(gate["o"]) * np.tanh(c)
        assert np.allclose(result, h, atol=1e-5)


def pointwise(weights: Mapping[str, Array], x: F64) -> F64:
    """A 1×1 convolution."""
    kernel = weights["kernel"][:, :, 0, 0].astype(np.float64)
    result: F64 = np.einsum("chw,kc->khw", x, kernel) + weights["bias"].reshape(-1, 1, 1)
    return result


def test_crnn(tmp_path: Path) -> None:
    x = noise(3, 2, 3, 3)
    found, weights = steps(tmp_path, "[crnn]\nsize=1\noutput=4\nhidden=5\nactivation=leaky\n", x, "alexey", 2, 3)
    state = np.zeros((5, 3, 3))
    for step, result in zip(x.astype(np.float64), found, strict=True):
        state = leaky(pointwise(weights.part(0, "input"), step)) + leaky(pointwise(weights.part(0, "self"), state))
        assert np.allclose(result, leaky(pointwise(weights.part(0, "output"), state)), atol=1e-5)


@pytest.mark.parametrize("peephole", [0, 1])
def test_conv_lstm(tmp_path: Path, peephole: int) -> None:
    x = noise(3, 2, 3, 3)
    body = f"[conv_lstm]\nsize=1\noutput=4\npeephole={peephole}\n"
    found, weights = steps(tmp_path, body, x, "alexey", 2, 3)
    c, h = np.zeros((4, 3, 3)), np.zeros((4, 3, 3))
    for step, result in zip(x.astype(np.float64), found, strict=True):
        gate = {p: pointwise(weights.part(0, f"u{p}"), step) + pointwise(weights.part(0, f"w{p}"), h) for p in "figo"}
        peep = {p: pointwise(weights.part(0, f"v{p}"), c) if peephole else 0.0 for p in "fi"}
        c = sigmoid(gate["f"] + peep["f"]) * c + sigmoid(gate["i"] + peep["i"]) * np.tanh(gate["g"])
        h = sigmoid(gate["o"] + (pointwise(weights.part(0, "vo"), c) if peephole else 0.0)) * np.tanh(c)
        assert np.allclose(result, h, atol=1e-5)


def test_a_recurrent_convolution_must_keep_its_size(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="expected a convolution that keeps 3×3"):
        steps(tmp_path, "[crnn]\nsize=3\noutput=4\nhidden=5\n", noise(1, 2, 3, 3), "alexey", 2, 3)
