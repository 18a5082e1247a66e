"""Bad ONNX files through `zoo convert … --to torch`: exit code 4, a message with file and reason, nothing half-written.

Whether a file is read at all is tested in tests/convert/onnx_graph; here, that every refusal reaches the user.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import zoo.cli.main as entry
from tests.convert.to_torch.graphs import model, node, noise
from zoo.base.errors import ConversionError
from zoo.convert.to_torch import TorchOptions, onnx_to_torch


def good() -> onnx.ModelProto:
    nodes = [node("Conv", ["x", "w"], ["c"], "head", pads=[1] * 4), node("Relu", ["c"], ["y"])]
    return model(nodes, {"x": ["batch", 3, 8, 8]}, ["y"], w=noise(16, 3, 3, 3))


def cyclic(proto: onnx.ModelProto, folder: Path) -> None:
    proto.graph.node[0].input[0] = "y"


def missing_initializer(proto: onnx.ModelProto, folder: Path) -> None:
    del proto.graph.initializer[:]


def outside(proto: onnx.ModelProto, folder: Path) -> None:
    """Its weight lies beside the model's folder, not in it."""
    tensor = proto.graph.initializer[0]
    (folder.parent / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")


def from_the_future(proto: onnx.ModelProto, folder: Path) -> None:
    proto.opset_import[0].version = 1000


def unknown_operator(proto: onnx.ModelProto, folder: Path) -> None:
    proto.graph.node[1].CopyFrom(node("TfIdfVectorizer", ["c"], ["y"], "words", mode="TF"))


def strings(proto: onnx.ModelProto, folder: Path) -> None:
    """A constant of an element type that PyTorch has no tensors of."""
    proto.graph.node[1].CopyFrom(node("Add", ["c", "words"], ["y"], "words"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(["a"], object), "words"))


Damage = Callable[[onnx.ModelProto, Path], None] | bytes | int


def damaged(damage: Damage, folder: Path) -> bytes:
    """A good model with a change made to it or with its end cut off; or other content."""
    if isinstance(damage, bytes):
        return damage
    proto = good()
    if not isinstance(damage, int):
        damage(proto, folder)
    content: bytes = proto.SerializeToString()
    return content[:damage] if isinstance(damage, int) else content


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (-500, "not a whole ONNX model"),
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404</title>", "HTML page"),
        (cyclic, "cycle"),
        (missing_initializer, "needs 'w'"),
        (outside, "outside the model's folder"),
        (from_the_future, "opset 1000"),
        (unknown_operator, "node 1 (TfIdfVectorizer 'words')"),
        (strings, "PyTorch has no tensors of"),
    ],
)
def test_exit_code_4_and_nothing_written(
    damage: Damage,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "bad.onnx"
    path.write_bytes(damaged(damage, folder))
    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["zoo", "convert", str(path), "--to", "torch", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    error = capsys.readouterr().err
    assert stop.value.code == 4, error
    assert says in error
    assert "bad.onnx" in error
    assert "Traceback" not in error
    assert set(tmp_path.rglob("*")) == before


def test_a_failure_in_the_middle_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact of before stays whole when a later conversion into its folder breaks off while writing."""
    path = tmp_path / "good.onnx"
    onnx.save(good(), path)
    before = onnx_to_torch(path, tmp_path / "out", TorchOptions(export=False))

    def broken(*arguments: object) -> None:
        raise ConversionError("the disk is full")

    monkeypatch.setattr("zoo.convert.to_torch.artifact.write_source", broken)
    with pytest.raises(ConversionError):
        onnx_to_torch(path, tmp_path / "out", TorchOptions(export=False))
    assert before.is_intact()
    assert {item.name for item in (tmp_path / "out").iterdir()} == {"artifact.json", "model.py", "model.safetensors"}
    with pytest.raises(ConversionError):
        onnx_to_torch(path, tmp_path / "new", TorchOptions(export=False))
    assert not (tmp_path / "new").exists()
