"""`detector.json`: what a program of ten lines needs around the network. Its schema is described in docs/opencv.md.

`cv::FileStorage` reads it too, so there is no null in it, and no key that is not a plain word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.convert.from_tensorflow.resizer import pads
from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.to_opencv.proof import Proof
from zoo.convert.to_opencv.rewrite.outputs import CANDIDATES, DETECTIONS

Array = NDArray[np.float64]

SCHEMA = 1
THRESHOLDS = {"darknet": (0.25, 0.45), "tensorflow": (0.3, 0.6)}  # score and overlap: the source's own usual ones
GREY = 127.5  # what Darknet letterboxes with
CENTERNET = "center_net"  # as pipeline.config names it
MOVING = ("Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze")
# What an operator with a constant makes of scale · colour + shift.
ARITHMETIC: dict[str, Callable[[Array, Array, Array], tuple[Array, Array]]] = {
    "Add": lambda scale, shift, constant: (scale, shift + constant),
    "Sub": lambda scale, shift, constant: (scale, shift - constant),
    "Mul": lambda scale, shift, constant: (scale * constant, shift * constant),
    "Div": lambda scale, shift, constant: (scale / constant, shift / constant),
}


def describe(
    graph: Graph, name: str, family: str, facts: Mapping[str, Any], labels: Sequence[str], proof: Proof
) -> dict[str, Any]:
    """The content of detector.json. `facts` are the manifest's `detector`."""
    score, overlap = THRESHOLDS.get(family, THRESHOLDS["darknet"])
    overlap = facts.get("suppression", {}).get("iou", overlap)
    return {
        "schema": SCHEMA,
        "name": name,
        "model": "model.onnx",
        "opencv": list(proof.versions),
        "engine": proof.engine,
        "input": _input(graph, family, facts),
        "output": _output(graph, facts),
        "labels": list(labels),
        "thresholds": {"score": score, "nms": overlap},
    }


def _input(graph: Graph, family: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    value, darknet = graph.inputs[0], family == "darknet"
    content: dict[str, Any] = {"name": value.name, "shape": list(value.shape or ())}
    if len(content["shape"]) != 4:
        return content
    padded = pads(facts.get("resizer", {}))
    return content | {
        "width": content["shape"][3],
        "height": content["shape"][2],
        "scale": 1 / 255 if darknet else 1.0,
        "mean": [0.0, 0.0, 0.0],
        "swapRB": True,
        "resize": "letterbox" if padded else facts.get("resize", "stretch"),
        "place": "corner" if padded else "centre",
        "pad": _filling(graph, facts) if padded else [GREY] * 3,
    }


def _filling(graph: Graph, facts: Mapping[str, Any]) -> list[float]:
    """The colour of the API's zeros: CenterNet fills up and then normalises (CenterNetMetaArch.preprocess), all others
    the other way round."""
    return [0.0] * 3 if facts.get("architecture") == CENTERNET else _normalised_to_zero(graph)


def _normalised_to_zero(graph: Graph) -> list[float]:
    """The colour that the graph's normalisation turns to 0: what the API fills up with, after it has normalised."""
    name, scale, shift = graph.inputs[0].name, np.ones(3), np.zeros(3)
    while True:
        readers = [node for node in graph.nodes if name in node.inputs]
        if len(readers) != 1 or readers[0].op not in (*MOVING, *ARITHMETIC):
            break
        node, name = readers[0], readers[0].outputs[0]
        if node.op in MOVING:
            continue
        other = node.inputs[1] if node.op in ("Sub", "Div") or node.inputs[1] in graph.initializers else node.inputs[0]
        constant = graph.initializers.get(other)
        if constant is None or constant.size not in (1, 3):
            break
        scale, shift = ARITHMETIC[node.op](scale, shift, constant.astype(np.float64).ravel())
    return [round(float(colour), 3) for colour in 0.0 - shift / scale]


def _output(graph: Graph, facts: Mapping[str, Any]) -> dict[str, Any]:
    by_name = {value.name: value for value in graph.outputs}
    for boxes, scores in CANDIDATES:
        if set(by_name) == {boxes, scores}:
            return {
                "kind": "candidates",
                "boxes": boxes,
                "scores": scores,
                "box_format": facts.get("box_format", "cxcywh"),
                "background": _background(by_name[scores], facts),
                "nms_kind": facts.get("nms_kind", "default"),
            }
    if set(DETECTIONS) <= set(by_name):
        return {
            "kind": "detections",
            **{name.removeprefix("detection_"): name for name in by_name},
            "box_format": "yxyx",
            "first_class": facts.get("first_class", 1),
        }
    if set(by_name) == {"probabilities"}:
        return {"kind": "probabilities", "probabilities": "probabilities"}
    return {"kind": "tensors", "names": list(by_name)}


def _background(scores: Value, facts: Mapping[str, Any]) -> int:
    """How many leading columns of the scores stand for no object."""
    told = facts.get("suppression", facts)
    columns, classes = (scores.shape or (0,))[-1], told.get("classes", facts.get("num_classes"))
    return columns - classes if isinstance(columns, int) and isinstance(classes, int) else 0
