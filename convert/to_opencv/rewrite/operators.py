"""Operators that an OpenCV lacks, said with those that it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_opencv.rewrite.edit import unique


def without_and(graph: Graph) -> Graph:
    """a and b as a · b > ½, in float32."""
    nodes: list[Node] = []
    constants = dict(graph.initializers)
    for node in graph.nodes:
        if node.op != "And":
            nodes.append(node)
            continue
        half = unique(graph, "and_half")
        constants[half] = np.array(0.5, np.float32)
        names = [f"{node.outputs[0]}_{part}" for part in ("first", "second", "product")]
        for name, source in zip(names, node.inputs, strict=False):
            nodes.append(_node("Cast", (source,), name, to=TensorProto.FLOAT))
        nodes.append(_node("Mul", (names[0], names[1]), names[2]))
        nodes.append(_node("Greater", (names[2], half), node.outputs[0]))
    return replace(graph, nodes=tuple(nodes), initializers=constants)


def _node(op: str, inputs: tuple[str, ...], output: str, **attributes: int) -> Node:
    return Node(op, output, inputs, (output,), attributes, -1)
