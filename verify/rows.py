"""Detections as TensorFlow's detectors give them: rows [N, K, …] after the model's own suppression, best first, of
which `num_detections` count; masks, keypoints, anchors and the scores of all classes belong to the rows.

Sorting and suppression happen inside the model, so rows are matched by class and overlap first, and only then are the
numbers of rows that belong together compared. What only one side has is borderline where TensorFlow itself, its input
moved by as little as the tolerance allows, finds it in some runs and not in others, or where it stands at the end of
a list that is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from zoo.verify.conditioning import UNSETTLED, only
from zoo.verify.detections import Limits, Match, Pair, Truth, match, pairs_of
from zoo.verify.histograms import error_histogram
from zoo.verify.noise import STORED, Bounds, judge_difference, judge_truth, noise_floor, times_floor
from zoo.verify.outcomes import Outcome, detection_result
from zoo.verify.parity import Evidence, over_measurements
from zoo.verify.result import DetectionResult, Measurement, OutputResult
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.tensors import Difference, compare
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, PASS, Judgement, worst
from zoo.vision import suppression
from zoo.vision.nms import Detections

BOXES, SCORES, CLASSES, COUNT = "detection_boxes", "detection_scores", "detection_classes", "num_detections"
PREFIX = "detection_"
SAME_IOU = 0.99  # two runs of one program: boxes that overlap less are two things
POINT = 1e-4  # of the picture: what a box without area may be off
OTHERS = (COUNT, "mask_predictions")  # what belongs to these rows under another name
# Of the others a right model may give a constant: one class, one number of rows.
PROVING = (BOXES, SCORES, suppression.BOXES, suppression.SCORES)


@dataclass(frozen=True)
class Rows:
    """The rows of one picture that count; `numbers` are all outputs that belong to rows [K, …], by name. What scores no
    more than `threshold` may be missing; `problem` says what is wrong with the rows themselves."""

    found: Detections
    numbers: dict[str, Array]
    threshold: float
    problem: str = ""


Reader = Callable[[Tensors], Rows]


@dataclass(frozen=True)
class Matched:
    """One run of the candidate beside the truth."""

    sample: int
    batch: int
    truth: Rows
    candidate: Rows
    match: Match

    @property
    def pairs(self) -> tuple[list[int], list[int]]:
        """Positions of rows that belong together: of the truth, of the candidate."""
        return positions(pair for pair in self.match.pairs if not pair.excess)


def are_rows(names: Sequence[str]) -> bool:
    """Whether outputs of these names are detections in rows."""
    return {BOXES, SCORES, CLASSES} <= set(names)


def rows_among(names: Sequence[str]) -> list[str]:
    """Those of the outputs that belong to the rows."""
    return [name for name in names if belongs_to_rows(name)]


def belongs_to_rows(name: str) -> bool:
    """Whether an output of this name has its numbers in the order of the detections."""
    return name.startswith(PREFIX) or name in OTHERS


def judge_rows(
    evidence: Evidence, names: Sequence[str], read: Reader | None = None
) -> tuple[dict[str, OutputResult], DetectionResult]:
    """The verdicts on the outputs `names`, which belong to rows, and on the rows as detections. `read` is for lists
    that are no detections."""
    read = read or read_detections
    problems = [Judgement(FAIL, reason) for reason in (_problem(read(run.outputs)) for run in evidence.runs) if reason]
    settled = [place for place, seen in enumerate(evidence.observations) if _is_settled(seen, read)]
    if len(settled) < len(evidence.observations):
        whole, evidence = evidence, only(evidence, settled)
        if not any(len(read(seen.truth).found) for seen in evidence.observations):
            return _unsettled(whole, names, worst([*problems, UNSETTLED]))
    truths = [read(seen.truth) for seen in evidence.observations]
    noise = [[read(outputs) for outputs in seen.noise] for seen in evidence.observations]
    limits = _limits(truths, noise).times(evidence.margin)
    known = [
        _truth(rows, limits, seen, evidence.margin, read)
        for rows, seen in zip(truths, evidence.observations, strict=True)
    ]  # fmt: skip
    runs, outcomes = [], []
    for run in evidence.runs:
        candidate, truth = read(run.outputs), known[run.sample]
        matched = match(candidate.found, truth)
        runs.append(Matched(run.sample, run.batch, truths[run.sample], candidate, matched))
        name = evidence.samples[run.sample].name
        outcomes.append(Outcome(name, run.batch, truth, candidate.found, matched))
    result = detection_result(outcomes, min(truth.threshold for truth in known), 0.0, evidence.samples)
    order = _unordered(evidence, runs, limits) if read is read_detections else []
    result = replace(result, judgement=worst([*problems, result.judgement, *order]))
    outputs = {
        name: _counted(evidence, runs) if name == COUNT else _output(name, evidence, runs, truths, noise, limits, read)
        for name in names
    }
    return outputs, result


def read_detections(outputs: Tensors) -> Rows:
    """The detections of one picture out of outputs with a leading dimension of 1. Where the list is full, its last
    score is the threshold."""
    length = outputs[SCORES].shape[1]
    counted = float(outputs[COUNT].reshape(-1)[0]) if COUNT in outputs else float(length)
    count = int(np.clip(np.nan_to_num(counted), 0, length))
    problem = "" if count == counted else f"{COUNT} is {counted:g} of {length} rows"
    rest = outputs[SCORES][0, count:]
    if (rest != 0).any() and not problem:
        problem = f"rows behind the {count} that count have scores, up to {float(rest.max()):.3g}"
    numbers = {}
    for name, array in outputs.items():
        if belongs_to_rows(name) and array.shape[:2] == (1, length):
            numbers[name] = array[0, :count]
        elif belongs_to_rows(name) and array.ndim > 1 and array.shape[0] == length:
            numbers[name] = array[:count]  # no axis for the pictures
    finite = {name: np.nan_to_num(numbers[name].astype(np.float64)) for name in (BOXES, SCORES, CLASSES)}
    boxes = suppression.centred(finite[BOXES])
    found = Detections(boxes, finite[SCORES], np.rint(finite[CLASSES]).astype(np.int64))
    full = count == length and length
    return Rows(found, numbers, float(found.scores.min()) if full else 0.0, problem)


def _truth(rows: Rows, limits: Limits, seen: Observation, margin: float, read: Reader) -> Truth:
    """What else the reference finds its own runs tell."""

    @cache
    def again(trials: int) -> list[Detections]:
        return [rows.found, *(read(outputs).found for outputs in (*seen.others, *seen.moved(margin, trials)))]

    return Truth(rows.found, rows.threshold, limits, again)


def _limits(truths: Sequence[Rows], noise: Sequence[Sequence[Rows]]) -> Limits:
    """How far the noise moves scores, centres and sides of the boxes that are the same thing; never less than the
    rounding to float32 does."""
    floor = np.array([STORED, STORED, STORED])
    for truth, others in zip(truths, noise, strict=True):
        for other in others:
            own, theirs = positions(same_things(truth.found, other.found))
            off = np.abs(other.found.boxes[theirs] - truth.found.boxes[own])
            sides = off[:, 2:] / truth.found.boxes[own][:, 2:]
            scores = np.abs(other.found.scores[theirs] - truth.found.scores[own])
            floor = np.maximum(floor, [part.max(initial=0.0) for part in (scores, off[:, :2], sides)])
    score, centre, side = (float(size) for size in floor)
    return Limits(score, centre, side, edge=2 * STORED)


def same_things(truth: Detections, other: Detections) -> list[Pair]:
    """The pairs of two runs of one program that are nearly the same box; one without area is like no other."""
    return [pair for pair in pairs_of(truth, other, Limits(0, 0, 0)) if pair.iou >= SAME_IOU]


def positions(pairs: Iterable[Pair]) -> tuple[list[int], list[int]]:
    """Of the reference's and of the other's rows."""
    kept = list(pairs)
    return [pair.reference for pair in kept], [pair.candidate for pair in kept]


def _problem(rows: Rows) -> str:
    """What is wrong with a candidate's rows whatever the truth is."""
    wrong = [name for name, array in rows.numbers.items() if not np.isfinite(array).all()]
    return rows.problem or (f"{wrong[0]} has values that are NaN or infinite" if wrong else "")


