"""`detector.json`: what a program of ten lines needs around the network. Its schema is described in docs/opencv.md.

`cv::FileStorage` reads it too, so there is no null in it, and no key that is not a plain word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.to_opencv.rewrite.outputs import CANDIDATES, DETECTIONS

SCHEMA = 1
THRESHOLDS = {"darknet": (0.25, 0.45), "tensorflow": (0.3, 0.6)}  # score and overlap: the source's own usual ones
GREY = 127.5  # what Darknet letterboxes with


def describe(
    graph: Graph, name: str, family: str, facts: Mapping[str, Any], labels: Sequence[str], versions: Sequence[str]
) -> dict[str, Any]:
    """The content of detector.json. `facts` are the manifest's `detector`; `versions` those of OpenCV that ran it."""
    score, overlap = THRESHOLDS.get(family, THRESHOLDS["darknet"])
    return {
        "schema": SCHEMA,
        "name": name,
        "model": "model.onnx",
        "opencv": list(versions),
        "input": _input(graph.inputs[0], family, facts),
        "output": _output(graph, facts),
        "labels": list(labels),
        "thresholds": {"score": score, "nms": overlap},
    }


def open_size(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that a source with an input of any size scales pictures to; None where it does not say.

    A resizer that keeps the aspect gives the square of its smaller side, or of its larger one where it pads to that.
    """
    resizer = facts.get("resizer", {})
    if "height" in resizer and "width" in resizer:
        return int(resizer["height"]), int(resizer["width"])
    side = resizer.get("max_dimension" if _pads(resizer) else "min_dimension")
    return (int(side), int(side)) if side else None


def _pads(resizer: Mapping[str, Any]) -> bool:
    return str(resizer.get("pad_to_max_dimension")) == "true"


def _input(value: Value, family: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    darknet = family == "darknet"
    content: dict[str, Any] = {"name": value.name, "shape": list(value.shape or ())}
    if len(content["shape"]) != 4:
        return content
    pads = _pads(facts.get("resizer", {}))
    return content | {
        "width": content["shape"][3],
        "height": content["shape"][2],
        "scale": 1 / 255 if darknet else 1.0,
        "mean": [0.0, 0.0, 0.0],
        "swapRB": True,
        "resize": "letterbox" if pads else facts.get("resize", "stretch"),
        "place": "corner" if pads else "centre",
        "pad": [0.0 if pads else GREY] * 3,
    }


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
    columns, classes = (scores.shape or (0,))[-1], facts.get("num_classes", facts.get("classes"))
    return columns - classes if isinstance(columns, int) and isinstance(classes, int) else 0
