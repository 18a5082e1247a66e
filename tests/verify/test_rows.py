"""Detections in rows: matched first, then compared; what may differ, and what may not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from zoo.verify.inputs import Sample
from zoo.verify.noise import Bounds
from zoo.verify.parity import CandidateRun, Evidence
from zoo.verify.result import DetectionResult, OutputResult
from zoo.verify.rows import are_rows, judge_rows, read_detections, rows_among
from zoo.verify.runtimes.protocol import Array
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS

LENGTH = 10
ORDER = [*range(5, -1, -1), *range(6, LENGTH)]  # of six rows the worst first
Outputs = dict[str, Array]


def detections(count: int = 6, seed: int = 0) -> Outputs:
    """Boxes apart from each other, scores falling, masks of their own."""
    random = np.random.default_rng(seed)
    outputs: Outputs = {
        "detection_boxes": np.zeros((1, LENGTH, 4), np.float32),
        "detection_scores": np.zeros((1, LENGTH), np.float32),
        "detection_classes": np.ones((1, LENGTH), np.float32),
        "detection_masks": random.random((1, LENGTH, 3, 3)).astype(np.float32),
        "num_detections": np.array([count], np.float32),
    }
    low = np.arange(count) * 0.1
    outputs["detection_boxes"][0, :count] = np.stack([low, low, low + 0.05, low + 0.08], -1)
    outputs["detection_scores"][0, :count] = np.linspace(0.9, 0.4, count) + random.uniform(0, 0.01)
    outputs["detection_classes"][0, :count] = 1 + np.arange(count) % 3
    return outputs


def moved(outputs: Outputs, by: float) -> Outputs:
    return {**outputs, "detection_scores": outputs["detection_scores"] * np.float32(1 + by)}


def judged(
    truth: Outputs, found: Outputs, retried: Callable[[float, int], Outputs] | None = None
) -> tuple[dict[str, OutputResult], DetectionResult]:
    other = detections(5, seed=1)
    samples = [Sample("uniform", 0, {"x": np.zeros((1, 2))}), Sample("scene", 0, {"x": np.ones((1, 2))})]
    observations = [Observation(one, (moved(one, 1e-6),), retried) for one in (truth, other)]
    runs = [CandidateRun(0, 1, found), CandidateRun(1, 1, other)]
    evidence = Evidence(samples, observations, runs, dict[str, Bounds](), 10.0)
    return judge_rows(evidence, rows_among(list(truth)))


def verdicts(truth: Outputs, found: Outputs) -> set[str]:
    outputs, result = judged(truth, found)
    return {name for name, output in outputs.items() if output.judgement.verdict == FAIL} | (
        {"detections"} if result.judgement.verdict == FAIL else set()
    )


def test_noise_out_of_proportion_is_allowed_as_far_as_tensorflow_shows_it() -> None:
    """One unit moves no mask at all; ten move them by 1e-4 in TensorFlow, too."""
    truth = detections()

    def painted(by: float) -> Outputs:
        return {**truth, "detection_masks": truth["detection_masks"] * np.float32(1 + by)}

    for by, verdict in ((8e-5, PASS), (2e-4, FAIL)):
        outputs, _ = judged(truth, painted(by), lambda units, seed: painted(1e-4) if seed % 2 else truth)
        assert outputs["detection_masks"].judgement.verdict == verdict


def test_what_rows_are() -> None:
    assert are_rows(["detection_boxes", "detection_scores", "detection_classes", "raw_detection_boxes"])
    assert not are_rows(["raw_detection_boxes", "raw_detection_scores"])
    assert rows_among(["raw_detection_boxes", "detection_boxes", "num_detections"]) == [
        "detection_boxes", "num_detections"
    ]  # fmt: skip


def test_the_same_passes_and_everything_is_measured() -> None:
    truth = detections()
    outputs, result = judged(truth, moved(truth, 3e-6))
    assert {output.judgement.verdict for output in outputs.values()} == {PASS}
    assert result.judgement.verdict == PASS
    assert result.matched == 11
    assert outputs["detection_scores"].just_passes == pytest.approx(3, abs=0.5)


def test_two_rows_of_one_score_may_change_places() -> None:
    truth = detections()
    truth["detection_scores"][0, 3] = truth["detection_scores"][0, 2]
    order = [0, 1, 3, 2, *range(4, LENGTH)]
    found = {name: array[:, order] if array.ndim > 1 else array for name, array in truth.items()}
    assert not verdicts(truth, found)


def test_a_mask_of_another_row_is_found() -> None:
    truth = detections()
    found = {**truth, "detection_masks": truth["detection_masks"][:, ::-1]}
    assert verdicts(truth, found) == {"detection_masks"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda o: {**o, "detection_classes": o["detection_classes"] + 1}, "detections"),
        (lambda o: {**o, "detection_boxes": o["detection_boxes"][:, :, [1, 0, 3, 2]] + 0.02}, "detections"),
        (lambda o: {**o, "num_detections": o["num_detections"] - 1}, "detections"),
        (lambda o: {**o, "num_detections": o["num_detections"] * 10}, "detections"),
        (lambda o: moved(o, 1e-3), "detections"),
        (lambda o: {name: array[:, ORDER] if array.ndim > 1 else array for name, array in o.items()}, "detections"),
        (lambda o: {name: array for name, array in o.items() if name != "detection_masks"}, "detection_masks"),
    ],
)
def test_faults(change: Callable[[Outputs], Outputs], expected: str) -> None:
    truth = detections()
    assert expected in verdicts(truth, change(truth))


def test_a_missing_row_is_borderline_where_the_reference_loses_it_too() -> None:
    truth, fewer = detections(6), detections(5)
    fewer["detection_scores"][:, :5] = truth["detection_scores"][:, :5]
    fewer["detection_boxes"][:, :5] = truth["detection_boxes"][:, :5]
    fewer["detection_masks"] = truth["detection_masks"]
    outputs, result = judged(truth, fewer)
    assert result.judgement.verdict == FAIL
    outputs, result = judged(truth, fewer, lambda units, seed: truth if seed % 2 else fewer)
    assert result.judgement.verdict == PASS, result.judgement.reason
    assert [one.side for one in result.unmatched] == ["reference"]
    assert outputs["num_detections"].judgement.verdict == PASS


def test_equal_scores_in_another_order_explain_and_widen_nothing() -> None:
    """Two boxes that overlap by nearly all score the same: either may be the one kept, and no other box may be off."""
    truth, kept, off = (detections() for _ in range(3))
    kept["detection_boxes"][0, 0] += np.float32(0.0001)
    off["detection_boxes"][0, 3] += np.float32(0.0001)
    sample = Sample("uniform", 0, {"x": np.zeros((1, 2))})
    for found, verdict in ((kept, PASS), (off, FAIL)):
        seen = Observation(truth, (moved(truth, 1e-6),), orders=(kept,))
        evidence = Evidence([sample], [seen], [CandidateRun(0, 1, found)], dict[str, Bounds](), 10.0)
        _, result = judge_rows(evidence, rows_among(list(truth)))
        assert result.judgement.verdict == verdict, result.judgement.reason


def test_rows_behind_the_count_must_be_empty() -> None:
    truth = detections()
    rows = read_detections({**truth, "num_detections": np.array([4], np.float32)})
    assert len(rows.found) == 4
    assert "behind the 4" in rows.problem
    assert "of 10 rows" in read_detections({**truth, "num_detections": np.array([11], np.float32)}).problem


def test_nothing_detected_proves_nothing() -> None:
    empty = detections(0)
    other = Observation(empty, (empty,))
    sample = Sample("zeros", 0, {"x": np.zeros((1, 2))})
    evidence = Evidence([sample], [other], [CandidateRun(0, 1, empty)], dict[str, Bounds](), 10.0)
    _, result = judge_rows(evidence, rows_among(list(empty)))
    assert result.judgement.verdict == INCONCLUSIVE


def far(outputs: Outputs) -> Outputs:
    """All of the boxes elsewhere."""
    return {**outputs, "detection_boxes": outputs["detection_boxes"][:, :, [1, 0, 3, 2]] + np.float32(0.3)}


def test_where_tensorflow_shares_few_detections_with_itself_nothing_is_proven() -> None:
    truth = detections()
    sample = Sample("uniform", 0, {"x": np.zeros((1, 2))})
    for found, verdict in (
        (truth, INCONCLUSIVE),
        (far(truth), INCONCLUSIVE),
        (detections() | {"num_detections": np.array([99], np.float32)}, FAIL),
    ):
        seen = Observation(truth, (moved(truth, 1e-6), far(truth)))
        evidence = Evidence([sample], [seen], [CandidateRun(0, 1, found)], dict[str, Bounds](), 10.0)
        outputs, result = judge_rows(evidence, rows_among(list(truth)))
        assert result.judgement.verdict == verdict
        assert {output.judgement.verdict for output in outputs.values()} == {verdict}
    assert "of 10 rows" in result.judgement.reason
