"""Each named rewrite: what it finds is gone, and ONNX Runtime computes the same from what it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.base.errors import ConversionError
from zoo.convert.from_darknet.activations import activate
from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.onnx_graph.rewrite.pixels import Pixels
from zoo.convert.onnx_graph.rewrite.tf_resize import ResizeRule, tf_resize
from zoo.convert.to_opencv.emit import model_of
from zoo.convert.to_opencv.rewrite.activations import with_mish
from zoo.convert.to_opencv.rewrite.operators import with_reshapes, with_slices, without_and
from zoo.convert.to_opencv.rewrite.outputs import with_useful_outputs
from zoo.convert.to_opencv.rewrite.padding import with_explicit_pads
from zoo.convert.to_opencv.rewrite.passes import fit
from zoo.convert.to_opencv.rewrite.vectors import with_rows_for_vectors

RANDOM = np.random.default_rng(0)
Inputs = Mapping[str, list[int | str]]


def model(
    nodes: list[onnx.NodeProto], inputs: Inputs, outputs: Mapping[str, int], constants: Mapping[str, Any] | None = None
) -> onnx.ModelProto:
    """`inputs` by shape, `outputs` by rank."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}{axis}" for axis in range(rank)])
        for name, rank in outputs.items()
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "graph", given, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def computed(proto: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    results: list[Any] = session.run(None, dict(feeds))
    return results


def operators(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def same(proto: onnx.ModelProto, rewrite: Callable[[Graph], Graph], feeds: Mapping[str, Any]) -> Counter[str]:
    """The operators after the rewrite, which computes the same numbers."""
    graph = rewrite(graph_of(proto))
    for found, wanted in zip(computed(model_of(graph).proto(), feeds), computed(proto, feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    return operators(graph)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def test_and() -> None:
    nodes = [
        node("Greater", "x h", "a"),
        node("Less", "x l", "b"),
        node("And", "a b", "c"),
        node("Cast", "c", "y", to=1),
    ]
    proto = model(nodes, {"x": [2, 9]}, {"y": 2}, {"h": np.float32(0.2), "l": np.float32(0.7)})
    assert "And" not in same(proto, without_and, {"x": RANDOM.random((2, 9), np.float32)})


def test_mish_that_is_spelled_out() -> None:
    builder = GraphBuilder("twice")
    activate(builder, "mish", activate(builder, "mish", builder.input("x", [2, 40]), "first"), "y")
    builder.output("y", [2, 40])
    found = same(builder.model({}).proto(), with_mish, {"x": 9 * RANDOM.random((2, 40), np.float32) - 3})
    assert found == Counter({"Softplus": 2, "Tanh": 2, "Mul": 2})


def test_what_only_looks_like_mish_stays() -> None:
    nodes = [
        node("Sigmoid", "x", "s"),
        node("Sub", "two s", "a"),
        node("Mul", "s a", "p"),
        node("Sub", "three p", "b"),
        node("Div", "p b", "t"),
        node("Mul", "x t", "y"),
    ]
    constants = {"two": np.float32(2), "three": np.float32(3)}
    proto = model(nodes, {"x": [2, 9]}, {"y": 2}, constants)
    assert "Sigmoid" in same(proto, with_mish, {"x": RANDOM.random((2, 9), np.float32)})


def test_split_into_parts_of_any_size() -> None:
    nodes = [node("Split", "x s", "a b c", axis=-1), node("Concat", "c a", "y", axis=1)]
    proto = model(nodes, {"x": [2, 9]}, {"y": 2}, {"s": np.array([2, 3, 4])})
    assert same(proto, with_slices, {"x": RANDOM.random((2, 9), np.float32)}) == {"Slice": 2, "Concat": 1}


def test_squeeze_and_unsqueeze() -> None:
    nodes = [node("Squeeze", "x a", "s"), node("Exp", "s", "e"), node("Unsqueeze", "e b", "y")]
    proto = model(nodes, {"x": [2, 1, 9]}, {"y": 4}, {"a": np.array([1]), "b": np.array([0, 3])})
    assert same(proto, with_reshapes, {"x": RANDOM.random((2, 1, 9), np.float32)}) == {"Reshape": 2, "Exp": 1}


def test_vectors_become_rows() -> None:
    """With a constant vector, whose only axis must not be taken for a column."""
    nodes = [node("Squeeze", "x a", "s"), node("Mul", "s v", "m"), node("Exp", "m", "e"), node("Unsqueeze", "e a", "r")]
    nodes.append(node("Neg", "r", "y"))
    proto = model(nodes, {"x": [1, 5]}, {"y": 2}, {"a": np.array([0]), "v": np.arange(5, dtype=np.float32)})
    assert same(proto, with_rows_for_vectors, {"x": RANDOM.random((1, 5), np.float32)}) == {
        "Mul": 1,
        "Exp": 1,
        "Neg": 1,
    }


def test_vectors_that_others_read_stay() -> None:
    nodes = [node("Squeeze", "x a", "s"), node("Exp", "s", "e"), node("TopK", "e k", "y i")]
    proto = model(nodes, {"x": [1, 5]}, {"y": 1}, {"a": np.array([0]), "k": np.array([2])})
    assert "Squeeze" in same(proto, with_rows_for_vectors, {"x": RANDOM.random((1, 5), np.float32)})


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [7, 8])
def test_automatic_pads(mode: str, size: int) -> None:
    nodes = [node("Conv", "x w", "c", auto_pad=mode, strides=[2, 2]),
             node("MaxPool", "c", "y", auto_pad=mode, kernel_shape=[2, 2], strides=[2, 1])]  # fmt: skip
    proto = model(nodes, {"x": [1, 2, size, size]}, {"y": 4}, {"w": RANDOM.random((3, 2, 4, 3), np.float32)})
    graph = with_explicit_pads(graph_of(proto))
    assert all("auto_pad" not in one.attributes and "pads" in one.attributes for one in graph.nodes)
    same(proto, with_explicit_pads, {"x": RANDOM.random((1, 2, size, size), np.float32)})


def test_candidates_are_taken_rather_than_a_suppression() -> None:
    nodes = [
        node("Sigmoid", "b", "raw_detection_boxes"),
        node("Sigmoid", "s", "raw_detection_scores"),
        node("Transpose", "raw_detection_scores", "t", perm=[0, 2, 1]),
        node("NonMaxSuppression", "raw_detection_boxes t", "n"),
        node("Cast", "n", "detection_boxes", to=1),
    ]
    outputs = {"detection_boxes": 2, "raw_detection_boxes": 3, "raw_detection_scores": 3}
    graph = with_useful_outputs(graph_of(model(nodes, {"b": [1, 5, 4], "s": [1, 5, 2]}, outputs)))
    assert [value.name for value in graph.outputs] == ["raw_detection_boxes", "raw_detection_scores"]
    assert operators(graph) == {"Sigmoid": 2}


def test_a_picture_of_any_size_in_bytes_becomes_a_blob() -> None:
    """The resize to the network's own size vanishes where the picture has it: TensorFlow's rule, as zoo writes it."""
    builder = GraphBuilder("picture")
    resized = tf_resize(builder, Pixels("image_tensor", is_bytes=True), (6, 5), ResizeRule())
    builder.op("Transpose", resized, hint="y", perm=[0, 3, 1, 2])
    builder.inputs.append(helper.make_tensor_value_info("image_tensor", TensorProto.UINT8, ["n", "h", "w", 3]))
    builder.output("y", ["n", 3, 6, 5])
    proto = builder.model({}).proto()
    graph = fit(graph_of(proto), 5, None, (6, 5))
    assert operators(graph) == {"Transpose": 1}  # an output keeps its name, so the last stays, and moves nothing
    (image,) = graph.inputs
    assert (image.dtype, image.shape) == (np.dtype("float32"), (1, 3, 6, 5))
    picture = RANDOM.integers(0, 256, (1, 3, 6, 5)).astype(np.float32)
    np.testing.assert_array_equal(computed(model_of(graph).proto(), {"image_tensor": picture})[0], picture)


def test_control_flow_is_refused_by_name() -> None:
    body = helper.make_graph(
        [node("Identity", "x", "z")], "body", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2])]
    )
    nodes = [node("ReduceSum", "x", "s", keepdims=0), node("Cast", "s", "b", to=9),
             helper.make_node("If", ["b"], ["y"], name="choice", then_branch=body, else_branch=body)]  # fmt: skip
    with pytest.raises(ConversionError, match="choice"):
        fit(graph_of(model(nodes, {"x": [1, 2]}, {"y": 2})), 5, None, None)
