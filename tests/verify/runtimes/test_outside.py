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


def hard_linked(folder: Path) -> str:
    (folder / "w.bin").hardlink_to(folder.parent / "secret.bin")
    return "w.bin"


@pytest.mark.parametrize("runtime", ["onnx", "opencv"])
@pytest.mark.parametrize(
    "lay", [lambda folder: "../secret.bin", lambda folder: str(folder.parent / "secret.bin"), linked, hard_linked]
)
def test_weights_outside_the_folder_are_not_read(runtime: str, lay: Lay, tmp_path: Path) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    folder = tmp_path / "model"
    folder.mkdir()
    path = leading_to(lay(folder), folder / "m.onnx")
    with pytest.raises(VerificationError, match=r"m\.onnx"):
        load_runner(path, runtime, Settings())


def test_a_function_of_the_model_reads_nothing_from_outside(tmp_path: Path) -> None:
    """ONNX Runtime would put the function in the place of the node that calls it."""
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    (tmp_path / "model").mkdir()
    path = leading_to(hard_linked(tmp_path / "model"), tmp_path / "model" / "m.onnx")
    model = onnx.load(path, load_external_data=False)
    constant = helper.make_node("Constant", [], ["c"], value=model.graph.initializer.pop())
    body = [constant, helper.make_node("Add", ["a", "c"], ["b"])]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], body, list(model.opset_import)))
    model.graph.node[0].CopyFrom(helper.make_node("F", ["x"], ["y"], domain="own"))
    model.opset_import.add(domain="own", version=1)
    onnx.save(model, path)
    with pytest.raises(VerificationError, match="hard link"):
        load_runner(path, "onnx", Settings())


@pytest.mark.parametrize("runtime", ["onnx", "opencv"])
def test_weights_beside_the_model_are_read(runtime: str, tmp_path: Path) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    runner = load_runner(leading_to("w.bin", tmp_path / "m.onnx"), runtime, Settings())
    found = runner.run({"x": np.ones((1, 4), np.float32)})
    runner.close()
    np.testing.assert_array_equal(found["y"], [[1, 2, 3, 4]])


@pytest.mark.slow
def test_a_graph_that_writes_files_is_not_run(tmp_path: Path) -> None:
    text = """node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
        node { name: "name" op: "Const" attr { key: "dtype" value { type: DT_STRING } }
               attr { key: "value" value { tensor { dtype: DT_STRING tensor_shape {} string_val: "owned" } } } }
        node { name: "write" op: "WriteFile" input: "name" input: "name" }
        node { name: "y" op: "Identity" input: "x" input: "^write" attr { key: "T" value { type: DT_FLOAT } } }"""
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from tensorflow.core.framework.graph_pb2 import GraphDef

    (tmp_path / "m.pb").write_bytes(text_format.Parse(text, GraphDef()).SerializeToString())
    with pytest.raises(VerificationError, match="more than compute: WriteFile"):
        load_runner(tmp_path / "m.pb", "tf", Settings())
