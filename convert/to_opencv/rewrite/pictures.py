"""The input as `cv2.dnn.blobFromImage` makes it, float32 [N, 3, H, W], and no resize where the size is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from onnx import helper

from zoo.convert.onnx_graph.fold import without_dead_nodes
from zoo.convert.onnx_graph.graph import Graph, Node, Value
from zoo.convert.onnx_graph.rewrite.sizes import picture_axes
from zoo.convert.to_opencv.rewrite.edit import makers, unique, with_aliases


def with_blob_input(graph: Graph) -> Graph:
    """Picture inputs take float32 [N, C, H, W]; those that took [N, H, W, C] are transposed behind it. A uint8 input
    takes the same numbers, 0 to 255."""
    for value in graph.inputs:
        shape = value.shape or ()
        last = len(shape) == 4 and picture_axes(shape) == (1, 2)
        if last or (len(shape) == 4 and value.dtype == np.uint8):
            graph = _as_blob(graph, value, last)
    return graph


def _as_blob(graph: Graph, value: Value, channels_last: bool) -> Graph:
    shape = value.shape or ()
    n, h, w, c = shape
    blob = Value(value.name, np.dtype(np.float32), (n, c, h, w) if channels_last else shape)
    inputs = tuple(blob if old is value else old for old in graph.inputs)
    graph = replace(graph, inputs=inputs, values={**graph.values, value.name: blob})
    if not channels_last:
        return graph
    laid = unique(graph, f"{value.name}_channels_last")
    renamed = with_aliases(graph, {value.name: laid})
    turn = Node("Transpose", laid, (value.name,), (laid,), {"perm": (0, 2, 3, 1)}, -1)
    return replace(renamed, nodes=(turn, *renamed.nodes))


def without_idle_nodes(graph: Graph) -> Graph:
    """Identity is left out, a Cast to the type that a value has already, a Slice of all of it, a Pad by nothing."""
    idle = [node for node in graph.nodes if _is_idle(graph, node)]
    return with_aliases(graph, {node.outputs[0]: node.inputs[0] for node in idle})


def _is_idle(graph: Graph, node: Node) -> bool:
    if node.op == "Cast":
        return graph.value(node.inputs[0]).dtype == _dtype(node)
    if node.op == "Slice":
        steps = graph.initializers.get(node.input(4), np.ones(1, np.int64))
        shape = graph.value(node.inputs[0]).shape
        return (
            shape is not None
            and None not in shape
            and shape == graph.value(node.outputs[0]).shape
            and bool((steps == 1).all())
        )
    if node.op == "Pad":
        pads = graph.initializers.get(node.input(1))
        return pads is not None and not pads.any()
    return node.op == "Identity"


def _dtype(node: Node) -> np.dtype:
    return np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"]))


def without_idle_blends(graph: Graph) -> Graph:
    """a + (b - a) * 0 is a: the blend of neighbouring pixels where each pixel is taken as it is."""
    made, aliases = makers(graph), {}
    for node in graph.nodes:
        if node.op != "Add":
            continue
        for first, second in (node.inputs, node.inputs[::-1]):
            product = made.get(second)
            if product and product.op == "Mul" and _is_blend(graph, product, made, first):
                aliases[node.outputs[0]] = first
    return with_aliases(graph, aliases)


def _is_blend(graph: Graph, product: Node, made: dict[str, Node], first: str) -> bool:
    for difference, fraction in (product.inputs, product.inputs[::-1]):
        step, share = made.get(difference), graph.initializers.get(fraction)
        if step and step.op == "Sub" and step.inputs[1] == first and share is not None and not share.any():
            return graph.value(first).shape == graph.value(product.outputs[0]).shape
    return False


def without_idle_gathers(graph: Graph) -> Graph:
    """A Gather that takes every element once and in order is left out."""
    idle = [node for node in graph.nodes if node.op == "Gather" and _takes_all(graph, node)]
    return with_aliases(graph, {node.outputs[0]: node.inputs[0] for node in idle})


def _takes_all(graph: Graph, node: Node) -> bool:
    index, shape = graph.initializers.get(node.inputs[1]), graph.value(node.inputs[0]).shape or ()
    axis = node.attributes.get("axis", 0)
    if index is None or index.ndim != 1 or not shape:
        return False
    return np.array_equal(index, np.arange(len(index))) and len(index) == shape[axis]


def without_idle_transposes(graph: Graph) -> Graph:
    """Of two Transposes in a row one that does both; none where the axes stay in order."""
    made = makers(graph)
    graph = replace(graph, nodes=tuple(_joined(node, made) for node in graph.nodes))
    idle = [node for node in graph.nodes if node.op == "Transpose" and _keeps_order(node)]
    return without_dead_nodes(with_aliases(graph, {node.outputs[0]: node.inputs[0] for node in idle}))


def _joined(node: Node, made: Mapping[str, Node]) -> Node:
    first = made.get(node.inputs[0]) if node.op == "Transpose" else None
    if first is None or first.op != "Transpose" or "perm" not in first.attributes or "perm" not in node.attributes:
        return node
    perm = tuple(first.attributes["perm"][axis] for axis in node.attributes["perm"])
    return replace(node, inputs=first.inputs, attributes={"perm": perm})


def _keeps_order(node: Node) -> bool:
    perm = node.attributes.get("perm", ())
    return tuple(perm) == tuple(range(len(perm))) and bool(perm)
