"""Reading ONNX files that nobody vouches for: a fault is a ConversionError that names the file and says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import graph_of, read_graph, read_model

WEIGHT = np.arange(6000, dtype=np.float32).reshape(3, 2000)


def model(nodes: list[onnx.NodeProto] | None = None, opset: int = 17, **changes: Any) -> ModelProto:
    """y = x · w with a weight that is big enough to stay in the file, unless changed."""
    parts: dict[str, Any] = {
        "inputs": [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        "outputs": [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2000])],
        "initializer": [numpy_helper.from_array(WEIGHT, "w")],
    } | changes
    graph = helper.make_graph(nodes or [helper.make_node("MatMul", ["x", "w"], ["y"], name="dense")], "g", **parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(folder: Path, proto: ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def external(folder: Path, **changes: str) -> Path:
    """The model with its weight in the file weights.bin; `changes` are made to the reference, "" removes an entry."""
    (folder / "weights.bin").write_bytes(WEIGHT.tobytes())
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "weights.bin", "offset": "0", "length": str(WEIGHT.nbytes)} | changes).items():
        if value:
            tensor.external_data.add(key=key, value=value)
    return saved(folder, proto)


def refused(path: Path) -> str:
    """The message of the error that reading `path` raises; it names the file and says what to do."""
    with pytest.raises(ConversionError) as caught:
        read_graph(path)
    assert path.name in caught.value.message
    assert caught.value.hint
    return str(caught.value)


# --- what a good file gives


def test_a_graph_is_typed_and_its_weights_are_the_files(tmp_path: Path) -> None:
    graph = read_graph(saved(tmp_path, model()))
    assert [value.name for value in graph.inputs] == ["x"]
    assert graph.value("y").shape == ("batch", 2000)
    assert graph.value("y").dtype == np.float32
    assert graph.opset == 17
    assert str(graph.nodes[0]) == "node 0 (MatMul 'dense')"
    np.testing.assert_array_equal(graph.initializers["w"], WEIGHT)
    assert not graph.initializers["w"].flags.writeable


def test_big_weights_are_not_parsed_into_memory(tmp_path: Path) -> None:
    path = saved(tmp_path, model())
    assert read_model(path).ByteSize() < 1000 < path.stat().st_size
    owner = read_graph(path).initializers["w"]
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    assert not isinstance(owner, np.ndarray), "the array is a copy, not a view of the mapped file"


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_graph(external(tmp_path)).initializers["w"], WEIGHT)
    np.testing.assert_array_equal(read_graph(external(tmp_path, length="", offset="")).initializers["w"], WEIGHT)


def test_attributes_are_decoded() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])], "b", [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["c"], ["i"], then_branch=body, else_branch=body),
        helper.make_node("Transpose", ["i"], ["y"], perm=[1, 0]),
    ]
    proto = model(nodes, initializer=[], outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    constant, branch, transpose = graph_of(proto).nodes
    assert constant.attributes["value"] == np.array(True)
    assert transpose.attributes["perm"] == (1, 0)
    then = branch.attributes["then_branch"]
    assert isinstance(then, Graph)
    assert then.outer_names() == {"x"}


def test_an_input_that_an_initializer_fixes_is_no_input() -> None:
    inputs = [helper.make_tensor_value_info("x", 1, ["batch", 3]), helper.make_tensor_value_info("w", 1, [3, 2000])]
    assert [value.name for value in graph_of(model(inputs=inputs)).inputs] == ["x"]


# --- files that are no models


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git-lfs"),
        (b"PK\x03\x04rest of a zip", "zip"),
        (b"\x08\x08", "no graph"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "not a whole ONNX model"),
        (b"any text at all, and more of it", "not a whole ONNX model"),
    ],
)
def test_what_is_no_model(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert says in refused(path)


@pytest.mark.parametrize(
    ("nodes", "changes", "where"),
    [
        ([helper.make_node("MatMul", ["x", "w"], ["y"], name="NAME")], {}, "graph.node.name"),
        ([helper.make_node("MatMul", ["x", "NAME"], ["y"])], {}, "graph.node.input"),
        ([helper.make_node("Foo", ["x", "w"], ["y"], domain="NAME")], {}, "graph.node.domain"),
        (None, {"outputs": [helper.make_tensor_value_info("NAME", TensorProto.FLOAT, [1])]}, "graph.output.name"),
        (None, {"initializer": [numpy_helper.from_array(WEIGHT, "NAME")]}, "graph.initializer.name"),
    ],
)
def test_names_that_are_not_utf8(tmp_path: Path, nodes: Any, changes: dict[str, Any], where: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(nodes, **changes).SerializeToString().replace(b"NAME", b"K\xf6ln"))
    assert f"the {where} b'K\\xf6ln' is not UTF-8" in refused(path)


def test_strings_that_are_no_names_may_be_any_bytes(tmp_path: Path) -> None:
    """An attribute's strings are bytes, and nothing reads a `doc_string`."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="größe", doc_string="TEXT", odd=b"\xff\xfe")
    path = tmp_path / "model.onnx"
    path.write_bytes(model([node]).SerializeToString().replace(b"TEXT", b"K\xf6ln"))
    assert read_model(path).graph.node[0].name == "größe"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx")
    refused(tmp_path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """Cut at any byte, the file is refused: as no whole model, or as one that lacks something."""
    whole = saved(tmp_path, model()).read_bytes()
    path = tmp_path / "cut.onnx"
    ends = {*range(0, 200, 7), *range(len(whole) - 200, len(whole) - 1, 7), len(whole) // 2}
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        refused(path)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int) -> None:
    """Damage ends in a graph or in a ConversionError, never in another exception."""
    content = bytearray(model(initializer=[numpy_helper.from_array(WEIGHT[:, :300], "w")]).SerializeToString())
    content[position % len(content) if position % 3 else position % 200] = byte
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(content)
    try:
        read_graph(path)
    except ConversionError as error:
        assert error.hint


# --- external data


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"location": "/etc/passwd"}, "outside"),
        ({"location": "../weights.bin"}, "outside"),
        ({"location": "a/../../weights.bin"}, "outside"),
        ({"location": "..\\weights.bin"}, "outside"),
        ({"location": "C:weights.bin"}, "outside"),
        ({"location": "."}, "outside"),
        ({"location": ""}, "outside"),
        ({"location": "none.bin"}, "No such file"),
        ({"offset": "4"}, "ends at byte"),
        ({"offset": "-4"}, "ends at byte"),
        ({"length": "8"}, "needs 24000"),
        ({"length": "99999999999999999999"}, "ends at byte"),
        ({"offset": "four"}, "invalid literal"),
    ],
)
def test_external_data_that_is_refused(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    message = refused(external(tmp_path, **changes))
    assert says in message
    assert "initializer 'w'" in message


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_external_data_behind_a_link(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    elsewhere = tmp_path / "elsewhere.bin"
    elsewhere.write_bytes(WEIGHT.tobytes())
    (tmp_path / "inside").mkdir()
    path = external(tmp_path / "inside")
    (tmp_path / "inside" / "weights.bin").unlink()
    link(elsewhere, tmp_path / "inside" / "weights.bin")
    assert "link" in refused(path)


def test_external_data_behind_a_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "sub").symlink_to(tmp_path / "elsewhere")
    assert "link" in refused(external(tmp_path / "inside", location="sub/weights.bin"))


def test_external_data_that_is_a_pipe(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    os.mkfifo(tmp_path / "weights.bin")
    assert "ordinary file" in refused(path)


def test_a_model_in_memory_has_no_folder(tmp_path: Path) -> None:
    proto = onnx.load(external(tmp_path), load_external_data=False)
    with pytest.raises(ConversionError, match="no folder"):
        graph_of(proto)


# --- graphs that cannot run


def tensor(**fields: Any) -> TensorProto:
    given: dict[str, Any] = {"name": "w", "data_type": TensorProto.FLOAT, "dims": [3, 2000]}
    return TensorProto(**given | fields)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"initializer": []}, "needs 'w', which no input"),
        ({"initializer": [tensor(raw_data=b"1234")]}, "it has 4 bytes"),
        ({"initializer": [tensor(float_data=[1.0])]}, "cannot be read"),
        ({"initializer": [tensor(dims=[-3, 2000])]}, "negative size"),
        ({"initializer": [tensor(data_type=99)]}, "unknown data type"),
        ({"initializer": [tensor(dims=[1 << 40, 1 << 40], raw_data=b"1234")]}, "bytes"),
        ({"initializer": [numpy_helper.from_array(WEIGHT, "w")] * 2}, "two initializers are called 'w'"),
        ({"inputs": [helper.make_tensor_value_info("x", 1, [1, 3])] * 2}, "two inputs are called 'x'"),
        ({"outputs": [helper.make_tensor_value_info("z", 1, None)]}, "makes the output 'z'"),
        ({"opset": 1000}, "opset 1000"),
        ({"opset": 0}, "opset 0"),
    ],
)
def test_graphs_that_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert says in refused(saved(tmp_path, model(**changes)))


