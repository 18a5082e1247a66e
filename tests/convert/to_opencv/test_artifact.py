"""`--to opencv`: the file runs in OpenCV, its neighbour says how, and nothing is left where it does not."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.verify import tiny
from zoo.base.artifact import Artifact, read_artifact
from zoo.base.errors import ConversionError, MissingBackend
from zoo.convert.to_opencv import OpenCVOptions, installations, onnx_to_opencv


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return tiny.write(tiny.detector(), tmp_path_factory.mktemp("hub"), (tiny.SOURCE,))


def model(path: Path, node: onnx.NodeProto, shape: list[int | str]) -> Path:
    """One operator on a float32 input `x`, with the output `y` of the same shape."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([node], "one", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_detector(hub: Artifact, tmp_path: Path) -> None:
    artifact = onnx_to_opencv(hub.model, tmp_path, parent=hub)
    assert read_artifact(tmp_path) == artifact
    assert artifact.is_intact()
    assert (artifact.format, artifact.sources) == ("opencv", hub.sources)
    assert [spec.shape for spec in artifact.inputs] == [(1, 3, 16, 16)]
    content = json.loads((tmp_path / "detector.json").read_text())
    assert content["opencv"][0].startswith("5.")
    assert content["input"]["width"] == content["input"]["height"] == 16
    assert (content["output"]["boxes"], content["output"]["scores"]) == ("boxes", "scores")


def test_the_same_source_gives_the_same_bytes(hub: Artifact, tmp_path: Path) -> None:
    first, second = (onnx_to_opencv(hub.model, tmp_path / name, parent=hub) for name in ("a", "b"))
    assert dataclasses.replace(first, folder=second.folder) == second


def test_any_onnx_file_of_any_opset(tmp_path: Path) -> None:
    path = model(tmp_path / "any.onnx", helper.make_node("Relu", ["x"], ["y"]), ["n", 3, "h", "w"])
    artifact = onnx_to_opencv(path, tmp_path / "out", OpenCVOptions(batch=2, height=4, width=6))
    assert artifact.inputs[0].shape == (2, 3, 4, 6)
    assert onnx.load(artifact.model).opset_import[0].version == 13
    assert json.loads((tmp_path / "out" / "detector.json").read_text())["output"] == {"kind": "tensors", "names": ["y"]}


def test_an_open_size_has_to_be_given(tmp_path: Path) -> None:
    path = model(tmp_path / "any.onnx", helper.make_node("Relu", ["x"], ["y"]), [1, 3, "h", "w"])
    with pytest.raises(ConversionError, match="OpenCV has fixed sizes"):
        onnx_to_opencv(path, tmp_path / "out")


def test_an_operator_that_opencv_lacks_is_named(tmp_path: Path) -> None:
    path = model(tmp_path / "any.onnx", helper.make_node("Compress", ["x", "x"], ["y"], name="here"), [3])
    with pytest.raises(ConversionError, match="Compress"):
        onnx_to_opencv(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_crash_of_opencv_is_an_error_and_leaves_nothing(
    hub: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child dies as by a segmentation fault while it loads the file."""
    (tmp_path / "cv2.py").write_text(
        "import os, signal, sys\n__version__ = '5.0.0'\n"
        "def __getattr__(name):\n    print('boom', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConversionError, match="ended by SIGSEGV: boom") as caught:
        onnx_to_opencv(hub.model, tmp_path / "out", parent=hub)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


def test_wrong_numbers_are_an_error(hub: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an operator that OpenCV computes otherwise."""
    right = installations.run

    def wrong(*arguments: Any, **named: Any) -> installations.Trial:
        trial = right(*arguments, **named)
        return dataclasses.replace(trial, outputs={name: array * 1.01 for name, array in trial.outputs.items()})

    monkeypatch.setattr("zoo.convert.to_opencv.proof.run", wrong)
    with pytest.raises(ConversionError, match="computes boxes wrongly"):
        onnx_to_opencv(hub.model, tmp_path / "out", parent=hub)


def test_a_version_that_is_not_here_is_missing(hub: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(installations.VARIABLE, raising=False)
    with pytest.raises(MissingBackend, match="written for OpenCV 4") as caught:
        onnx_to_opencv(hub.model, tmp_path / "out", OpenCVOptions(opencv=4), parent=hub)
    assert installations.VARIABLE in caught.value.hint
    monkeypatch.setenv(installations.VARIABLE, str(tmp_path / "no-python"))
    with pytest.raises(MissingBackend, match="cannot import cv2"):
        onnx_to_opencv(hub.model, tmp_path / "out", parent=hub)


def test_outputs_come_back_by_name(hub: Artifact, tmp_path: Path) -> None:
    artifact = onnx_to_opencv(hub.model, tmp_path, parent=hub)
    (opencv,) = (one for one in installations.at_hand() if one.python == sys.executable)
    feeds = {"images": np.full((1, 3, 16, 16), 0.5, np.float32)}
    trial = installations.run(opencv, "ONNX", [artifact.model], feeds, rounds=3)
    assert set(trial.outputs) == {"boxes", "scores"}
    assert len(trial.milliseconds) == 3
