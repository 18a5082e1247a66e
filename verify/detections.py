"""Detections of two runs, matched by class and overlap; ties and borderline cases told apart from errors.

Sorting and non-maximum suppression turn a difference of 1e-6 into another order or another survivor, so lists of
detections are never subtracted. Whether a detection that only one side has is an error, the reference's own numbers
before the suppression tell: they are moved at random within the tolerance and suppressed again, several times. What
is in some of the outcomes but not in all of them is borderline, and what has a score at the threshold. Anything else
is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from zoo.verify.runtimes.protocol import Array
from zoo.vision.nms import Detections, box_iou, detect

LOWEST_IOU = 0.5  # below it two boxes are two things; a right candidate's overlap is near 1
AT_THRESHOLD = "score at the threshold"
TIE = "a tie, or an overlap at the limit of the suppression"
BLOCK = 128  # detections that are compared with all others at once
TRIALS = 16  # a tie goes the other way in half of them: one that none shows has odds of 2 ** -16
MANY = 64  # where that leaves a few unexplained: of many boxes that exclude each other, each is seldom the one kept


@dataclass(frozen=True)
class Candidates:
    """What goes into the suppression for one picture: `boxes` [B, 4] as centre x, y, width, height relative to the
    network's input, and `scores` [B, C]."""

    boxes: Array
    scores: Array


@dataclass(frozen=True)
class Suppression:
    """How detections are made: see `zoo.vision.nms.detect`. `most` is how many are kept, None for all."""

    threshold: float
    iou: float
    kind: str = "default"
    beta: float = 0.6
    most: int | None = None

    def __call__(self, candidates: Candidates) -> Detections:
        """The detections of one picture, best first."""
        found = detect(
            candidates.boxes,
            candidates.scores,
            threshold=self.threshold,
            iou=self.iou,
            kind=self.kind,
            beta=self.beta,
        )
        return Detections(found.boxes[: self.most], found.scores[: self.most], found.classes[: self.most])


@dataclass(frozen=True)
class Limits:
    """The tolerances: of scores and of box centres absolute, of widths and heights relative, because they are exp of
    what the network gives and may be of any size. `edge` is what sides may be off beside that: those of a box that is
    given by its corners are differences of two rounded numbers, however small they are."""

    score: float
    centre: float
    side: float
    edge: float = 0.0

    def times(self, factor: float) -> Limits:
        """Every tolerance multiplied."""
        return Limits(self.score * factor, self.centre * factor, self.side * factor, self.edge * factor)


@dataclass(frozen=True)
class Truth:
    """One picture on the side of the reference: what it `found`, scores above `threshold`. `limits` are those within
    which its numbers are uncertain, `again` gives what it finds when they are moved within them so many times."""

    found: Detections
    threshold: float
    limits: Limits
    again: Callable[[int], Sequence[Detections]]

    def unstable(self, trials: int) -> Array:
        """bool [K]: which of its detections some outcome lacks."""
        result: Array = (self._equals(self.found, trials) == 0).any(axis=0)
        return result

    def possible(self, detections: Detections, trials: int) -> Array:
        """bool [K]: which of these detections some outcome has, and as often as they are here: what is given twice is
        one too many."""
        here = _same(detections, detections, self.limits.times(2)).sum(axis=1)
        result: Array = (self._equals(detections, trials) >= here).any(axis=0)
        return result

    def _equals(self, detections: Detections, trials: int) -> Array:
        """int [outcomes, K]: how many of each there are, up to twice the limits: both sides may be off."""
        limits = self.limits.times(2)
        return np.stack([_same(detections, outcome, limits).sum(axis=1) for outcome in self.again(trials)])


def truth_of(candidates: Candidates, suppression: Suppression, limits: Limits) -> Truth:
    """The truth where boxes and scores before the suppression are known: they are moved and suppressed again."""

    @cache
    def again(trials: int) -> list[Detections]:
        return [suppression(moved) for moved in _moved(candidates, limits, trials)]

    return Truth(suppression(candidates), suppression.threshold, limits, again)


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


def match(candidate: Detections, truth: Truth) -> Match:
    """Pair the detections of a candidate with those that the truth gives, and explain the rest."""
    reference, limits = truth.found, truth.limits
    pairs = tuple(pairs_of(reference, candidate, limits))
    doubtful = [pair for pair in pairs if pair.excess]  # a tie may leave another box of the same thing
    missing = _rest(reference, {pair.reference for pair in pairs if not pair.excess})
    surplus = _rest(candidate, {pair.candidate for pair in pairs if not pair.excess})
    why_missing, why_surplus = _explained(candidate, missing, surplus, truth, TRIALS)
    unexplained = [why for why in (*why_missing.values(), *why_surplus.values()) if not why]
    if 0 < 2 * len(unexplained) <= len(reference) + len(candidate):
        why_missing, why_surplus = _explained(candidate, missing, surplus, truth, MANY)
    for pair in doubtful:
        if not (why_missing[pair.reference] and why_surplus[pair.candidate]):
            del why_missing[pair.reference], why_surplus[pair.candidate]  # no tie: the same thing, and it is off
    kept = {pair.reference for pair in doubtful if pair.reference not in why_missing}
    return Match(
        tuple(pair for pair in pairs if not pair.excess or pair.reference in kept),
        tuple(why_missing.items()),
        tuple(why_surplus.items()),
    )


