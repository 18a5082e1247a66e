"""Layouts of a joined graph: the same numbers with fewer turns, and means of channels taken from planes."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import NodeProto, helper, numpy_helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.layout import settled_layout

MEAN = np.array([[[[0.5, 0.25, 0.125]]]], np.float32)
CONSTANTS = {
    "mean": MEAN,
    "zeros": np.zeros((1, 1, 1, 3), np.float32),
    "one": np.float32(1.0),
    "scale": np.float32(2.0),
    "inner": np.array([1], np.int64),
    "begin": np.zeros(2, np.int64),
    "end": np.array([2**31 - 1, 1], np.int64),
    "axes": np.array([0, 1], np.int64),
}
PICTURE = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)


def run(nodes: list[NodeProto], builder: GraphBuilder) -> list[np.ndarray]:
    values = [helper.make_tensor_value_info(name, 1, [None] * 4) for name in ("x", "y")]
    shape = helper.make_tensor_value_info("shape", 7, [4])
    stored = [*(numpy_helper.from_array(np.asarray(array), name) for name, array in CONSTANTS.items())]
    for node in nodes:
        builder.nodes.append(node)
    builder.output("y", [None, None, None, None])
    stored += builder.model({}).constants
    graph = helper.make_graph(nodes, "layout", values[:1], [values[1], shape], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(["y", "shape"], {"x": PICTURE})
    return found


def settled(*nodes: NodeProto) -> tuple[list[str], list[str]]:
    """The operators that y needs after and before: it is computed as before, and so is the shape of what was turned."""
    builder = GraphBuilder("layout")
    changed = settled_layout(nodes, CONSTANTS, builder)
    for found, wanted in zip(run(changed, builder), run(list(nodes), GraphBuilder("before")), strict=True):
        assert np.array_equal(found, wanted)
    builder.outputs = []
    builder.nodes = changed
    builder.output("y", [None] * 4)
    return [node.op_type for node in builder.model({}).nodes], [node.op_type for node in nodes]


def node(op: str, inputs: str, output: str, **attributes: object) -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


TURN = node("Transpose", "v", "y", perm=[0, 3, 1, 2])


def test_a_mean_for_each_channel_is_taken_from_planes() -> None:
    after, _ = settled(
        node("Unsqueeze", "x inner", "a"),
        node("Mul", "scale a", "b"),
        node("Slice", "b begin end axes", "c"),
        node("Squeeze", "c inner", "d"),
        node("Sub", "d mean", "e"),
        node("Div", "e one", "f"),
        node("Sub", "f zeros", "v"),
        node("Shape", "v", "shape"),
        TURN,
    )
    assert after == ["Transpose", "Mul", "Sub"]


def test_a_number_for_all_channels_stays_where_it_is() -> None:
    after, before = settled(node("Mul", "x scale", "v"), node("Shape", "v", "shape"), TURN)
    assert after == ["Mul", "Transpose"] == before[::2]


def test_what_is_turned_and_turned_back_is_not() -> None:
    after, _ = settled(
        node("Exp", "x", "a"),
        node("Transpose", "a", "b", perm=[0, 3, 1, 2]),
        node("Transpose", "b", "v", perm=[0, 2, 3, 1]),
        node("Shape", "b", "shape"),
        node("Neg", "v", "y"),
    )
    assert after == ["Exp", "Neg"]


def test_other_turns_stay() -> None:
    after, before = settled(
        node("Transpose", "x", "v", perm=[0, 3, 1, 2]),
        node("Shape", "v", "shape"),
        TURN,
    )
    assert after == ["Transpose", "Transpose"] == before[::2]
