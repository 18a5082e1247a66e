"""The outputs of a detector → detections of both sides, matched over all samples.

Darknet's models give `boxes` and `scores`; both sides then go through the same suppression. A model with its own
suppression gives `detections` [N, K, 6] (x1, y1, x2, y2, score, class; rows of score 0 fill up).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.verify.detections import Candidates, Limits, Match, Suppression, Truth, match
from zoo.verify.inputs import Sample
from zoo.verify.noise import STORED
from zoo.verify.parity import CandidateRun, Evidence
from zoo.verify.result import Box, DetectionResult, Picture, Unmatched
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.thumbnails import thumbnail
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement
from zoo.vision.contract import corner_rows
from zoo.vision.nms import Detections

ROWS = "detections"
MOST = 100  # detections of one picture before the suppression; more would say nothing new, slowly
FEWEST = 20  # on the picture that has most; with fewer the threshold is lowered
PICTURES = 4  # of one report
ARTIFICIAL = ("uniform", "zeros", "ones", "impulse")  # samples that show a person nothing

LARGEST = 1e30  # its square, an area, is still far inside float64


@dataclass(frozen=True)
class Outcome:
    """Both sides' detections for one run, and how they match."""

    sample: str
    batch: int
    truth: Truth
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
    candidates = [_candidates(seen.truth) for seen in evidence.observations]
    if ROWS not in evidence.runs[0].outputs:
        suppression = replace(suppression, threshold=useful_threshold(candidates, suppression.threshold))
    limits = _floor(evidence.observations).times(evidence.margin)
    truths = [Truth(one, suppression, limits) for one in candidates]
    outcomes = [_outcome(evidence.samples[run.sample].name, run, truths[run.sample]) for run in evidence.runs]
    return replace(_result(outcomes), pictures=_pictures(outcomes, evidence.samples))


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


def _outcome(sample: str, run: CandidateRun, truth: Truth) -> Outcome:
    outputs = run.outputs
    found = corner_rows(outputs[ROWS][0]) if ROWS in outputs else truth.suppression(_candidates(outputs))
    return Outcome(sample, run.batch, truth, found, match(found, truth))


def _candidates(outputs: Tensors) -> Candidates:
    """Of one sample, rounded to float32: scores that saturate there are ties to the source's program too.

    A NaN becomes 0, as it can be neither sorted nor overlapped; the tensors' verdict reports it.
    """
    return Candidates(*(_usable(outputs[name][0]) for name in ("boxes", "scores")))


def _usable(array: Array) -> Array:
    finite = np.nan_to_num(array.astype(np.float64), posinf=LARGEST, neginf=-LARGEST)
    return np.clip(finite, -LARGEST, LARGEST).astype(np.float32).astype(np.float64)


def _result(outcomes: Sequence[Outcome]) -> DetectionResult:
    suppression = outcomes[0].truth.suppression
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
    if not any(len(outcome.truth.found) for outcome in outcomes):
        return Judgement(INCONCLUSIVE, "the reference detects nothing on any sample; give pictures with objects")
    return Judgement(PASS)


def _pictures(outcomes: Sequence[Outcome], samples: Sequence[Sample]) -> tuple[Picture, ...]:
    """What is worth looking at, each sample once: first those with errors, then with other differences, then pictures
    in their order. Noise and edge cases are shown only where the sides differ there."""
    feeds = {sample.name: next(iter(sample.feeds.values())) for sample in samples}
    shown: dict[str, Picture] = {}
    for outcome in sorted(outcomes, key=_dullness):
        worth = _dullness(outcome) < 2 or outcome.sample not in ARTIFICIAL
        small = thumbnail(feeds[outcome.sample]) if worth and outcome.sample not in shown else None
        if small and len(shown) < PICTURES:
            data, aspect = small
            sides = (_boxes(outcome.truth.found), _boxes(outcome.candidate))
            shown[outcome.sample] = Picture(outcome.sample, outcome.batch, aspect, data, *sides)
    return tuple(shown.values())


def _dullness(outcome: Outcome) -> int:
    """0 where there is an error, 1 where there is another difference, else 2."""
    rest = [*outcome.match.only_reference, *outcome.match.only_candidate]
    wrong = any(not why for _, why in rest) or any(pair.excess for pair in outcome.match.pairs)
    return 0 if wrong else 1 if rest else 2


def _boxes(found: Detections) -> tuple[Box, ...]:
    return tuple(_box(found, position) for position in range(min(len(found), MOST)))


def _unmatched(outcome: Outcome) -> Iterator[Unmatched]:
    sides = (
        ("reference", outcome.truth.found, outcome.match.only_reference),
        ("candidate", outcome.candidate, outcome.match.only_candidate),
    )
    for side, found, rest in sides:
        for position, borderline in rest:
            yield Unmatched(outcome.sample, outcome.batch, side, _box(found, position), borderline)


def _box(found: Detections, position: int) -> Box:
    x, y, width, height = (float(value) for value in found.boxes[position])
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Box(*corners, float(found.scores[position]), int(found.classes[position]))
