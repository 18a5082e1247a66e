"""Detections of two runs, matched by class and overlap; ties and borderline cases told apart from errors.

Sorting and non-maximum suppression turn a difference of 1e-6 into another order or another survivor, so lists of
detections are never subtracted. Whether a detection that only one side has is an error, the reference's own numbers
before the suppression tell: they are moved at random within the tolerance and suppressed again, several times. What
is in some of the outcomes but not in all of them is borderline. Anything else is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.verify.runtimes.protocol import Array
from zoo.vision.nms import Detections, box_iou, detect

LOWEST_IOU = 0.5  # below it two boxes are two things; a right candidate's overlap is near 1
TRIALS = 16  # a tie goes the other way in half of them: one that none shows has odds of 2 ** -16


@dataclass(frozen=True)
class Candidates:
    """What goes into the suppression for one picture: `boxes` [B, 4] as centre x, y, width, height relative to the
    network's input, and `scores` [B, C]."""

    boxes: Array
    scores: Array


@dataclass(frozen=True)
class Suppression:
    """How detections are made: see `zoo.vision.nms.detect`."""

    threshold: float
    iou: float
    kind: str
    beta: float

    def __call__(self, candidates: Candidates) -> Detections:
        """The detections of one picture."""
        return detect(
            candidates.boxes,
            candidates.scores,
            threshold=self.threshold,
            iou=self.iou,
            kind=self.kind,
            beta=self.beta,
        )


@dataclass(frozen=True)
class Limits:
    """The tolerances of scores and of box coordinates, absolute."""

    score: float
    box: float


@dataclass(frozen=True)
class Pair:
    """A detection that both sides have. `excess` says what is beyond the tolerance, "" where nothing is."""

    reference: int
    candidate: int
    iou: float
    score_difference: float
    excess: str


@dataclass(frozen=True)
class Match:
    """The outcome: pairs, and for each side the rest as (position, why it is borderline; "" is an error)."""

    pairs: tuple[Pair, ...]
    only_reference: tuple[tuple[int, str], ...]
    only_candidate: tuple[tuple[int, str], ...]


def match(candidate: Detections, truth: Candidates, suppression: Suppression, limits: Limits) -> Match:
    """Pair the detections of a candidate with those that the truth gives, and explain the rest."""
    reference = suppression(truth)
    pairs = tuple(_pairs(reference, candidate, limits))
    doubtful = [pair for pair in pairs if pair.excess]  # a tie may leave another box of the same thing
    missing = _rest(reference, {pair.reference for pair in pairs if not pair.excess})
    surplus = _rest(candidate, {pair.candidate for pair in pairs if not pair.excess})
    if not missing and not surplus:
        return Match(pairs, (), ())
    outcomes = [suppression(moved) for moved in _moved(truth, limits)]
    why_missing = {row: _why_missing(reference, row, outcomes, suppression, limits) for row in missing}
    why_surplus = {row: _why_surplus(candidate, row, outcomes, suppression, limits) for row in surplus}
    for pair in doubtful:
        if not (why_missing[pair.reference] and why_surplus[pair.candidate]):
            del why_missing[pair.reference], why_surplus[pair.candidate]  # no tie: the same thing, and it is off
    kept = {(pair.reference, pair.candidate) for pair in doubtful if pair.reference not in why_missing}
    return Match(
        tuple(pair for pair in pairs if not pair.excess or (pair.reference, pair.candidate) in kept),
        tuple(why_missing.items()),
        tuple(why_surplus.items()),
    )


def _pairs(reference: Detections, candidate: Detections, limits: Limits) -> Iterator[Pair]:
    """Greedy, best score first: each detection of the reference takes its equal among the free ones."""
    free = np.ones(len(candidate), bool)
    for row in range(len(reference)):
        column = _equal(reference, row, candidate, free)
        if column is not None:
            free[column] = False
            yield _pair(reference, candidate, row, column, limits)


def _equal(own: Detections, row: int, other: Detections, free: Array) -> int | None:
    """The free detection of the same class that overlaps best, of those that overlap alike the nearest in score."""
    usable = np.flatnonzero(free & (other.classes == own.classes[row]))
    overlap = box_iou(own.boxes[row].astype(np.float64), other.boxes[usable].astype(np.float64))
    usable, overlap = usable[overlap >= LOWEST_IOU], overlap[overlap >= LOWEST_IOU]
    if not len(usable):
        return None
    gap = np.abs(other.scores[usable] - own.scores[row])
    return int(usable[np.lexsort((gap, -np.round(overlap, 5)))[0]])


def _pair(reference: Detections, candidate: Detections, row: int, column: int, limits: Limits) -> Pair:
    a, b = reference.boxes[row].astype(np.float64), candidate.boxes[column].astype(np.float64)
    overlap = float(box_iou(a, b[np.newaxis])[0])
    difference = float(candidate.scores[column]) - float(reference.scores[row])
    needed = 1 - iou_slack(a, b, limits.box)
    excess = ""
    if abs(difference) > limits.score:
        excess = f"score off by {difference:+.3g}, {limits.score:.3g} allowed"
    elif overlap < needed:
        excess = f"overlap {overlap:.6f}, at least {needed:.6f} expected"
    return Pair(row, column, overlap, difference, excess)


def iou_slack(a: Array, b: Array, box: float) -> float:
    """How much the IoU of two boxes [4] can change when every coordinate moves by `box`, to first order.

    An edge, the centre less half the side, moves by up to 1.5·box, so an area's border by 3·box·(1/w + 1/h) of the
    area; the IoU, a quotient of areas, by the sum over both boxes.
    """
    sides = np.maximum([a[2], a[3], b[2], b[3]], 1e-12)
    return float(min(1.0, 3 * box * np.sum(1 / sides)))


def _rest(found: Detections, taken: set[int]) -> list[int]:
    return [position for position in range(len(found)) if position not in taken]


def _moved(truth: Candidates, limits: Limits) -> Iterator[Candidates]:
    """The truth with every number moved within the tolerance."""
    random = np.random.default_rng(0)
    for _ in range(TRIALS):
        boxes = truth.boxes + random.uniform(-limits.box, limits.box, truth.boxes.shape)
        yield Candidates(boxes, truth.scores + random.uniform(-limits.score, limits.score, truth.scores.shape))


def _why_missing(
    own: Detections, position: int, outcomes: list[Detections], suppression: Suppression, limits: Limits
) -> str:
    """Why the candidate may lack this detection of the reference: some outcome lacks it too."""
    stays = all(_has(outcome, own, position, limits) for outcome in outcomes)
    return "" if stays else _reason(float(own.scores[position]), suppression, limits)


def _why_surplus(
    own: Detections, position: int, outcomes: list[Detections], suppression: Suppression, limits: Limits
) -> str:
    """Why the candidate may have this detection, which the reference lacks: some outcome has it too."""
    arises = any(_has(outcome, own, position, limits) for outcome in outcomes)
    return _reason(float(own.scores[position]), suppression, limits) if arises else ""


def _has(outcome: Detections, own: Detections, position: int, limits: Limits) -> bool:
    """Whether an outcome has this detection, up to twice the tolerance (both sides are moved)."""
    column = _equal(own, position, outcome, np.ones(len(outcome), bool))
    twice = Limits(2 * limits.score, 2 * limits.box)
    return column is not None and not _pair(own, outcome, position, column, twice).excess


def _reason(score: float, suppression: Suppression, limits: Limits) -> str:
    if abs(score - suppression.threshold) <= limits.score:
        return "score at the threshold"
    return "a tie, or an overlap at the limit of the suppression"
