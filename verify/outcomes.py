"""How the detections of all runs matched → the verdict on them, with what a report shows. Compares nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.verify.detections import Match, Truth
from zoo.verify.inputs import Sample
from zoo.verify.result import Box, DetectionResult, Picture, Unmatched
from zoo.verify.thumbnails import thumbnail
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement
from zoo.vision.nms import Detections

PICTURES = 4  # of one report
MOST = 100  # boxes of one picture that a report shows
ARTIFICIAL = ("uniform", "zeros", "ones", "impulse")  # samples that show a person nothing


@dataclass(frozen=True)
class Outcome:
    """Both sides' detections for one run, and how they match."""

    sample: str
    batch: int
    truth: Truth
    candidate: Detections
    match: Match


def detection_result(
    outcomes: Sequence[Outcome], threshold: float, nms: float, samples: Sequence[Sample]
) -> DetectionResult:
    """The verdict on the detections of all runs; `threshold` and `nms` are those that were used."""
    pairs = [pair for outcome in outcomes for pair in outcome.match.pairs]
    unmatched = tuple(one for outcome in outcomes for one in _unmatched(outcome))
    return DetectionResult(
        judgement=_judgement(outcomes, unmatched),
        threshold=threshold,
        nms=nms,
        matched=len(pairs),
        lowest_iou=min((pair.iou for pair in pairs), default=None),
        largest_score_difference=max((abs(pair.score_difference) for pair in pairs), default=None),
        unmatched=unmatched,
        pictures=_pictures(outcomes, samples),
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
