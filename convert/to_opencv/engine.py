"""Which of OpenCV 5's two engines a program should load a network with: the new one, or the classic one of OpenCV 4.

The classic one computes dense 3×3 convolutions of stride 1 by Winograd's algorithm, and is faster where most of the
work is such, over many channels; the new one is faster everywhere else, twice where convolutions are depthwise
(docs/opencv.md has what was measured). Both compute the same; OpenCV 4 has the classic one alone.
"""

from __future__ import annotations

import math

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_opencv.rewrite.passes import REFUSED

CLASSIC, NEW = "classic", "new"
CHANNELS = 128  # over so many inputs the saved multiplications outweigh the transforms
SHARE = 0.65  # of all multiply-adds: yolov3 (0.70) is faster on the classic engine, yolov4 (0.61) on the new one


def engines(graph: Graph) -> tuple[str, ...]:
    """The engines to try, the faster first. `graph` has known shapes."""
    if any(node.op in REFUSED[4] for node in graph.nodes):
        return (NEW,)
    convolutions = [node for node in graph.nodes if node.op == "Conv"]
    work = [_multiplications(graph, node) for node in convolutions]
    saved = sum(count for node, count in zip(convolutions, work, strict=True) if _is_winograd(graph, node))
    return (CLASSIC, NEW) if saved > SHARE * sum(work) else (NEW,)


def _multiplications(graph: Graph, node: Node) -> int:
    """Of one convolution: of each weight with each place of the output."""
    places = graph.values[node.outputs[0]].shape or ()
    return math.prod(_kernel(graph, node)) * math.prod(size for size in places[2:] if isinstance(size, int))


def _is_winograd(graph: Graph, node: Node) -> bool:
    shape = _kernel(graph, node)
    dense = node.attributes.get("group", 1) == 1
    steps = (*node.attributes.get("strides", ()), *node.attributes.get("dilations", ()))
    return dense and set(steps) <= {1} and shape[2:] == (3, 3) and shape[1] >= CHANNELS


def _kernel(graph: Graph, node: Node) -> tuple[int, ...]:
    """[outputs, inputs of a group, kernel height, width]; nothing where the weights are computed."""
    weights = graph.initializers.get(node.inputs[1])
    return () if weights is None else weights.shape