def _unordered(evidence: Evidence, runs: Sequence[Matched], limits: Limits) -> list[Judgement]:
    """Runs whose detections are not best first, as those of the truth are."""
    return [
        Judgement(FAIL, f"{evidence.samples[run.sample].name} (batch {run.batch}): the best do not come first")
        for run in runs
        if _rise(run.candidate.found.scores) > _rise(run.truth.found.scores) + 2 * limits.score
    ]


def _rise(scores: Array) -> float:
    """How far a score stands above the one before it, at the most."""
    return float(np.diff(scores).max(initial=0.0))


def _is_settled(seen: Observation, read: Reader) -> bool:
    """Whether each run of the reference has at least half of its detections; none at all are settled, too. Boxes with
    hardly an area have no overlap to tell them by and are not counted."""
    truth = read(seen.truth).found
    wide = truth.boxes[:, 2:].min(axis=1, initial=np.inf) > POINT
    if not wide.any():
        return True
    shared = [positions(same_things(truth, read(outputs).found))[0] for outputs in seen.others]
    return all(2 * wide[own].sum() >= wide.sum() for own in shared)


def _unsettled(
    evidence: Evidence, names: Sequence[str], judgement: Judgement
) -> tuple[dict[str, OutputResult], DetectionResult]:
    """The verdicts where nothing can be compared."""
    floor = noise_floor([], [])
    runs = [(evidence.samples[run.sample].name, run.batch) for run in evidence.runs]
    measured = [Measurement(sample, batch, Difference(0), None, judgement) for sample, batch in runs]
    outputs = {name: over_measurements(name, measured, judgement, floor, evidence.margin) for name in names}
    return outputs, replace(detection_result([], 0.0, 0.0, evidence.samples), judgement=judgement)


