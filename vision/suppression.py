"""The suppression that a detector of TensorFlow's Object Detection API ends with, where a file leaves it to the caller.

What it does is in the manifest, `detector["suppression"]`:

- `classes`: the last columns of the scores; those before them stand for no object;
- `score`, `iou`: what a score must exceed, and the overlap above which a box falls to a better one of its class;
- `limit_per_class`, `limit`: how many detections of a class, and of a picture, are kept at most;
- `clips`: whether boxes are cut off at the picture's edges "before" or "after" the suppression, or "never"; what has no
  area then is no detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.vision.nms import Detections, detect

Array = NDArray[Any]

BOXES, SCORES = "raw_detection_boxes", "raw_detection_scores"
RULE = "suppression"


def suppressed(outputs: Mapping[str, Array], rule: Mapping[str, Any], threshold: float = 0.0) -> Detections:
    """The detections of one picture, best first, out of its `raw_detection_boxes` [B, 4] (ymin, xmin, ymax, xmax) and
    `raw_detection_scores` [B, C], with scores above `threshold`. Classes count from 0."""
    boxes, scores = outputs[BOXES].astype(np.float64), outputs[SCORES]
    scores = scores[:, scores.shape[1] - rule["classes"] :]
    if rule["clips"] == "before":
        boxes = boxes.clip(0, 1)
        scores = np.where(_has_area(boxes)[:, None], scores, -np.inf)
    found = detect(
        centred(boxes),
        scores,
        threshold=max(threshold, rule["score"]),
        iou=rule["iou"],
        most=rule["limit_per_class"],
    )
    if rule["clips"] == "after":
        found = _clipped(found)
    return _taken(found, slice(rule["limit"]))


def centred(corners: Array) -> Array:
    """ymin, xmin, ymax, xmax [K, 4] as centre x, y, width, height."""
    low, high = np.split(corners, 2, axis=1)
    boxes: Array = np.concatenate([(low + high)[:, ::-1] / 2, (high - low)[:, ::-1]], axis=1)
    return boxes


def cornered(boxes: Array) -> Array:
    """Centre x, y, width, height [K, 4] as ymin, xmin, ymax, xmax."""
    centres, half = boxes[:, 1::-1], boxes[:, :1:-1] / 2
    corners: Array = np.concatenate([centres - half, centres + half], axis=1)
    return corners


def _clipped(found: Detections) -> Detections:
    corners = cornered(found.boxes).clip(0, 1)
    inside = Detections(centred(corners), found.scores, found.classes)
    return _taken(inside, _has_area(corners))


def _has_area(corners: Array) -> Array:
    low, high = np.split(corners, 2, axis=1)
    result: Array = np.prod(high - low, axis=1) > 0
    return result


def _taken(found: Detections, rows: Array | slice) -> Detections:
    return Detections(found.boxes[rows], found.scores[rows], found.classes[rows])
