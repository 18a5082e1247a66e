"""What the model gives: boxes and scores before suppression where the caller can suppress them, else detections.

`cv2.dnn.NMSBoxes` is faster than a NonMaxSuppression in the graph, which OpenCV 4 lacks. A two-stage model suppresses
between its stages as well, so that it cannot be cut there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from zoo.convert.onnx_graph.fold import without_dead_nodes
from zoo.convert.onnx_graph.graph import Graph

CANDIDATES = (("boxes", "scores"), ("raw_detection_boxes", "raw_detection_scores"))
DETECTIONS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
MORE = ("detection_masks",)


def with_useful_outputs(graph: Graph) -> Graph:
    """The outputs that a detector's caller needs, and no others; all outputs of what is no detector that zoo knows."""
    names = [value.name for value in graph.outputs]
    for pair in CANDIDATES:
        if set(pair) <= set(names):
            cut = _only(graph, pair)
            if not any(node.op == "NonMaxSuppression" for node in cut.nodes):
                return cut
    if set(DETECTIONS) <= set(names):
        return _only(graph, [name for name in (*DETECTIONS, *MORE) if name in names])
    return graph


def _only(graph: Graph, names: Iterable[str]) -> Graph:
    by_name = {value.name: value for value in graph.outputs}
    return without_dead_nodes(replace(graph, outputs=tuple(by_name[name] for name in names)))
