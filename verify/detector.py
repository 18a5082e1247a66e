"""The outputs of a Darknet detector → detections of both sides, matched over all samples.

They give `boxes` and `scores`; both sides then go through the same suppression. A model with its own
suppression gives `detections` [N, K, 6] (x1, y1, x2, y2, score, class; rows of score 0 fill up).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoo.verify.detections import Candidates, Limits, Suppression, match, truth_of
from zoo.verify.noise import STORED
from zoo.verify.outcomes import Outcome, detection_result
from zoo.verify.parity import Evidence
from zoo.verify.result import DetectionResult
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, Judgement, worst
from zoo.vision.contract import corner_rows
from zoo.vision.nms import Detections

ROWS = "detections"
MOST = 100  # detections of one picture before the suppression; more would say nothing new, slowly
FEWEST = 20  # on the picture that has most; with fewer the threshold is lowered
LARGEST = 1e30  # its square, an area, is still far inside float64


def has_detections(evidence: Evidence) -> bool:
    """Whether there are boxes and scores to make detections from, on both sides."""
    given = set(evidence.runs[0].outputs)
    return {"boxes", "scores"} <= set(evidence.observations[0].truth) and (
        ROWS in given or {"boxes", "scores"} <= given
    )


def judge_detections(evidence: Evidence, suppression: Suppression) -> DetectionResult:
    """Match the detections of every run. The threshold is moved where it would let through too few or too many to
    compare, but for a model that has applied its own."""
    candidates = [_candidates(seen.truth) for seen in evidence.observations]
    if ROWS not in evidence.runs[0].outputs:
        suppression = replace(suppression, threshold=useful_threshold(candidates, suppression.threshold))
    limits = _floor(evidence.observations).times(evidence.margin)
    truths = [truth_of(one, suppression, limits) for one in candidates]
    outcomes, problems = [], []
    for run in evidence.runs:
        name, truth, found = evidence.samples[run.sample].name, truths[run.sample], _found(run.outputs, suppression)
        outcomes.append(Outcome(name, run.batch, truth, found, match(found, truth)))
        problem = _misplaced(run.outputs[ROWS][0], limits) if ROWS in run.outputs else ""
        problems += [Judgement(FAIL, f"{name} (batch {run.batch}): {problem}")] if problem else []
    result = detection_result(outcomes, suppression.threshold, suppression.iou, evidence.samples)
    return replace(result, judgement=worst([result.judgement, *problems]))


def untried(evidence: Evidence, suppression: Suppression | None) -> list[str]:
    """For a person: where the model's own suppression had nothing to suppress."""
    if not suppression or not has_detections(evidence):
        return []
    everything = replace(suppression, iou=1.0, most=None)
    found = [_candidates(seen.truth) for seen in evidence.observations]
    if any(len(suppression(one)) < len(everything(one)) for one in found):
        return []
    return ["no sample has boxes that the suppression takes away, so nothing is said of it: give pictures of crowds"]


def _misplaced(rows: Array, limits: Limits) -> str:
    """What is wrong with the order of a candidate's rows [K, 6]: best first, then rows of zeros."""
    scores = np.nan_to_num(rows[:, 4].astype(np.float64))
    if np.diff(scores).max(initial=0.0) > 2 * limits.score:
        return "the best detections do not come first"
    return "rows behind the detections are not zero" if rows[scores == 0].any() else ""


def _floor(observations: Sequence[Observation]) -> Limits:
    """How far the noise moves scores, centres and sides; never less than the rounding to float32 does."""
    floor = np.array([STORED, STORED, STORED])  # what is detected has a score and a centre below 1
    for seen in observations:
        truth = _candidates(seen.truth)
        for noise in (_candidates(noise) for noise in seen.noise):
            off = np.abs(noise.boxes - truth.boxes)
            sides = np.divide(
                off[:, 2:], truth.boxes[:, 2:], out=np.zeros_like(off[:, 2:]), where=truth.boxes[:, 2:] > 0
            )
            sizes = [np.abs(noise.scores - truth.scores).max(), off[:, :2].max(), sides.max()]
            floor = np.maximum(floor, sizes)
    return Limits(*(float(size) for size in floor))


def useful_threshold(truths: Sequence[Candidates], asked: float) -> float:
    """The threshold asked for; lower where no picture has `FEWEST` scores above it, higher where one has too many."""
    most, fewest = (max(_between(truth.scores, count) for truth in truths) for count in (MOST, FEWEST))
    return max(most, min(asked, fewest))


def _between(scores: Array, count: int) -> float:
    """A threshold that lets `count` scores through, in the middle between two scores, so that neither is borderline."""
    if scores.size <= count:
        return 0.0
    ranked = -np.partition(-scores, count, axis=None)[: count + 1]
    return float((np.min(ranked[:count]) + ranked[count]) / 2)


def _found(outputs: Tensors, suppression: Suppression) -> Detections:
    """What a candidate detects."""
    return corner_rows(outputs[ROWS][0]) if ROWS in outputs else suppression(_candidates(outputs))


def _candidates(outputs: Tensors) -> Candidates:
    """Of one sample, rounded to float32: scores that saturate there are ties to the source's program too.

    A NaN becomes 0, as it can be neither sorted nor overlapped; the tensors' verdict reports it.
    """
    return Candidates(*(_usable(outputs[name][0]) for name in ("boxes", "scores")))


def _usable(array: Array) -> Array:
    finite = np.nan_to_num(array.astype(np.float64), posinf=LARGEST, neginf=-LARGEST)
    return np.clip(finite, -LARGEST, LARGEST).astype(np.float32).astype(np.float64)
