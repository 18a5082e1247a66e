"""The judge itself is judged: detectors whose precision is known from how they were made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from zoo.shapes.draw import LABELS, Scene, draw_scene
from zoo.shapes.evaluate import HELD_OUT, Array, Detector, average_precision, evaluate
from zoo.shapes.train import PICTURES
from zoo.vision.nms import Detections

PICTURES_HERE = 12


def oracle(change: Callable[[Array], Array] = lambda boxes: boxes, extra: int = 0) -> Detector:
    """A detector that knows the pictures: answers with the truth, changed, and `extra` better-scored wrong boxes."""
    answers = {}
    for number in range(PICTURES_HERE):
        scene = draw_scene(HELD_OUT + number)
        boxes = np.zeros((20 + extra, 4))
        scores = np.zeros((20 + extra, len(LABELS)))
        boxes[: len(scene.boxes)] = change(scene.boxes)
        scores[np.arange(len(scene.boxes)), scene.classes] = 0.9
        boxes[20:], scores[20:] = (0.99, 0.99, 0.001, 0.001), 0.95
        answers[scene.pixels.tobytes()] = (boxes, scores)

    def detector(images: Array) -> tuple[Array, Array]:
        pixels = np.rint(images * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        found = [answers[np.ascontiguousarray(picture).tobytes()] for picture in pixels]
        return np.stack([boxes for boxes, _ in found]), np.stack([scores for _, scores in found])

    return detector


def test_the_truth_scores_one() -> None:
    precision = evaluate(oracle(), pictures=PICTURES_HERE)
    assert precision.mean == pytest.approx(1)
    assert set(precision.by_label) == set(LABELS)
    assert precision.shapes == sum(len(draw_scene(HELD_OUT + number).classes) for number in range(PICTURES_HERE))


def test_boxes_in_the_wrong_place_score_nothing() -> None:
    assert evaluate(oracle(lambda boxes: boxes + np.array([0.5, 0.5, 0, 0])), pictures=PICTURES_HERE).mean == 0


@pytest.mark.parametrize(("factor", "mean"), [(0.75, 1), (0.65, 0)])
def test_the_limit_is_half_the_union(factor: float, mean: float) -> None:
    """A box shrunk on both sides by f meets the truth with IoU f²."""
    found = evaluate(oracle(lambda boxes: boxes * np.array([1, 1, factor, factor])), pictures=PICTURES_HERE)
    assert found.mean == pytest.approx(mean)


def test_confident_nonsense_costs_precision() -> None:
    assert evaluate(oracle(extra=1), pictures=PICTURES_HERE).mean < 0.7


def scene(*boxes: tuple[float, float, float, float]) -> Scene:
    return Scene(np.zeros((1, 1, 3), np.uint8), np.array(boxes).reshape(-1, 4), np.zeros(len(boxes), np.int64))


def found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], np.zeros(len(rows), np.int64))


def test_the_area_under_a_curve_worked_out_by_hand() -> None:
    """Three truths; in order of score right, wrong, right, and one missed: precision 1, 1/2, 2/3 at recall 1/3, 1/3,
    2/3; made falling: 1/3 · 1 + 1/3 · 2/3 = 5/9."""
    a, b, c, nowhere = (0.2, 0.2, 0.1, 0.1), (0.5, 0.5, 0.1, 0.1), (0.8, 0.8, 0.1, 0.1), (0.2, 0.8, 0.1, 0.1)
    scenes = [scene(a, b), scene(c)]
    detections = [found((*a, 0.9), (*b, 0.7)), found((*nowhere, 0.8))]
    assert average_precision(scenes, detections, 0) == pytest.approx(5 / 9)


def test_a_truth_is_found_once() -> None:
    """The second detection of the same truth is wrong: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    a, b = (0.2, 0.2, 0.1, 0.1), (0.5, 0.5, 0.1, 0.1)
    detections = [found((*a, 0.9), (*a, 0.8), (*b, 0.7))]
    assert average_precision([scene(a, b)], detections, 0) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_no_detections_score_nothing() -> None:
    assert average_precision([scene((0.2, 0.2, 0.1, 0.1))], [found()], 0) == 0


def test_the_pictures_for_judging_are_not_those_of_the_training() -> None:
    assert PICTURES < HELD_OUT
