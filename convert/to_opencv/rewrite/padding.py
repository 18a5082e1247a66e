"""Explicit pads: OpenCV computes some automatic ones wrongly, in silence."""

from __future__ import annotations

from dataclasses import replace

from zoo.convert.onnx_graph.graph import Graph, Node

WINDOWED = {"Conv", "MaxPool", "AveragePool"}
AUTOMATIC = ("SAME_UPPER", "SAME_LOWER", "VALID")


def with_explicit_pads(graph: Graph) -> Graph:
    """`auto_pad` as numbers: the total is (ceil(size / stride) - 1) * stride + window - size, its odd pixel at the end
    for SAME_UPPER. Left as it is where a size is not known."""
    return replace(graph, nodes=tuple(_padded(graph, node) for node in graph.nodes))


def _padded(graph: Graph, node: Node) -> Node:
    mode = node.attributes.get("auto_pad", "NOTSET")
    shape = graph.value(node.inputs[0]).shape or () if node.inputs else ()
    sizes = [size for size in shape[2:] if isinstance(size, int)]
    if node.op not in WINDOWED or mode not in AUTOMATIC or not sizes or len(sizes) != len(shape) - 2:
        return node
    kernel = node.attributes.get("kernel_shape") or (graph.value(node.inputs[1]).shape or ())[2:]
    ones = (1,) * len(sizes)
    strides, dilations = (node.attributes.get(key, ones) for key in ("strides", "dilations"))
    totals = [
        0 if mode == "VALID" else max((-(-size // stride) - 1) * stride + dilation * (int(window) - 1) + 1 - size, 0)
        for size, stride, dilation, window in zip(sizes, strides, dilations, kernel, strict=True)
    ]
    begin = [total - total // 2 if mode == "SAME_LOWER" else total // 2 for total in totals]
    pads = (*begin, *(total - part for total, part in zip(totals, begin, strict=True)))
    kept = {key: value for key, value in node.attributes.items() if key != "auto_pad"}
    return replace(node, attributes={**kept, "pads": pads})
