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
    "crops_of_tf2",
    "shapes_of_tf2",
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
    assert (given.name, given.type) == ("image_tensor" if "tf1" in case else "input_tensor", "tensor(uint8)")
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


def test_a_second_conversion_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    models = [tensorflow_to_onnx(folder / "loop_of_tf2", tmp_path / name).model for name in ("one", "two")]
    assert models[0].read_bytes() == models[1].read_bytes()
