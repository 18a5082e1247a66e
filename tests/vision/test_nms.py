"""Non-maximum suppression: overlaps by hand, and the whole against Darknet's double loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.base.errors import UsageError
from zoo.vision import nms
from zoo.vision.nms import LIKENESS, box_diou, box_iou, detect

Array = NDArray[np.floating[Any]]


def boxes(*rows: tuple[float, float, float, float]) -> Array:
    return np.array(rows, np.float64)


UNIT = boxes((0.5, 0.5, 1, 1))[0]


def test_iou_by_hand() -> None:
    others = boxes(
        (0.5, 0.5, 1, 1),  # the same
        (1.0, 0.5, 1, 1),  # half of it
        (1.5, 0.5, 1, 1),  # touching
        (9.0, 9.0, 1, 1),  # apart
        (0.5, 0.5, 0, 1),  # empty
        (0.5, 0.5, 0.5, 0.5),  # inside
    )
    assert box_iou(UNIT, others) == pytest.approx([1, 1 / 3, 0, 0, 0, 0.25])


def test_two_empty_boxes_do_not_overlap() -> None:
    point = boxes((0.5, 0.5, 0, 0))
    assert box_iou(point[0], point).tolist() == [0]
    assert box_diou(point[0], point, 0.6).tolist() == [0]


def test_diou_by_hand() -> None:
    """Centres 0.5 apart, the box around both 1.5 × 1."""
    found = box_diou(UNIT, boxes((1.0, 0.5, 1, 1)), 0.6)
    assert found == pytest.approx([1 / 3 - (0.25 / 3.25) ** 0.6])


def suppress_by_loops(places: Array, scores: Array, threshold: float, limit: float, kind: str) -> set[tuple[int, int]]:
    """Darknet's way: class after class, all pairs of boxes in the order of their scores."""
    kept = np.where(scores > threshold, scores, 0)
    for label in range(scores.shape[1]):
        order = sorted(range(len(places)), key=lambda place: -kept[place, label])
        for position, best in enumerate(order):
            if not kept[best, label]:
                continue
            for other in order[position + 1 :]:
                if LIKENESS[kind](places[best], places[other : other + 1], 0.9)[0] > limit:
                    kept[other, label] = 0
    return {(int(place), int(label)) for place, label in np.argwhere(kept > 0)}


@pytest.mark.parametrize("kind", LIKENESS)
@pytest.mark.parametrize("block", [7, nms.BLOCK])
def test_as_the_double_loop(kind: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all boxes are compared at once or in many blocks."""
    monkeypatch.setattr(nms, "BLOCK", block)
    random = np.random.default_rng(block)
    places = np.concatenate([random.uniform(0, 1, (40, 2)), random.uniform(0.1, 0.6, (40, 2))], axis=1)
    scores = random.uniform(0, 1, (40, 3)) ** 2
    found = detect(places, scores, threshold=0.2, iou=0.4, kind=kind, beta=0.9)
    pairs = {
        (int(np.flatnonzero((places == box).all(axis=1))[0]), int(label))
        for box, label in zip(found.boxes, found.classes, strict=True)
    }
    assert pairs == suppress_by_loops(places, scores, 0.2, 0.4, kind)
    assert len(pairs) == len(found)
    assert (np.diff(found.scores) <= 0).all()


def test_kinds_differ() -> None:
    """Two boxes of IoU 1/3 a quarter apart: only plain IoU lets the second fall at 0.2."""
    places, scores = boxes((0.5, 0.5, 1, 1), (1.0, 0.5, 1, 1)), np.array([[0.9], [0.8]])
    counts = {kind: len(detect(places, scores, iou=0.2, kind=kind, beta=2.0)) for kind in LIKENESS}
    assert counts == {"default": 1, "cornersnms": 1, "greedynms": 2, "diounms": 1}


def test_classes_do_not_suppress_each_other() -> None:
    places, scores = boxes((0.5, 0.5, 1, 1), (0.5, 0.5, 1, 1)), np.array([[0.9, 0.1], [0.3, 0.8]])
    found = detect(places, scores)
    assert (found.classes.tolist(), found.scores.tolist()) == ([0, 1], [0.9, 0.8])


def test_a_score_at_the_threshold_does_not_count() -> None:
    assert len(detect(boxes((0.5, 0.5, 1, 1)), np.array([[0.25]]), threshold=0.25)) == 0


def test_ties_keep_the_order_of_the_boxes() -> None:
    places, scores = boxes((0.5, 0.5, 1, 1), (0.55, 0.5, 1, 1)), np.ones((2, 1))
    assert detect(places, scores).boxes.tolist() == [[0.5, 0.5, 1, 1]]


def test_nothing_at_all() -> None:
    found = detect(np.zeros((0, 4)), np.zeros((0, 80)))
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_nan_is_no_detection_and_suppresses_nothing() -> None:
    places = boxes((np.nan, 0.5, 1, 1), (0.5, 0.5, 1, 1))
    assert len(detect(places, np.array([[np.nan], [0.9]]))) == 1
    assert len(detect(places, np.array([[0.95], [0.9]]))) == 2


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="'soft'; known are default, cornersnms, greedynms, diounms"):
        detect(np.zeros((1, 4)), np.ones((1, 1)), kind="soft")
