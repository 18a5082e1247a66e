"""The layer that departs is found by its numbers: in every format, and where a layer has no tensor of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.mutations import networks
from tests.mutations.kinds import on_constant, one_weight
from zoo.base.artifact import Artifact, FileRecord
from zoo.convert.to_tensorflow import TensorFlowOptions, onnx_to_tensorflow
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.verify.bisect import bisect
from zoo.verify.inputs import Sample
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.tensors import Difference
from zoo.verify.truth import Layer
from zoo.verify.verdict import FAIL

LAYER = 5


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> networks.Subject:
    return networks.darknet(tmp_path_factory.mktemp("right"))


@pytest.fixture(scope="module")
def broken(subject: networks.Subject, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return subject.broken(
        on_constant(f"{LAYER:03d}_convolutional.kernel", one_weight), tmp_path_factory.mktemp("broken")
    )


def named(subject: networks.Subject, artifact: Artifact) -> int | None:
    report = subject.verified(artifact, dataclasses.replace(networks.OPTIONS, batches=(1,)))
    assert report.judgement.verdict == FAIL
    assert report.departure is not None
    assert [layer.index for layer in report.layers][:5] == [0, 1, 2, 3, 4]
    return report.departure.layer


@pytest.mark.parametrize("export", [True, False])
def test_pytorch(subject: networks.Subject, broken: Artifact, export: bool, tmp_path: Path) -> None:
    artifact = onnx_to_torch(broken.model, tmp_path, TorchOptions(export=export), parent=broken)
    assert named(subject, artifact) == LAYER


@pytest.mark.slow
def test_tensorflow_and_tflite(subject: networks.Subject, broken: Artifact, tmp_path: Path) -> None:
    artifact = onnx_to_tensorflow(broken.model, tmp_path, TensorFlowOptions(tflite=True), parent=broken)
    assert named(subject, artifact) == LAYER
    files = (FileRecord.of(tmp_path / "model.tflite", "model"),)
    lite = dataclasses.replace(artifact, format="tflite", files=files, inputs=(), outputs=())
    assert named(subject, lite) == LAYER


def test_opencv(subject: networks.Subject, broken: Artifact) -> None:
    assert named(subject, dataclasses.replace(broken, format="opencv")) == LAYER


class Shown:
    """A runtime that shows these tensors, and a reference with these layers."""

    inputs = ()

    def __init__(self, layers: list[Layer], tensors: dict[str, Array]) -> None:
        self._layers, self._tensors = layers, tensors

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        return self._tensors

    def layers(self, sample: Sample) -> list[Layer]:
        return self._layers


def layer(index: int, truth: Array, *sources: int) -> Layer:
    noise = Difference(truth.size, max=1e-6, mean=1e-6, p999=1e-6, rms=1e-6)
    return Layer(index, "conv", 0, truth, (noise,), name=f"node{index}", sources=sources)


def found(layers: list[Layer], tensors: dict[str, Array]) -> str | None:
    both = Shown(layers, tensors)
    result = bisect(both, both, [Sample("uniform", 0, {})], (), 10.0)  # type: ignore[arg-type]
    return result.departure.name if result.departure else None


def picture(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((1, 4, 3, 5))


def test_a_layer_without_a_tensor_of_its_own_is_not_the_one() -> None:
    first, inner, last = picture(0), picture(1), picture(2)
    layers = [layer(0, first), layer(1, inner, 0), layer(2, last, 1)]
    assert found(layers, {"a": first, "c": last}) is None
    assert found(layers, {"a": first, "c": last + 0.01}) == "node1"
    assert found(layers, {"a": first, "b": inner, "c": last + 0.01}) == "node2"


def test_a_fault_that_fades_is_still_found_where_it_is() -> None:
    first, last = picture(0), picture(1)
    layers = [layer(0, first), layer(1, last, 0)]
    assert found(layers, {"a": first + 3e-5, "b": last + 9e-6}) == "node0"


def test_pictures_in_the_other_layout() -> None:
    first, last = picture(0), picture(1)
    layers = [layer(0, first), layer(1, last, 0)]
    turned = {"a": first.transpose(0, 2, 3, 1).copy(), "b": last.transpose(0, 2, 3, 1) + 0.1}
    assert found(layers, turned) == "node1"