def pairs_of(reference: Detections, candidate: Detections, limits: Limits) -> Iterator[Pair]:
    """Each detection of the reference with its equal: first what is the same within the limits, so that nobody takes
    the equal of another whose own is missing; then of the rest, best score first, what is likest."""
    free, left = np.ones(len(candidate), bool), list(range(len(reference)))
    for same in (True, False):
        pairs = list(_taken(reference, left, candidate, free, limits, same))
        yield from pairs
        left = sorted(set(left) - {pair.reference for pair in pairs})


def _taken(
    reference: Detections, rows: Sequence[int], candidate: Detections, free: Array, limits: Limits, same: bool
) -> Iterator[Pair]:
    """What each of these rows takes among the `free` ones, which it takes from them; only the `same` or anything."""
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        boxes = reference.boxes[block, None]
        overlaps = box_iou(boxes.astype(np.float64), candidate.boxes.astype(np.float64))
        near = _near(boxes, candidate.boxes, limits)
        usable, likeness = np.ones_like(near), np.where(near, 1.0, overlaps)
        if same:
            usable = near & (np.abs(reference.scores[block, None] - candidate.scores) <= limits.score)
        for place, row in enumerate(block):
            column = _equal(reference, row, candidate, free & usable[place], likeness[place])
            if column is not None:
                free[column] = False
                overlap, is_near = float(overlaps[place, column]), bool(near[place, column])
                yield _pair(reference, candidate, row, column, limits, overlap, is_near)


def _equal(own: Detections, row: int, other: Detections, free: Array, likeness: Array) -> int | None:
    """The free detection of the same class that overlaps best, of those that overlap alike the nearest in score.

    `likeness` [K] is the overlap, and 1 where the numbers are the same within the tolerance: a box of almost no width
    overlaps nothing.
    """
    usable = np.flatnonzero(free & (likeness >= LOWEST_IOU) & (other.classes == own.classes[row]))
    if not len(usable):
        return None
    gap = np.abs(other.scores[usable] - own.scores[row])
    return int(usable[np.lexsort((gap, -np.round(likeness[usable], 5)))[0]])


def _pair(
    reference: Detections, candidate: Detections, row: int, column: int, limits: Limits, overlap: float, is_near: bool
) -> Pair:
    difference = float(candidate.scores[column]) - float(reference.scores[row])
    excess = ""
    if abs(difference) > limits.score:
        excess = f"score off by {difference:+.3g}, {limits.score:.3g} allowed"
    elif not is_near:
        excess = f"box of class {reference.classes[row]} off: the overlap is {overlap:.6f}"
    return Pair(row, column, overlap, difference, excess)


def _near(boxes: Array, others: Array, limits: Limits) -> Array:
    """Whether boxes [..., 4] and others [..., 4], broadcast against each other, are the same within the tolerance."""
    off = np.abs(others - boxes)
    sides = off[..., 2:] <= limits.side * np.abs(boxes[..., 2:]) + limits.edge
    near: Array = (off[..., :2] <= limits.centre).all(axis=-1) & sides.all(axis=-1)
    return near


def _explained(
    candidate: Detections, missing: list[int], surplus: list[int], truth: Truth, trials: int
) -> tuple[dict[int, str], dict[int, str]]:
    """Of what only the reference and what only the candidate has: see `_reasons`."""
    return (
        _reasons(truth.found, missing, truth.unstable(trials), truth) if missing else {},
        _reasons(candidate, surplus, truth.possible(candidate, trials), truth) if surplus else {},
    )


def _reasons(found: Detections, rest: list[int], unstable: Array, truth: Truth) -> dict[int, str]:
    """Position → why it may be on one side only; "" for an error."""
    reasons = {}
    for row in rest:
        at_threshold = abs(float(found.scores[row]) - truth.threshold) <= truth.limits.score
        reasons[row] = AT_THRESHOLD if at_threshold else TIE if unstable[row] else ""
    return reasons


def _rest(found: Detections, taken: set[int]) -> list[int]:
    return [position for position in range(len(found)) if position not in taken]


def _moved(candidates: Candidates, limits: Limits, times: int) -> Iterator[Candidates]:
    """The truth with every number moved at random within the tolerance, so many times."""
    random = np.random.default_rng(0)
    centres, sides = candidates.boxes[:, :2], candidates.boxes[:, 2:]
    for _ in range(times):
        moved = [
            centres + random.uniform(-limits.centre, limits.centre, centres.shape),
            sides * (1 + random.uniform(-limits.side, limits.side, sides.shape)),
        ]
        scores = candidates.scores + random.uniform(-limits.score, limits.score, candidates.scores.shape)
        yield Candidates(np.concatenate(moved, axis=1), scores)


def _same(own: Detections, other: Detections, limits: Limits) -> Array:
    """Which detections are the same within the limits, bool [len(own), len(other)]."""
    near = _near(own.boxes[:, None], other.boxes, limits)
    close = np.abs(own.scores[:, None] - other.scores) <= limits.score
    result: Array = near & close & (own.classes[:, None] == other.classes)
    return result
