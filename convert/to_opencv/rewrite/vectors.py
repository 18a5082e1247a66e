"""Vectors as matrices of one row: OpenCV 4 has no arrays of rank 1, and turns [A] into [A, 1] where [1, A] is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_opencv.rewrite.edit import unique, with_aliases

ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Exp", "Log", "Sqrt", "Neg", "Abs", "Sigmoid", "Tanh", "Max", "Min", "Clip"}


def with_rows_for_vectors(graph: Graph) -> Graph:
    """Squeeze [1, A] to [A], compute, Unsqueeze to [1, A]: computed on [1, A]. Left as it is where another operator
    reads such a vector."""
    vectors: set[str] = set()
    for node in graph.nodes:
        if _is_first_axis(graph, node, "Squeeze") or (node.op in ELEMENTWISE and vectors.intersection(node.inputs)):
            vectors.update(node.outputs)
    readers = [node for node in graph.nodes if vectors.intersection(node.inputs)]
    closed = all(node.op in ELEMENTWISE or _is_first_axis(graph, node, "Unsqueeze") for node in readers)
    kept = {value.name for value in graph.outputs} & {*vectors, *(node.outputs[0] for node in readers)}
    if not vectors or not closed or kept:
        return graph
    constants = dict(graph.initializers)
    nodes = (_in_rows(graph, node, constants) if vectors & {*node.outputs} else node for node in graph.nodes)
    reshaped = replace(graph, nodes=tuple(nodes), initializers=constants)
    idle = [node for node in graph.nodes if vectors & {*node.inputs, *node.outputs} and node.op not in ELEMENTWISE]
    return with_aliases(reshaped, {node.outputs[0]: node.inputs[0] for node in idle})


def _is_first_axis(graph: Graph, node: Node, op: str) -> bool:
    """Whether the node takes the first axis off a row, or puts it before a vector."""
    rank = graph.value(node.inputs[0]).rank if node.inputs else None
    return node.op == op and rank == (2 if op == "Squeeze" else 1) and list(_axes(graph, node)) == [0]


def _axes(graph: Graph, node: Node) -> Sequence[int]:
    """Of Squeeze and Unsqueeze: an attribute before opset 13, an input since."""
    given = graph.initializers.get(node.input(1))
    return node.attributes.get("axes", ()) if given is None else [int(axis) for axis in given]


def _in_rows(graph: Graph, node: Node, constants: dict[str, np.ndarray]) -> Node:
    """The node with constant vectors as rows."""
    inputs = []
    for name in node.inputs:
        array = constants.get(name)
        if array is not None and array.ndim == 1:
            row = unique(graph, f"{name}_row")
            constants[row] = array[np.newaxis]
            name = row
        inputs.append(name)
    return replace(node, inputs=tuple(inputs))
