"""Each rewrite on a small graph of its own: TensorFlow's numbers for a batch, without loops and conditions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from zoo.convert.from_tensorflow import tensorflow_to_onnx
from zoo.convert.from_tensorflow.convert import QUIET

PROGRAM = Path(__file__).with_name("small_graphs.py")
CASES = (
    "loop_of_tf1",
    "branches_of_tf1",
    "padded_of_tf1",
    "loop_of_tf2",
    "branches_of_tf2",
    "padded_of_tf2",
    "second_stage_of_tf1",
    "second_stage_of_tf2",
    "nearest_of_tf1",
    "crops_of_tf2",
    "shapes_of_tf2",
    "agnostic_suppression_of_tf1",
    "fixed_suppression_of_tf1",
    "fixed_suppression_of_tf2",
    "suppression_of_2018",
    "combined_suppression_of_tf1",
    "instances_of_tf1",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small")
    command = [sys.executable, str(PROGRAM), str(out)]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET}, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    return out


@pytest.mark.parametrize("case", CASES)
def test_a_batch_gives_tensorflow_s_numbers(folder: Path, case: str) -> None:
    recorded = dict(np.load(folder / f"{case}.npz"))
    images = recorded.pop("images")
    session = onnxruntime.InferenceSession(str(folder / f"{case}.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type) == ("input_tensor" if "tf2" in case else "image_tensor", "tensor(uint8)")
    names = [output.name for output in session.get_outputs()]
    assert set(names) == set(recorded)
    for name, found in zip(names, session.run(names, {given.name: images}), strict=True):
        assert found.shape == recorded[name].shape
        assert np.abs(found - recorded[name]).max() <= 1e-6 * max(1.0, float(np.abs(recorded[name]).max()))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_that_targets_cannot_read(folder: Path, case: str) -> None:
    graph = onnx.load(folder / f"{case}.onnx").graph
    assert not {"Loop", "If", "Scan", "Resize"} & {node.op_type for node in graph.node}
    assert not [a for node in graph.node for a in node.attribute if a.name == "auto_pad" and a.s != b"NOTSET"]


@pytest.mark.parametrize("case", [case for case in CASES if "suppression" in case])
def test_there_is_one_suppression(folder: Path, case: str) -> None:
    operators = [node.op_type for node in onnx.load(folder / f"{case}.onnx").graph.node]
    assert operators.count("NonMaxSuppression") == 1


@pytest.mark.parametrize("case", ["second_stage_of_tf1", "second_stage_of_tf2"])
def test_a_size_that_a_loop_declares_is_known_and_layouts_are_turned_once(folder: Path, case: str) -> None:
    graph = onnx.load(folder / f"{case}.onnx").graph
    (convolution,) = (node for node in graph.node if node.op_type == "Conv")
    assert [list(a.ints) for a in convolution.attribute if a.name == "pads"] == [[0, 0, 1, 1]]
    turned = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Transpose"}
    assert not set(turned) & set(turned.values())
    (crop,) = (node for node in graph.node if node.op_type == "RoiAlign")
    users = {node.input[0]: node for node in graph.node if node.input}
    assert [users[crop.output[0]].op_type, users[users[crop.output[0]].output[0]].op_type] == ["Mul", "MaxPool"]


def test_the_network_alone_goes_from_tensorflow_s_pictures_to_its_boxes(folder: Path) -> None:
    """`--pre raw --post raw`: nothing but the network is left."""
    recorded = dict(np.load(folder / "raw.npz"))
    images = recorded.pop("images")
    session = onnxruntime.InferenceSession(str(folder / "raw.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(float)", [6, 7, 3])
    names = [output.name for output in session.get_outputs()]
    assert set(names) == set(recorded)
    for name, found in zip(names, session.run(names, {"images": images}), strict=True):
        assert found.shape == recorded[name].shape
        assert np.abs(found - recorded[name]).max() <= 1e-6
    assert not {"NonMaxSuppression", "Loop", "TopK"} & {n.op_type for n in onnx.load(folder / "raw.onnx").graph.node}


def test_a_second_conversion_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    models = [tensorflow_to_onnx(folder / "loop_of_tf2", tmp_path / name).model for name in ("one", "two")]
    assert models[0].read_bytes() == models[1].read_bytes()