def _output(
    name: str,
    evidence: Evidence,
    runs: Sequence[Matched],
    truths: Sequence[Rows],
    noise: Sequence[Sequence[Rows]],
    limits: Limits,
    read: Reader,
) -> OutputResult:
    """One output over all runs: the rows that belong together."""
    floor = _floor(name, truths, noise, limits)
    measurements = []
    for run in runs:
        difference = _difference(name, run)
        empty = not difference.elements and not difference.problem  # nothing is there, on both sides
        judgement = Judgement(PASS) if empty else _judged(name, evidence, run, difference, floor, limits, read)
        measurements.append(_measured(evidence, run, difference, judgement, floor))
    whole = [seen.truth[name] for seen in evidence.observations]
    truth = judge_truth(whole, floor.times(evidence.margin)) if name in PROVING else Judgement(PASS)
    errors = error_histogram(
        (run.candidate.numbers[name][run.pairs[1]], run.truth.numbers[name][run.pairs[0]])
        for run in runs
        if name in run.candidate.numbers and name in run.truth.numbers
    )
    return over_measurements(name, measurements, truth, floor, evidence.margin, errors)


def _judged(
    name: str, evidence: Evidence, run: Matched, difference: Difference, floor: Bounds, limits: Limits, read: Reader
) -> Judgement:
    """Whether the rows are within the margin, or as near as TensorFlow itself stays with its input moved by as much as
    the margin: a network near saturation does not pass noise on in proportion."""
    judgement, seen = judge_difference(difference, floor, evidence.margin), evidence.observations[run.sample]
    if judgement.verdict != FAIL or not seen.retried:
        return judgement
    again = [read(outputs) for outputs in seen.moved(evidence.margin)]
    own = judge_difference(difference, _floor(name, [run.truth], [again], limits), 1.0)
    return own if own.verdict == PASS else judgement


def _floor(name: str, truths: Sequence[Rows], noise: Sequence[Sequence[Rows]], limits: Limits) -> Bounds:
    """The noise of the rows that belong together, told by the same limits as the candidate's."""
    differences, compared = [], []
    for truth, others in zip(truths, noise, strict=True):
        compared.append(truth.numbers[name])
        for other in others:
            own, theirs = positions(pair for pair in pairs_of(truth.found, other.found, limits) if not pair.excess)
            differences.append(compare(other.numbers[name][theirs], truth.numbers[name][own]))
    return noise_floor(differences, compared)


def _difference(name: str, run: Matched) -> Difference:
    """Of one output, over the rows that belong together; `index` is that of the truth."""
    own, theirs = run.pairs
    if name not in run.candidate.numbers:
        return Difference(0, problem=f"{name} has no number for each row of {SCORES}")
    if not own:
        return Difference(0) if not len(run.truth.found) else Difference(0, problem="no detection has its equal")
    difference = compare(run.candidate.numbers[name][theirs], run.truth.numbers[name][own])
    if not difference.index:
        return difference
    return replace(difference, index=(0, own[difference.index[0]], *difference.index[1:]))


def _counted(evidence: Evidence, runs: Sequence[Matched]) -> OutputResult:
    """`num_detections`: may differ by as many rows as are borderline."""
    floor = noise_floor([], [seen.truth[COUNT] for seen in evidence.observations])
    measurements = []
    for run in runs:
        difference = compare(np.array([[len(run.candidate.found)]]), np.array([[len(run.truth.found)]]))
        borderline = [why for _, why in (*run.match.only_reference, *run.match.only_candidate) if why]
        explained = difference.max <= len(borderline)
        judgement = Judgement(PASS) if explained else judge_difference(difference, floor, evidence.margin)
        measurements.append(_measured(evidence, run, difference, judgement, floor))
    return over_measurements(COUNT, measurements, Judgement(PASS), floor, evidence.margin)


def _measured(
    evidence: Evidence, run: Matched, difference: Difference, judgement: Judgement, floor: Bounds
) -> Measurement:
    name = evidence.samples[run.sample].name
    return Measurement(name, run.batch, difference, times_floor(difference, floor), judgement)
