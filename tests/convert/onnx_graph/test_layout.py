"""Layouts of a joined graph: the same numbers with fewer turns, and means of channels taken from planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from zoo.convert.onnx_graph.build import GraphBuilder, needed_nodes, value_info
from zoo.convert.onnx_graph.rewrite.layout import settled_layout

MEAN = np.array([[[[0.5, 0.25, 0.125]]]], np.float32)
CONSTANTS: dict[str, np.ndarray] = {
    "mean": MEAN,
    "zeros": np.zeros((1, 1, 1, 3), np.float32),
    "one": np.array(1.0, np.float32),
    "scale": np.array(2.0, np.float32),
    "inner": np.array([1], np.int64),
    "begin": np.zeros(2, np.int64),
    "end": np.array([2**31 - 1, 1], np.int64),
    "axes": np.array([0, 1], np.int64),
}
PICTURE = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)


def run(builder: GraphBuilder) -> list[np.ndarray]:
    """y and shape, as ONNX Runtime computes them."""
    builder.input("x", ["n", "h", "w", 3])
    builder.output("y", ["n", "c", "h", "w"])
    builder.outputs.append(value_info("shape", [4], TensorProto.INT64))
    proto = builder.model({}).proto()
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in CONSTANTS.items())
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(["y", "shape"], {"x": PICTURE})
    return found


def settled(*nodes: NodeProto) -> tuple[list[str], list[str]]:
    """The operators that y needs after and before: it is computed as before, and so is the shape of what was turned."""
    before, after = GraphBuilder("before"), GraphBuilder("after")
    before.nodes = list(nodes)
    after.nodes = settled_layout(nodes, CONSTANTS, after)
    for found, wanted in zip(run(after), run(before), strict=True):
        assert np.array_equal(found, wanted)
    kept = needed_nodes(after.nodes, ["y"])
    return [node.op_type for node in kept], [node.op_type for node in nodes]


def node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
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
