"""Darknet's detections from decoded boxes and scores: threshold, then non-maximum suppression class by class (box.c).

The kinds of the key `nms_kind` in [yolo] and [Gaussian_yolo]:

- ``default``, ``cornersnms``: a box falls to a better one of its class if their IoU exceeds the limit;
- ``greedynms``: the same with DIoU, IoU − (d / c) ** 0.6 (d: squared distance of the centres, c: squared diagonal of
  the smallest box around both); the exponent does not follow `beta_nms`;
- ``diounms``: DIoU with the exponent `beta_nms`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import UsageError

Array = NDArray[np.floating[Any]]

GREEDY_BETA = 0.6
BLOCK = 128  # boxes that are compared with all others at once


@dataclass(frozen=True)
class Detections:
    """K detections of one picture, best first: `boxes` [K, 4] (centre x, y, width, height, as they were given),
    `scores` [K], `classes` [K] (0-based); `masks` [K, h, w] in 0..1, each over its box, where the model has some."""

    boxes: Array
    scores: Array
    classes: NDArray[np.int64]
    masks: Array | None = None

    def __len__(self) -> int:
        return len(self.scores)


def box_iou(box: Array, others: Array) -> Array:
    """Intersection over union of `box` [..., 4] with `others` [..., 4], broadcast against each other: of one with each
    of K, [K]; 0 where they only touch or one is empty."""
    (left, right), (top, bottom) = _edges(box)
    (lefts, rights), (tops, bottoms) = _edges(others)
    width, height = (
        np.minimum(right, rights) - np.maximum(left, lefts),
        np.minimum(bottom, bottoms) - np.maximum(top, tops),
    )
    common = np.where((width < 0) | (height < 0), 0, width * height)
    union = box[..., 2] * box[..., 3] + others[..., 2] * others[..., 3] - common
    result: Array = np.divide(common, union, out=np.zeros_like(common), where=(common != 0) & (union != 0))
    return result


def box_diou(box: Array, others: Array, beta: float) -> Array:
    """box_iou less (d / c) ** beta; without the second term where both boxes are the same point."""
    (left, right), (top, bottom) = _edges(box)
    (lefts, rights), (tops, bottoms) = _edges(others)
    width, height = (
        np.maximum(right, rights) - np.minimum(left, lefts),
        np.maximum(bottom, bottoms) - np.minimum(top, tops),
    )
    diagonal = width**2 + height**2
    distance = (box[..., 0] - others[..., 0]) ** 2 + (box[..., 1] - others[..., 1]) ** 2
    share = np.divide(distance, diagonal, out=np.zeros_like(distance), where=diagonal != 0)
    result: Array = box_iou(box, others) - share ** share.dtype.type(beta)
    return result


def _edges(boxes: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Left and right, top and bottom of boxes [..., 4]."""
    x, y, width, height = (boxes[..., part] for part in range(4))
    return (x - width / 2, x + width / 2), (y - height / 2, y + height / 2)


# nms_kind → how alike two boxes are, given beta_nms.
LIKENESS: dict[str, Callable[[Array, Array, float], Array]] = {
    "default": lambda box, others, beta: box_iou(box, others),
    "cornersnms": lambda box, others, beta: box_iou(box, others),
    "greedynms": lambda box, others, beta: box_diou(box, others, GREEDY_BETA),
    "diounms": box_diou,
}


def detect(
    boxes: Array,
    scores: Array,
    *,
    threshold: float = 0.25,
    iou: float = 0.45,
    kind: str = "default",
    beta: float = 0.6,
    most: int | None = None,
) -> Detections:
    """The detections of one picture, as Darknet finds them.

    `boxes` [B, 4] (centre x, y, width, height, relative to the *picture*: DIoU depends on its shape), `scores` [B, C];
    a score counts if it is greater than `threshold`, a box falls if its likeness to a better one of its class is
    greater than `iou`; of each class the best `most` stay, all if None. Ties keep the order of the boxes; saturated
    scores are ties in Darknet, which has float32, and not always in float64. Raises UsageError for an unknown `kind`.
    """
    if kind not in LIKENESS:
        raise UsageError(f"unknown kind of non-maximum suppression {kind!r}; known are {', '.join(LIKENESS)}")
    places, classes = np.nonzero(scores > threshold)
    order = np.argsort(-scores[places, classes], kind="stable")
    places, classes = places[order], classes[order]
    kept = np.zeros(len(places), bool)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        kept[members[_suppress(boxes[places[members]], iou, LIKENESS[kind], beta, most)]] = True
    places, classes = places[kept], classes[kept]
    return Detections(boxes[places], scores[places, classes], classes.astype(np.int64))


def _suppress(
    boxes: Array, limit: float, likeness: Callable[[Array, Array, float], Array], beta: float, most: int | None
) -> NDArray[np.intp]:
    """The positions of those of `boxes` (best first) that no better kept box suppresses, the first `most` of them."""
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while len(waiting) and (most is None or len(kept) < most):
        block = waiting[:BLOCK]
        falls = _falls(boxes[block], boxes[waiting], limit, likeness, beta)
        stays = np.ones(len(waiting), bool)
        for row, best in enumerate(block):
            if stays[row]:
                kept.append(best)
                stays[row + 1 :] &= ~falls[row, row + 1 :]
        waiting = waiting[len(block) :][stays[len(block) :]]
    return np.array(kept[:most], np.intp)


def _falls(
    boxes: Array, others: Array, limit: float, likeness: Callable[[Array, Array, float], Array], beta: float
) -> NDArray[np.bool_]:
    """[boxes, others]: whether the other is too much like the box. No kind gives more than the IoU: where that is
    within the limit, the likeness need not be computed."""
    result: NDArray[np.bool_] = box_iou(boxes[:, None], others) > limit
    rows, columns = np.nonzero(result)
    result[rows, columns] = likeness(boxes[rows], others[columns], beta) > limit
    return result
