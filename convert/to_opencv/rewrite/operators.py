"""Operators that an OpenCV lacks, said with those that it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_opencv.rewrite.edit import new_node, unique, uses


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
            nodes.append(new_node("Cast", (source,), name, to=TensorProto.FLOAT))
        nodes.append(new_node("Mul", (names[0], names[1]), names[2]))
        nodes.append(new_node("Greater", (names[2], half), node.outputs[0]))
    return replace(graph, nodes=tuple(nodes), initializers=constants)


def with_slices(graph: Graph) -> Graph:
    """A Split as one Slice for each part that is used: older OpenCVs split into equal parts only."""
    used, nodes, constants = uses(graph), [], dict(graph.initializers)
    for node in graph.nodes:
        shape, axis = graph.value(node.inputs[0]).shape, node.attributes.get("axis", 0)
        sizes = [(graph.value(name).shape or ())[axis:][:1] for name in node.outputs] if node.op == "Split" else []
        if node.op != "Split" or shape is None or not all(size and isinstance(size[0], int) for size in sizes):
            nodes.append(node)
            continue
        axis, begin = axis % len(shape), 0
        for name, (size,) in zip(node.outputs, sizes, strict=True):
            numbers = {"begin": begin, "end": begin + int(size or 0), "axis": axis}
            begin = numbers["end"]
            if used[name]:
                given = [unique(graph, f"{name}_{part}") for part in numbers]
                constants |= zip(given, (np.array([number], np.int64) for number in numbers.values()), strict=True)
                nodes.append(new_node("Slice", (node.inputs[0], *given), name))
    return replace(graph, nodes=tuple(nodes), initializers=constants)


def with_reshapes(graph: Graph) -> Graph:
    """Squeeze and Unsqueeze as Reshape: their axes are an input since opset 13, which older OpenCVs do not read."""
    nodes, constants = [], dict(graph.initializers)
    for node in graph.nodes:
        shape = graph.value(node.outputs[0]).shape
        if node.op in ("Squeeze", "Unsqueeze") and shape and all(isinstance(size, int) for size in shape):
            name = unique(graph, f"{node.outputs[0]}_shape")
            constants[name] = np.array(shape, np.int64)
            node = new_node("Reshape", (node.inputs[0], name), node.outputs[0])
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), initializers=constants)
