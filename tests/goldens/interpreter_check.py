"""The interpreter against a recording of Darknet: raw heads within the noise, the same boxes, the same detections.

`check_interpreter` is for whoever has a case and its weights: it asserts, and returns the float64 heads, against which
a conversion can then be judged. The tolerance is that of `zoo verify`: Darknet's recording is a float32 run, and may be
a margin further from the float64 run than the interpreter's own float32 run is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tests.goldens.cases import Case
from zoo.darknet import Layer, Network, Weights, read_network, read_weights
from zoo.darknet.layers import Detection, Region
from zoo.verify.noise import MARGIN, Bounds, judge_difference, noise_floor
from zoo.verify.reference.activations import ACTIVATIONS
from zoo.verify.reference.darknet import interpret
from zoo.verify.reference.decode import decode
from zoo.verify.reference.heads import softmax_chunks
from zoo.verify.tensors import compare
from zoo.verify.verdict import PASS
from zoo.vision.nms import Detections, box_iou, detect
from zoo.vision.preprocess import Fit, place

Array = NDArray[np.floating[Any]]
Heads = dict[str, Array]

RECORDED_CANDIDATES, RECORDED_DETECTIONS = 2000, 500  # what a recording keeps at most
IOU, SCORE = 0.99, 1e-3  # how near a recorded detection has to be
ROUNDING = 1e-5  # of the picture: what float32 leaves of a coordinate at the end of a network

# Beginnings of the cautions of case.json.
RELU6, BINARY, NOT_FINITE = "degenerate: this repository's CPU relu6", "binary convolutions", "the recorded output"


@dataclass(frozen=True)
class Runs:
    """One case computed in float64 (the reference) and in float32 (its noise)."""

    reference: Heads
    noise: Heads


def check_interpreter(case: Case, weights: Path) -> Heads:
    """Assert that the interpreter gives what Darknet held; return its float64 heads [1, …] by name."""
    network = read_network(case.cfg, dialect=case.dialect, weights=weights)
    tensors = read_weights(weights, network)
    runs = _run_both(case, network, tensors)
    expected = {name for name in case.outputs if not name.endswith("_logits")}
    assert {name for name in runs.reference if not name.endswith("_logits")} == expected
    if case.caution and case.caution[0].startswith(RELU6):
        with mock.patch.dict(ACTIVATIONS, relu6=np.zeros_like):  # the recorded fault, in the interpreter
            _check_heads(case, _run_both(case, network, tensors))
    elif case.caution and case.caution[0].startswith(BINARY):
        assert all(np.isfinite(head).all() for head in runs.reference.values())
    elif case.caution and case.caution[0].startswith(NOT_FINITE):
        _check_tree_region(case, network, runs)
    else:
        assert not case.caution, f"a caution this check does not know: {case.caution}"
        _check_heads(case, runs)
        if case.candidates is not None:
            check_detections(case, network, runs.reference, runs.noise)
    return {name: head for name, head in runs.reference.items() if name in expected}


def _run_both(case: Case, network: Network, weights: Weights) -> Runs:
    return Runs(_run(case, network, weights, np.float64), _run(case, network, weights, np.float32))


def _run(case: Case, network: Network, weights: Weights, dtype: DTypeLike) -> Heads:
    """The heads [1, …] after the case's picture, or after the last of its steps, and the inputs of softmaxes."""
    steps = case.input if case.input.ndim == 2 else case.input[None]
    logits = [name for name in case.outputs if name.endswith("_logits")]
    seen: Heads = {}

    def watch(layer: Layer, output: Array) -> None:
        name = f"{layer.index:03d}_logits"
        if name in logits:
            seen[name] = output

    state: dict[str, Array] = {}
    for step in steps:
        heads = interpret(network, weights, step[None], dtype=dtype, state=state, watch=watch)
    return heads | seen


def _check_heads(case: Case, runs: Runs) -> None:
    for name, recorded in case.outputs.items():
        _check(name, recorded, runs.reference[name], _floor(runs.reference[name], runs.noise[name]))


def _floor(reference: Array, noise: Array) -> Bounds:
    return noise_floor([compare(noise, reference)], [reference])


def _check(what: str, recorded: Array, reference: Array, floor: Bounds) -> None:
    """Assert that a recorded tensor is within the noise of the reference."""
    judgement = judge_difference(compare(recorded, reference.reshape(recorded.shape)), floor, MARGIN["fp32"])
    assert judgement.verdict == PASS, f"{what}: {judgement.reason}"


