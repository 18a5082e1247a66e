"""Constant folding and dead nodes: a smaller graph with the same outputs, which ONNX Runtime confirms."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.fold import MAX_ELEMENTS, simplified
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import graph_of


def graph(nodes: list[onnx.NodeProto], **initializers: np.ndarray) -> Graph:
    """Checked graph of `nodes` from x [2, 3] to y, with constants."""
    proto = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    return graph_of(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_constants_are_computed_and_what_nobody_needs_goes() -> None:
    result = simplified(
        graph(
            [
                helper.make_node("Add", ["a", "a"], ["b"]),
                helper.make_node("Mul", ["b", "a"], ["c"]),
                helper.make_node("Relu", ["x"], ["unused"]),
                helper.make_node("Add", ["x", "c"], ["y"]),
            ],
            a=np.array([1, 2, 3], np.float32),
            other=np.zeros(5, np.float32),
        )
    )
    assert [node.op for node in result.nodes] == ["Add"]
    assert set(result.initializers) == {"c"}
    np.testing.assert_array_equal(result.initializers["c"], np.array([2, 8, 18], np.float32))


def test_a_known_shape_is_a_constant_whatever_the_tensor_holds() -> None:
    result = simplified(
        graph(
            [
                helper.make_node("Shape", ["x"], ["s"], start=1),
                helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["x", "f"], ["y"]),
            ]
        )
    )
    assert [node.op for node in result.nodes] == ["Mul"]
    np.testing.assert_array_equal(result.initializers["f"], np.array([3], np.float32))


def test_bodies_are_folded_with_the_constants_around_them() -> None:
    inner = [helper.make_node("Neg", ["a"], ["n"]), helper.make_node("Add", ["x", "n"], ["o"])]
    body = helper.make_graph(inner, "b", [], [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body),
    ]
    result = simplified(graph(nodes, a=np.ones(3, np.float32), zero=np.array(0, np.float32)))
    then = result.nodes[-1].attributes["then_branch"]
    assert [node.op for node in then.nodes] == ["Add"]
    np.testing.assert_array_equal(then.initializers["n"], -np.ones(3, np.float32))


def test_big_and_random_results_are_left_to_run_time() -> None:
    big = graph(
        [helper.make_node("ConstantOfShape", ["n"], ["z"]), helper.make_node("ReduceSum", ["z"], ["y"])],
        n=np.array([MAX_ELEMENTS + 1], np.int64),
    )
    assert simplified(big).nodes[0].op == "ConstantOfShape"
    random = graph(
        [helper.make_node("RandomUniformLike", ["a"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])],
        a=np.ones(3, np.float32),
    )
    assert [node.op for node in simplified(random).nodes] == ["RandomUniformLike", "Add"]


def test_a_constant_that_cannot_be_computed_is_an_error() -> None:
    broken = graph(
        [helper.make_node("Gather", ["a", "i"], ["g"]), helper.make_node("Add", ["x", "g"], ["y"])],
        a=np.ones(3, np.float32),
        i=np.array(7),
    )
    with pytest.raises(ConversionError, match="node 0"):
        simplified(broken)
