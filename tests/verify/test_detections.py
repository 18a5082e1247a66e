"""Matching of detections: ties and borderline cases are told apart from errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zoo.verify.detections import (
    AT_THRESHOLD,
    TIE,
    TRIALS,
    Candidates,
    Limits,
    Match,
    Suppression,
    match,
    pairs_of,
    truth_of,
)
from zoo.verify.runtimes.protocol import Array
from zoo.vision.nms import Detections

SUPPRESSION = Suppression(threshold=0.25, iou=0.45)
LIMITS = Limits(score=1e-4, centre=1e-5, side=1e-4)


def candidates(boxes: list[list[float]], scores: list[list[float]]) -> Candidates:
    return Candidates(np.array(boxes), np.array(scores))


def shifted(first: Candidates, scores: Array | float = 0.0, boxes: Array | float = 0.0) -> Candidates:
    return Candidates(first.boxes + boxes, first.scores + scores)


TWO = candidates([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.3]], [[0.9, 0.0], [0.0, 0.6]])


def matched(truth: Candidates, found: Candidates | Detections, suppression: Suppression = SUPPRESSION) -> Match:
    detections = suppression(found) if isinstance(found, Candidates) else found
    return match(detections, truth_of(truth, suppression, LIMITS))


def reasons(truth: Candidates, found: Candidates | Detections, suppression: Suppression = SUPPRESSION) -> list[str]:
    """Of everything unmatched, on both sides."""
    outcome = matched(truth, found, suppression)
    return [reason for _, reason in (*outcome.only_reference, *outcome.only_candidate)]


def test_equal_detections_match() -> None:
    outcome = matched(TWO, TWO)
    assert [(pair.reference, pair.candidate, pair.excess) for pair in outcome.pairs] == [(0, 0, ""), (1, 1, "")]
    assert (outcome.only_reference, outcome.only_candidate) == ((), ())


def test_another_order_is_no_difference() -> None:
    found = SUPPRESSION(TWO)
    turned = Detections(found.boxes[::-1], found.scores[::-1], found.classes[::-1])
    assert reasons(TWO, turned) == []


def test_a_score_or_box_beyond_the_tolerance_is_named() -> None:
    excess = [pair.excess for pair in matched(TWO, shifted(TWO, -1e-3)).pairs]
    assert all("score off by -0.001" in text for text in excess)
    moved = matched(TWO, shifted(TWO, boxes=1e-3)).pairs
    assert all("overlap" in pair.excess for pair in moved)
    within = matched(TWO, shifted(TWO, 5e-5, 5e-6)).pairs
    assert [pair.excess for pair in within] == ["", ""]


def test_a_missing_or_surplus_detection_is_an_error() -> None:
    one = Candidates(TWO.boxes[:1], TWO.scores[:1])
    assert reasons(TWO, one) == [""]
    assert reasons(one, TWO) == [""]


def test_a_detection_given_twice_is_one_too_many() -> None:
    found, twice = SUPPRESSION(TWO), [0, 0, 1]
    assert reasons(TWO, Detections(found.boxes[twice], found.scores[twice], found.classes[twice])) == [""]


def test_another_class_is_an_error_on_both_sides() -> None:
    found = SUPPRESSION(TWO)
    assert reasons(TWO, replace(found, classes=found.classes + 1)) == ["", "", "", ""]


def test_a_score_at_the_threshold_is_borderline_in_both_directions() -> None:
    above = candidates([[0.3, 0.3, 0.2, 0.2]], [[0.25001]])
    below = candidates([[0.3, 0.3, 0.2, 0.2]], [[0.24999]])
    assert reasons(above, below) == [AT_THRESHOLD]
    assert reasons(below, above) == [AT_THRESHOLD]


def test_a_tie_between_two_boxes_of_one_thing_is_borderline() -> None:
    boxes = [[0.50, 0.5, 0.2, 0.2], [0.55, 0.5, 0.3, 0.2]]
    first, second = candidates(boxes, [[0.60001], [0.6]]), candidates(boxes, [[0.6], [0.60001]])
    assert reasons(first, second) == [TIE, TIE]
    assert matched(first, second).pairs == ()


def test_a_tie_between_boxes_that_hardly_overlap_is_borderline() -> None:
    boxes = [[0.50, 0.5, 0.2, 0.2], [0.55, 0.5, 0.4, 0.25]]
    low = replace(SUPPRESSION, iou=0.2)
    first, second = candidates(boxes, [[0.60001], [0.6]]), candidates(boxes, [[0.6], [0.60001]])
    assert reasons(first, second, low) == [TIE, TIE]


def test_nobody_takes_the_equal_of_another() -> None:
    """The best of two that overlap by half is missing: the other is still its own equal."""
    both = Detections(np.array([[0.5, 0.5, 0.4, 0.4], [0.6, 0.5, 0.4, 0.4]]), np.array([0.9, 0.8]), np.array([0, 0]))
    second = Detections(both.boxes[1:], both.scores[1:], both.classes[1:])
    (pair,) = pairs_of(both, second, LIMITS)
    assert (pair.reference, pair.candidate, pair.excess) == (1, 0, "")


def test_another_box_of_one_thing_without_a_tie_is_an_error() -> None:
    boxes = [[0.50, 0.5, 0.2, 0.2], [0.55, 0.5, 0.3, 0.2]]
    first, second = candidates(boxes, [[0.7], [0.6]]), candidates(boxes, [[0.6], [0.7]])
    (pair,) = matched(first, second).pairs
    assert "overlap" in pair.excess


def test_an_overlap_at_the_limit_is_borderline() -> None:
    width = 0.2
    offset = width * (1 - 0.45) / (1 + 0.45)  # the IoU of two such boxes is 0.45 exactly
    near = candidates([[0.5, 0.5, width, 0.2], [0.5 + offset - 1e-6, 0.5, width, 0.2]], [[0.9], [0.8]])
    apart = candidates([[0.5, 0.5, width, 0.2], [0.5 + offset + 1e-6, 0.5, width, 0.2]], [[0.9], [0.8]])
    assert len(SUPPRESSION(near)) == 1
    assert len(SUPPRESSION(apart)) == 2
    assert reasons(near, apart) == [TIE]
    assert reasons(apart, near) == [TIE]


def test_another_limit_or_kind_of_suppression_is_an_error() -> None:
    boxes = [[0.5, 0.5, 0.2, 0.2], [0.54, 0.5, 0.2, 0.2]]
    truth = candidates(boxes, [[0.9], [0.8]])
    loose = replace(SUPPRESSION, iou=0.9)(truth)
    assert len(loose) == 2
    assert reasons(truth, loose) == [""]


def test_a_box_of_almost_no_width_matches_by_its_numbers() -> None:
    line = candidates([[0.5, 0.5, 1e-9, 0.3]], [[0.9]])
    rounded = Candidates(line.boxes + np.array([1e-8, 0, 1e-14, 0]), line.scores)
    (pair,) = matched(line, rounded).pairs
    assert pair.excess == ""


def test_a_side_of_a_box_given_by_its_corners_is_as_rounded_as_they_are() -> None:
    low = candidates([[1.0, 0.93, 0.0, 2.132e-4]], [[0.9]])
    rounded = Candidates(low.boxes + np.array([0, 0, 0, 2.0**-23]), low.scores)
    pairs = [
        match(SUPPRESSION(rounded), truth_of(low, SUPPRESSION, replace(LIMITS, edge=edge))).pairs
        for edge in (0.0, 1e-6)
    ]
    assert [[pair.excess for pair in some] for some in pairs] == [[], [""]]


def test_one_of_many_boxes_that_exclude_each_other_is_a_tie() -> None:
    """A dozen equal scores: each box is the one kept in a twelfth of the outcomes, so that few of them show not all."""
    dozen = candidates([[0.5 + 0.005 * place, 0.5, 0.2, 0.2] for place in range(12)], [[0.9]] * 12)
    truth = truth_of(dozen, SUPPRESSION, LIMITS)
    each = [Detections(dozen.boxes[[place]], dozen.scores[[place], 0], np.zeros(1, np.int64)) for place in range(12)]
    assert sum(bool(truth.possible(one, TRIALS)[0]) for one in each) < 12
    assert {reason for one in each for reason in reasons(dozen, one)} == {TIE}
    other = Detections(np.array([[0.53, 0.52, 0.2, 0.2]]), np.array([0.9]), np.zeros(1, np.int64))
    assert "overlap" in matched(dozen, other).pairs[0].excess
