"""Proposals of a two-stage detector: matched where TensorFlow itself moves them, compared in their place elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from zoo.verify.inputs import Sample
from zoo.verify.noise import Bounds
from zoo.verify.parity import CandidateRun, Evidence, cut, judge_output
from zoo.verify.proposals import judge_proposals, unsettled
from zoo.verify.runtimes.protocol import Array
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS

LENGTH = 12
NAMES = ["raw_detection_boxes", "raw_detection_scores", "box_classifier_features"]
Outputs = dict[str, Array]


def proposals(seed: int = 0) -> Outputs:
    """Boxes apart from each other with scores of three classes and a background, and features without a batch axis."""
    random = np.random.default_rng(seed)
    low = random.permutation(LENGTH) * 0.08
    return {
        "raw_detection_boxes": np.stack([low, low, low + 0.05, low + 0.07], -1)[np.newaxis].astype(np.float32),
        "raw_detection_scores": random.uniform(0.1, 0.9, (1, LENGTH, 4)).astype(np.float32),
        "box_classifier_features": random.normal(size=(LENGTH, 2, 3)).astype(np.float32),
        "detection_boxes": np.zeros((1, LENGTH, 4), np.float32),
    }


def ordered(outputs: Outputs, order: list[int]) -> Outputs:
    return {name: array[order] if array.shape[0] == LENGTH else array[:, order] for name, array in outputs.items()}


SWAPPED = [0, 1, 3, 2, *range(4, LENGTH)]


def evidence(found: Outputs, noise: Outputs, retried: list[Outputs] | None = None) -> Evidence:
    truth, other = proposals(), proposals(1)
    samples = [Sample("uniform", 0, {"x": np.zeros((1, 2))}), Sample("scene", 0, {"x": np.ones((1, 2))})]
    again = retried or [truth]
    seen = [
        Observation(truth, (noise,), lambda units, seed: again[seed % len(again)]),
        Observation(other, (off(other, 1e-6),), lambda units, seed: other),
    ]
    return Evidence(samples, seen, [CandidateRun(0, 1, found), CandidateRun(1, 1, other)], dict[str, Bounds](), 10.0)


def off(outputs: Outputs, by: float) -> Outputs:
    return {**outputs, "raw_detection_scores": outputs["raw_detection_scores"] * np.float32(1 + by)}


def test_rows_that_tensorflow_leaves_in_place_are_compared_there() -> None:
    """As in a detector of one stage: another order is a fault."""
    assert unsettled(evidence(ordered(proposals(), SWAPPED), off(proposals(), 1e-6))) == []


def test_where_tensorflow_moves_rows_they_are_matched() -> None:
    found = evidence(off(ordered(proposals(), SWAPPED), 3e-6), off(ordered(proposals(), SWAPPED), 1e-6))
    assert unsettled(found) == NAMES
    outputs = judge_proposals(found, NAMES)
    assert {output.judgement.verdict for output in outputs.values()} == {PASS}
    assert (outputs["raw_detection_scores"].just_passes or 0) == pytest.approx(3, abs=1)


def test_a_tie_may_show_only_in_the_runs_moved_by_the_tolerance() -> None:
    swapped = ordered(proposals(), SWAPPED)
    found = evidence(swapped, off(proposals(), 1e-6), [proposals(), swapped])
    assert unsettled(found) == NAMES
    assert {output.judgement.verdict for output in judge_proposals(found, NAMES).values()} == {PASS}


def test_another_number_of_proposals_is_left_to_the_comparison_in_place() -> None:
    fewer = {**proposals(), "raw_detection_scores": proposals()["raw_detection_scores"][:, :-1]}
    assert unsettled(evidence(fewer, ordered(proposals(), SWAPPED))) == []


def replaced(outputs: Outputs) -> Outputs:
    boxes = outputs["raw_detection_boxes"].copy()
    boxes[0, 5] += 0.5
    return {**outputs, "raw_detection_boxes": boxes}


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (lambda o: off(o, 1e-2), "raw_detection_boxes", "score off by"),
        (lambda o: {**o, "box_classifier_features": o["box_classifier_features"][::-1]}, NAMES[2], "noise floor"),
        (replaced, "raw_detection_boxes", "unexplained"),
        (lambda o: ordered(o, [*range(1, LENGTH), 0]), "raw_detection_boxes", "places from its own"),
    ],
)
def test_faults(change: Callable[[Outputs], Outputs], name: str, words: str) -> None:
    found = evidence(change(proposals()), ordered(proposals(), SWAPPED))
    judgement = judge_proposals(found, NAMES)[name].judgement
    assert judgement.verdict == FAIL
    assert words in judgement.reason


def test_a_proposal_is_missing_where_tensorflow_lacks_it_too() -> None:
    found = evidence(replaced(proposals()), ordered(proposals(), SWAPPED), [replaced(proposals()), proposals()])
    assert judge_proposals(found, NAMES)["raw_detection_boxes"].judgement.verdict == PASS


def test_where_tensorflow_replaces_a_proposal_the_others_are_still_compared() -> None:
    """A row that another takes the place of must not become the noise of all rows."""
    found = evidence(off(proposals(), 3e-6), off(replaced(proposals()), 1e-6))
    assert unsettled(found) == NAMES
    assert {output.judgement.verdict for output in judge_proposals(found, NAMES).values()} == {PASS}
    wrong = evidence(off(proposals(), 1e-2), off(replaced(proposals()), 1e-6))
    assert judge_proposals(wrong, NAMES)["raw_detection_boxes"].judgement.verdict == FAIL


def test_pictures_one_after_another_are_cut_apart() -> None:
    batch = {
        "features": np.arange(6 * 2).reshape(6, 2),
        "boxes": np.arange(3).reshape(3, 1),
        "anchors": np.zeros((6, 4)),
    }
    truth = {"features": np.zeros((2, 2)), "boxes": np.zeros((1, 1)), "anchors": np.zeros((6, 4))}
    parts = cut(batch, 1, 3, truth)
    assert parts["features"].tolist() == [[4, 5], [6, 7]]
    assert parts["boxes"].tolist() == [[1]]
    assert parts["anchors"].shape == (6, 4)


def test_a_constant_of_the_model_passes_where_other_outputs_prove_it() -> None:
    anchors = {"anchors": np.arange(8.0).reshape(2, 4)}
    seen = [Observation(anchors, (anchors,)), Observation(anchors, (anchors,))]
    samples = [Sample("uniform", 0, {}), Sample("scene", 0, {})]
    floors = {"anchors": Bounds(1e-6, 1e-6, 1e-6)}
    found = Evidence(samples, seen, [CandidateRun(0, 1, anchors), CandidateRun(1, 1, anchors)], floors, 10.0)
    assert judge_output("anchors", found).judgement.verdict == INCONCLUSIVE
    assert judge_output("anchors", found, may_be_fixed=True).judgement.verdict == PASS
