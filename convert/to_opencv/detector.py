"""`detector.json`: what a program of ten lines needs around the network. Its schema is described in docs/opencv.md.

`cv::FileStorage` reads it too, so there is no null in it, and no key that is not a plain word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.base.artifact import Artifact
from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_opencv.proof import Proof
from zoo.convert.to_opencv.rewrite.outputs import CANDIDATES, DETECTIONS

SCHEMA = 1
THRESHOLDS = {"darknet": (0.25, 0.45), "tensorflow": (0.3, 0.6)}  # score and overlap: the source's own usual ones
GREY = 127.5  # what Darknet letterboxes with
PROVEN = ("opencv", "engine")  # keys that tell what was tried on the machine that wrote the file, not what the model is
ROLE = "detector"  # of the file, in a manifest
MOST_SHOWN = 80  # characters of a value


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


def fault_in(artifact: Artifact) -> str:
    """What the detector.json of an OpenCV artifact says otherwise than its manifest and its model do, "" where nothing.

    A program reads this file and no manifest: what it says around a right network decides whether detections are right.
    """
    record = next((record for record in artifact.files if record.role == ROLE), None)
    if not record:
        return ""
    try:
        found = json.loads((artifact.folder / record.name).read_bytes())
        differing = _differences(found, _description_of(artifact))
        return next((f"{record.name}: {difference}" for difference in differing), "")
    except ConversionError as error:
        return error.message
    except (OSError, ValueError, RecursionError) as error:
        return f"{record.name} cannot be read: {error}"
    except (AttributeError, LookupError, TypeError) as error:
        return f"{record.name} cannot be judged, because the manifest describes no detector: {error}"


def _description_of(artifact: Artifact) -> Any:
    """What `describe` gives for an artifact as it stands, as JSON holds it."""
    graph, told = read_graph(artifact.model), (artifact.name, artifact.family, artifact.detector, artifact.labels)
    return json.loads(json.dumps(describe(graph, *told, Proof((), ""))))


def _differences(found: Any, right: Any, key: str = "") -> Iterator[str]:
    """In words, key by key. 1 and 0 are as good as true and false."""
    if not isinstance(found, dict) or not isinstance(right, dict):
        if found != right:
            yield f"{key or 'the whole'} is {_short(found)}, by the manifest and the model it is {_short(right)}"
        return
    for name in (name for name in {**right, **found} if key or name not in PROVEN):
        path = f"{key}.{name}" if key else name
        if name not in found:
            yield f"{path} is not there, by the manifest and the model it is {_short(right[name])}"
        elif name not in right:
            yield f"{path} is {_short(found[name])}, and stands for nothing"
        else:
            yield from _differences(found[name], right[name], path)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _input(graph: Graph, family: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    value, darknet = graph.inputs[0], family == "darknet"
    content: dict[str, Any] = {"name": value.name, "shape": list(value.shape or ())}
    if len(content["shape"]) != 4:
        return content
    return content | {
        "width": content["shape"][3],
        "height": content["shape"][2],
        "scale": 1 / 255 if darknet else 1.0,
        "mean": [0.0, 0.0, 0.0],
        "swapRB": True,
        "resize": facts.get("resize", "stretch"),
        "place": facts.get("place", "centre"),
        "pad": facts.get("pad", [GREY] * 3),
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
    told = facts.get("suppression", facts)
    columns, classes = (scores.shape or (0,))[-1], told.get("classes", facts.get("num_classes"))
    return columns - classes if isinstance(columns, int) and isinstance(classes, int) else 0