def _check_rows(what: str, recorded: Array, reference: Array, floor: Bounds) -> None:
    """The same for the rows that were recorded: those with the best scores, which say nothing about mean errors."""
    error = compare(recorded, reference).max
    assert error <= MARGIN["fp32"] * floor.max, f"{what}: off by {error:.3g}, noise {floor.max:.3g}"


def _check_tree_region(case: Case, network: Network, runs: Runs) -> None:
    """P's CPU code runs the softmax of a class tree over the wrong memory with a temperature of 0, which makes the
    first anchor NaN and leaves the classes of the others as they came in: there the softmax is made here."""
    (name, recorded), (layer,) = next(iter(case.outputs.items())), network.heads
    assert isinstance(layer, Region)
    assert layer.tree is not None
    anchors = recorded.reshape(len(layer.anchors), -1, *recorded.shape[1:])[1:].astype(np.float64)
    anchors[:, 5:] = softmax_chunks(anchors[:, 5:], [count for _, count in layer.tree.groups], axis=1)
    reference, noise = (
        heads[name].reshape(len(layer.anchors), *anchors.shape[1:])[1:] for heads in (runs.reference, runs.noise)
    )
    _check(name, anchors, reference, _floor(reference, noise))


def check_detections(case: Case, network: Network, heads: Mapping[str, Array], noise: Mapping[str, Array]) -> None:
    """Assert that `heads` [1, …] decode to the recorded candidates and detections, whose noise `noise` tells."""
    boxes, scores = _decode(case, network, heads)
    noisy_boxes, noisy_scores = _decode(case, network, noise)
    assert case.candidates is not None
    rows, labels = np.nonzero(scores > 0.25)
    assert len(rows) == case.detections["dets_raw"]
    rows, labels = rows[:RECORDED_CANDIDATES], labels[:RECORDED_CANDIDATES]
    assert (labels == case.candidates[:, 5]).all()
    _check_rows("boxes", case.candidates[:, :4] / _unit(case, network), boxes[rows], _floor(boxes, noisy_boxes))
    _check_rows("scores", case.candidates[:, 6], scores[rows, labels], _floor(scores, noisy_scores))
    _check_suppressed(case, _unit(case, network), _suppress(network, boxes, _as_recorded_again(network, scores)))


def _decode(case: Case, network: Network, heads: Mapping[str, Array]) -> tuple[Array, Array]:
    """Boxes [B, 4] relative to the picture and scores [B, C]."""
    boxes, scores = decode(network, heads)
    width, height = case.detections["image"]
    fit: Fit = "letterbox" if case.letterbox else "stretch"
    return place(width, height, network.net.width, network.net.height, fit).undo(boxes[0]), scores[0]


def _unit(case: Case, network: Network) -> Array:
    """What recorded boxes are multiples of: YOLOv1 gives them in pixels of the picture."""
    pixels = isinstance(network.heads[-1], Detection)
    return np.array(case.detections["image"] * 2 if pixels else [1] * 4, np.float64)


def _as_recorded_again(network: Network, scores: Array) -> Array:
    """A decodes a class tree in place, and the recorder decoded twice: the second time only roots are left."""
    head = network.heads[-1]
    if network.dialect == "pj" or not isinstance(head, Region) or head.tree is None:
        return scores
    return scores * (np.array(head.tree.parents) < 0)


def _suppress(network: Network, boxes: Array, scores: Array) -> Detections:
    """In float32, as Darknet: in float64 its ties of saturated scores would be ranked by their last digits."""
    head = network.heads[-1]
    return detect(boxes.astype(np.float32), scores.astype(np.float32), kind=head.nms_kind, beta=head.beta_nms)


def _check_suppressed(case: Case, unit: Array, found: Detections) -> None:
    """Every recorded detection has its own equal, and there are as many."""
    recorded = case.detections["detections"]
    assert len(found) == case.detections["dets_nms"]
    assert len(recorded) == min(len(found), RECORDED_DETECTIONS)
    free = np.ones(len(found), bool)
    for detection in recorded:
        box = np.array(detection["box_xywh_rel"]) / unit
        same = free & (found.classes == detection["class"]) & (np.abs(found.scores - detection["prob"]) <= SCORE)
        places = np.flatnonzero(same)
        likeness = _likeness(box, found.boxes[places].astype(np.float64))
        assert likeness.max(initial=0) >= IOU, f"nothing like {detection}"
        free[places[likeness.argmax()]] = False


def _likeness(box: Array, others: Array) -> Array:
    """IoU; 1 for boxes that are the same but for rounding, which for one thinner than that the IoU would not show."""
    return np.where((np.abs(box - others) <= ROUNDING).all(axis=1), 1, box_iou(box, others))
