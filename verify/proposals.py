"""The boxes inside a two-stage detector, and all that stands in their order: `raw_detection_boxes` [N, P, 4] and
`raw_detection_scores` [N, P, C + 1], and what the second stage computes for each of the P proposals.

Proposals are sorted and suppressed by the first stage, so two of nearly one score change places, or one takes the place
of another, where the last bit differs. Where TensorFlow's own runs do that, numbers cannot be compared by their place:
the proposals are matched as detections are, and what only one side has must be what TensorFlow's own runs have or lack.
Where no run of TensorFlow moves or replaces a row, as in detectors of one stage, numbers are compared in their place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from zoo.verify.parity import Evidence
from zoo.verify.result import OutputResult
from zoo.verify.rows import POINT, Rows, belongs_to_rows, judge_rows, same_things
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.verdict import FAIL, PASS, Judgement, worst
from zoo.vision.nms import Detections
from zoo.vision.suppression import BOXES, SCORES, centred

MOST = 1000  # more are no proposals (the API's models keep up to 300 of them), but all anchors of one stage
STILL = 0.005  # share of its longer side by which a box that has kept its place may be off


def unsettled(evidence: Evidence) -> list[str]:
    """The outputs whose rows TensorFlow itself puts in another order from run to run; none where it does not, or where
    the candidate's have another shape, which comparing them in their place will tell."""
    truths = [seen.truth for seen in evidence.observations]
    if not all(_are_proposals(truth) for truth in truths):
        return []
    if any(
        run.outputs[name].shape != truths[run.sample][name].shape for run in evidence.runs for name in (BOXES, SCORES)
    ):
        return []
    moves = any(_moves(seen.truth, seen.others) for seen in evidence.observations)
    if not moves:
        off = {run.sample for run in evidence.runs if _moves(truths[run.sample], [run.outputs])}
        moves = any(_moves(truths[place], evidence.observations[place].moved(evidence.margin)) for place in off)
    return [name for name in truths[0] if _row_axis(truths[0], name) is not None] if moves else []


def judge_proposals(evidence: Evidence, names: list[str]) -> dict[str, OutputResult]:
    """The verdicts on the outputs `names` of `unsettled`. Proposals that nothing explains, or that stand further from
    their place than in any run of TensorFlow, are the fault of `raw_detection_boxes`."""
    outputs, found = judge_rows(evidence, names, read_proposals)
    told = [found.judgement, outputs[BOXES].judgement, _order(evidence)]
    outputs[BOXES] = replace(outputs[BOXES], judgement=worst(told))
    return outputs


def read_proposals(outputs: Tensors) -> Rows:
    """The proposals of one picture, whose score is that of their best class; none is at a threshold."""
    scores = np.nan_to_num(outputs[SCORES][0, :, 1:].astype(np.float64)).max(axis=1)
    boxes = centred(np.nan_to_num(outputs[BOXES][0].astype(np.float64)))
    numbers = {}
    for name, array in outputs.items():
        axis = _row_axis(outputs, name)
        if axis is not None:
            numbers[name] = array[0] if axis else array
    return Rows(Detections(boxes, scores, np.zeros(len(scores), np.int64)), numbers, -np.inf)


def _are_proposals(outputs: Tensors) -> bool:
    """Whether there are boxes, and scores of several classes, to tell the rows by."""
    boxes, scores = outputs.get(BOXES), outputs.get(SCORES)
    return (
        boxes is not None
        and scores is not None
        and (boxes.ndim, scores.ndim, boxes.shape[0]) == (3, 3, 1)
        and boxes.shape[1] == scores.shape[1] <= MOST
        and scores.shape[2] > 1
    )


def _row_axis(outputs: Tensors, name: str) -> int | None:
    """Along which axis an output has one entry for each proposal: 1 for [1, P, …], 0 for [P, …], None for neither."""
    shape, length = outputs[name].shape, outputs[BOXES].shape[1]
    if belongs_to_rows(name):
        return None
    return 1 if shape[:2] == (1, length) else 0 if len(shape) > 1 and shape[0] == length else None


def _moves(truth: Tensors, others: Iterable[Tensors]) -> bool:
    """Whether one of the other runs has at some place another box: the truth's from elsewhere, or one that the truth
    lacks, as when two of nearly one score suppress each other."""
    own = read_proposals(truth).found
    runs = (read_proposals(other).found for other in others)
    return any(len(theirs) == len(own) and not _still(own, theirs).all() for theirs in runs)


def _still(own: Detections, other: Detections) -> Array:
    """Which boxes are about the same at the same place, bool [P]; a box may have no area."""
    off = np.abs(own.boxes - other.boxes).max(axis=1)
    still: Array = off <= np.maximum(STILL * own.boxes[:, 2:].max(axis=1), POINT)
    return still


def _places(own: Detections, other: Detections) -> list[tuple[int, int]]:
    """Where the boxes that are the same thing stand, on either side; those that are no box stand nowhere."""
    return [(pair.reference, pair.candidate) for pair in same_things(own, other)]


def _order(evidence: Evidence) -> Judgement:
    """Whether the candidate's proposals stand about where TensorFlow's stand, told by their rank among those that both
    sides have: no further from it than twice as far as in TensorFlow's own runs."""
    for run in evidence.runs:
        seen = evidence.observations[run.sample]
        own = read_proposals(seen.truth).found
        shift = _shift(own, read_proposals(run.outputs).found)
        others = [*seen.others, *seen.moved(evidence.margin)] if shift > 1 else []
        most = 2 * max((_shift(own, read_proposals(other).found) for other in others), default=0) + 1
        if shift > most:
            name = evidence.samples[run.sample].name
            reason = f"{name} (batch {run.batch}): a proposal stands {shift} places from its own, {most} allowed"
            return Judgement(FAIL, reason)
    return Judgement(PASS)


def _shift(own: Detections, other: Detections) -> int:
    """The largest change of rank among the boxes of both sides."""
    places = np.array([there for _, there in _places(own, other)], np.int64)
    return int(np.abs(np.argsort(np.argsort(places)) - np.arange(len(places))).max(initial=0))
