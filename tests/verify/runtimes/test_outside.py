"""No runtime reads weights from outside the folder of an ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from zoo.base.errors import VerificationError
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.runtimes.table import load_runner

Lay = Callable[[Path], str]


def leading_to(location: str, path: Path) -> Path:
    """x + w, whose weights lie at `location`."""
    weights = TensorProto(name="w", dims=[1, 4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", sides[:1], sides[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def linked(folder: Path) -> str:
    (folder / "w.bin").symlink_to(folder.parent / "secret.bin")
    return "w.bin"


@pytest.mark.parametrize("runtime", ["onnx", "opencv"])
@pytest.mark.parametrize(
    "lay", [lambda folder: "../secret.bin", lambda folder: str(folder.parent / "secret.bin"), linked]
)
def test_weights_outside_the_folder_are_not_read(runtime: str, lay: Lay, tmp_path: Path) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    folder = tmp_path / "model"
    folder.mkdir()
    path = leading_to(lay(folder), folder / "m.onnx")
    with pytest.raises(VerificationError, match=r"m\.onnx"):
        load_runner(path, runtime, Settings())


@pytest.mark.parametrize("runtime", ["onnx", "opencv"])
def test_weights_beside_the_model_are_read(runtime: str, tmp_path: Path) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    runner = load_runner(leading_to("w.bin", tmp_path / "m.onnx"), runtime, Settings())
    found = runner.run({"x": np.ones((1, 4), np.float32)})
    runner.close()
    np.testing.assert_array_equal(found["y"], [[1, 2, 3, 4]])
