"""The outputs of a detector → detections of both sides, matched over all samples.

Darknet's models give `boxes` and `scores`; both sides then go through the same suppression. A model with its own
suppression gives `detections` [N, K, 6] (x1, y1, x2, y2, score, class; rows of score 0 fill up).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.verify.detections import Candidates, Limits, Match, Suppression, match
from zoo.verify.parity import CandidateRun, Evidence
from zoo.verify.result import Box, DetectionResult, Unmatched
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement
from zoo.vision.nms import Detections

ROWS = "detections"
MOST = 500  # detections of one picture before the suppression; more would say nothing new, slowly
FEWEST = 20  # on the picture that has most; with fewer the threshold is lowered


@dataclass(frozen=True)
class Outcome:
    """Both sides' detections for one run, and how they match."""

    sample: str
    batch: int
    reference: Detections
    candidate: Detections
    match: Match


def has_detections(evidence: Evidence) -> bool:
    """Whether there are boxes and scores to make detections from, on both sides."""
    given = set(evidence.runs[0].outputs)
    return {"boxes", "scores"} <= set(evidence.observations[0].truth) and (
        ROWS in given or {"boxes", "scores"} <= given
    )


def judge_detections(evidence: Evidence, suppression: Suppression) -> DetectionResult:
    """Match the detections of every run. The threshold is moved where it would let through too few or too many to
    compare, but for a model that has applied its own."""
    truths = [_candidates(seen.truth) for seen in evidence.observations]
    if ROWS not in evidence.runs[0].outputs:
        suppression = replace(suppression, threshold=useful_threshold(truths, suppression.threshold))
    boxes, scores = (evidence.floors[name].max * evidence.margin for name in ("boxes", "scores"))
    outcomes = [
        _outcome(evidence.samples[run.sample].name, run, truths[run.sample], suppression, Limits(scores, boxes))
        for run in evidence.runs
    ]
    return _result(outcomes, suppression)


def useful_threshold(truths: Sequence[Candidates], asked: float) -> float:
    """The threshold asked for; lower where no picture has `FEWEST` scores above it, higher where one has too many."""
    ranked = [np.sort(truth.scores, axis=None)[::-1] for truth in truths]
    lowest = max(float(scores[min(FEWEST, len(scores)) - 1]) for scores in ranked)
    highest = max(float(scores[min(MOST, len(scores)) - 1]) for scores in ranked)
    return float(np.clip(asked, min(highest, lowest), lowest) if highest <= asked else highest)


def _outcome(sample: str, run: CandidateRun, truth: Candidates, suppression: Suppression, limits: Limits) -> Outcome:
    found = _rows(run.outputs[ROWS]) if ROWS in run.outputs else suppression(_candidates(run.outputs))
    return Outcome(sample, run.batch, suppression(truth), found, match(found, truth, suppression, limits))


def _candidates(outputs: Tensors) -> Candidates:
    """Of one sample. A NaN becomes 0, as it can be neither sorted nor overlapped; the tensors' verdict reports it."""
    return Candidates(*(np.nan_to_num(outputs[name][0].astype(np.float64)) for name in ("boxes", "scores")))


def _rows(rows: Array) -> Detections:
    """Rows [1, K, 6] of one sample without those that fill up."""
    used = rows[0][rows[0][:, 4] > 0].astype(np.float64)
    boxes = np.concatenate([(used[:, :2] + used[:, 2:4]) / 2, used[:, 2:4] - used[:, :2]], axis=1)
    return Detections(boxes, used[:, 4], used[:, 5].astype(np.int64))


def _result(outcomes: Sequence[Outcome], suppression: Suppression) -> DetectionResult:
    pairs = [pair for outcome in outcomes for pair in outcome.match.pairs]
    unmatched = tuple(one for outcome in outcomes for one in _unmatched(outcome))
    return DetectionResult(
        judgement=_judgement(outcomes, unmatched),
        threshold=suppression.threshold,
        nms=suppression.iou,
        matched=len(pairs),
        lowest_iou=min((pair.iou for pair in pairs), default=None),
        largest_score_difference=max((abs(pair.score_difference) for pair in pairs), default=None),
        unmatched=unmatched,
    )


def _judgement(outcomes: Sequence[Outcome], unmatched: Sequence[Unmatched]) -> Judgement:
    errors = [one for one in unmatched if not one.borderline]
    if errors:
        first = errors[0]
        what = f"class {first.box.label} with score {first.box.score:.4f} in the {first.side} only"
        return Judgement(FAIL, f"{len(errors)} unexplained; {first.sample} (batch {first.batch}): {what}")
    for outcome in outcomes:
        for pair in outcome.match.pairs:
            if pair.excess:
                return Judgement(FAIL, f"{outcome.sample} (batch {outcome.batch}): {pair.excess}")
    if not any(len(outcome.reference) for outcome in outcomes):
        return Judgement(INCONCLUSIVE, "the reference detects nothing on any sample; give pictures with objects")
    return Judgement(PASS)


def _unmatched(outcome: Outcome) -> Iterator[Unmatched]:
    sides = (
        ("reference", outcome.reference, outcome.match.only_reference),
        ("candidate", outcome.candidate, outcome.match.only_candidate),
    )
    for side, found, rest in sides:
        for position, borderline in rest:
            yield Unmatched(outcome.sample, outcome.batch, side, _box(found, position), borderline)


def _box(found: Detections, position: int) -> Box:
    x, y, width, height = (float(value) for value in found.boxes[position])
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Box(*corners, float(found.scores[position]), int(found.classes[position]))