def test_cycles_wrong_order_and_double_names(tmp_path: Path) -> None:
    def nodes(*edges: tuple[str, str]) -> list[onnx.NodeProto]:
        return [helper.make_node("Relu", [a], [b], name=f"{a}-{b}") for a, b in edges]

    cycle = refused(saved(tmp_path, model(nodes(("b", "a"), ("a", "b"), ("x", "y")))))
    assert "node 0 (Relu 'b-a')" in cycle
    assert "cycle" in cycle
    assert "not sorted" in refused(saved(tmp_path, model(nodes(("a", "y"), ("x", "a")))))
    assert "exists already" in refused(saved(tmp_path, model(nodes(("x", "y"), ("x", "y")))))
    assert "cycle" in refused(saved(tmp_path, model(nodes(("y", "y")))))


def test_foreign_operators_and_functions(tmp_path: Path) -> None:
    node = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")
    assert "'com.microsoft'" in refused(saved(tmp_path, model([node])))


def test_a_graph_ten_thousand_nodes_deep() -> None:
    names = ["x", *(f"v{i}" for i in range(9999)), "y"]
    chain = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    output = [helper.make_tensor_value_info("y", 1, ["batch", 3])]
    assert len(graph_of(model(chain, outputs=output)).nodes) == 10_000
    chain[0].input[0] = "y"
    with pytest.raises(ConversionError, match="cycle"):
        graph_of(model(chain, outputs=output))


@pytest.mark.parametrize("depth", [17, 30])
def test_graphs_nested_too_deep(tmp_path: Path, depth: int) -> None:
    output = [helper.make_tensor_value_info("y", 1, None)]
    node = helper.make_node("Relu", ["x"], ["y"])
    for level in range(depth):
        body = helper.make_graph([node], "b", [], [helper.make_tensor_value_info(node.output[0], 1, None)])
        node = helper.make_node("If", ["x"], ["y" if level == depth - 1 else f"y{level}"])
        node.attribute.append(helper.make_attribute("then_branch", body))
    with pytest.raises(ConversionError, match="nested"):
        graph_of(model([node], outputs=output))


def test_a_lying_shape_does_not_take_memory(tmp_path: Path) -> None:
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 30, 1 << 30])
    refused(saved(tmp_path, model(initializer=[huge])))
