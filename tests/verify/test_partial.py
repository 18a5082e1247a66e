"""Artifacts that give less than their source: only what their format's contract allows, judged by their detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.base.artifact import Artifact, TensorSpec
from zoo.convert.to_opencv.rewrite import outputs as written
from zoo.verify import partial
from zoo.verify.inputs import Sample
from zoo.verify.parity import CandidateRun, Evidence
from zoo.verify.partial import are_candidates, judge_candidates, owed
from zoo.verify.runtimes.protocol import Array
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, PASS
from zoo.vision.suppression import centred, suppressed

RULE = {"classes": 2, "score": 1e-8, "iou": 0.6, "limit_per_class": 20, "limit": 20, "clips": "after"}
DETECTOR = {"suppression": RULE, "first_class": 1}
DETECTIONS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
RAW = ("raw_detection_boxes", "raw_detection_scores")
SOURCE = (*DETECTIONS, "detection_multiclass_scores", *RAW)
Outputs = dict[str, Array]


def artifact(*outputs: str, format: str = "opencv", **detector: object) -> Artifact:
    specs = tuple(TensorSpec(name, "float32", ()) for name in outputs)
    return Artifact(Path(), "name", format, "tensorflow", (), (), (), specs, detector={**DETECTOR, **detector})


def test_the_writer_and_the_verifier_mean_the_same_contract() -> None:
    assert written.CANDIDATES == (partial.CANDIDATES, partial.RAW)
    assert (*written.DETECTIONS, *written.MORE) == (*partial.DETECTIONS, partial.MASKS)


@pytest.mark.parametrize("given", [RAW, DETECTIONS])
def test_an_opencv_file_owes_what_its_manifest_declares(given: tuple[str, ...]) -> None:
    assert set(owed(artifact(*given), SOURCE)) == set(given)
    assert set(owed(artifact("boxes", "scores"), ("boxes", "scores", "detections"))) == {"boxes", "scores"}


@pytest.mark.parametrize(
    "made",
    [
        artifact(*RAW, format="onnx"),  # another format's manifest may leave nothing out
        artifact(*RAW[:1]),
        artifact(*DETECTIONS[:3]),
        artifact(*RAW, *DETECTIONS),
        artifact(),
        dataclasses.replace(artifact(*RAW), detector={}),  # nobody could make detections of them
    ],
)
def test_what_no_contract_allows_owes_everything(made: Artifact) -> None:
    assert owed(made, SOURCE) == SOURCE


def test_masks_belong_to_the_detections() -> None:
    source = (*SOURCE, "detection_masks")
    assert owed(artifact(*DETECTIONS), source) == source
    assert set(owed(artifact(*DETECTIONS, "detection_masks"), source)) == {*DETECTIONS, "detection_masks"}


def test_candidates_are_told_from_other_outputs() -> None:
    assert are_candidates(RAW, SOURCE)
    assert not are_candidates(RAW, RAW)  # the source gives no detections to compare with
    assert not are_candidates(DETECTIONS, SOURCE)


def raw(seed: int, off: float = 0.0) -> Outputs:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.8, (40, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.3, (40, 2))], axis=1)
    scores = random.uniform(0.05, 0.95, (40, 3))
    return {
        "raw_detection_boxes": (boxes[np.newaxis] * (1 + off)).astype(np.float32),
        "raw_detection_scores": (scores[np.newaxis] * (1 + off)).astype(np.float32),
    }


def whole(outputs: Outputs) -> Outputs:
    """With the detections that the source makes of it."""
    found = suppressed({name: array[0] for name, array in outputs.items()}, RULE)
    low, high = found.boxes[:, 1::-1] - found.boxes[:, :1:-1] / 2, found.boxes[:, 1::-1] + found.boxes[:, :1:-1] / 2
    corners = np.concatenate([low, high], axis=1)
    np.testing.assert_allclose(centred(corners), found.boxes)
    return {
        **outputs,
        "detection_boxes": corners[np.newaxis].astype(np.float32),
        "detection_scores": found.scores[np.newaxis].astype(np.float32),
        "detection_classes": (found.classes + 1)[np.newaxis].astype(np.float32),
        "num_detections": np.array([len(found)], np.float32),
    }


def evidence(found: Outputs) -> Evidence:
    seen = [Observation(whole(raw(seed)), (whole(raw(seed, 1e-7)),)) for seed in (0, 1)]
    samples = [Sample(str(seed), 0, {"x": np.full((1, 2), seed)}) for seed in (0, 1)]
    return Evidence(samples, seen, [CandidateRun(0, 1, found), CandidateRun(1, 1, raw(1))], {}, 10.0)


def test_detections_made_of_candidates_are_those_of_the_reference() -> None:
    result = judge_candidates(evidence(raw(0, 3e-7)), DETECTOR)
    assert result.judgement.verdict == PASS, result.judgement.reason
    assert result.matched == 40


def with_boxes(change: Callable[[Array], Array]) -> Outputs:
    found = raw(0)
    return {**found, "raw_detection_boxes": change(found["raw_detection_boxes"])}


def with_scores(change: Callable[[Array], Array]) -> Outputs:
    found = raw(0)
    return {**found, "raw_detection_scores": change(found["raw_detection_scores"])}


@pytest.mark.parametrize(
    ("found", "detector"),
    [
        (with_boxes(lambda boxes: boxes[..., [1, 0, 3, 2]]), {}),
        (with_boxes(lambda boxes: boxes[:, ::-1]), {}),
        (with_boxes(lambda boxes: boxes * np.float32(300)), {}),
        (with_scores(lambda scores: scores[..., [0, 2, 1]]), {}),
        (with_scores(lambda scores: scores * np.float32(0.99)), {}),
        (with_scores(lambda scores: np.full_like(scores, np.nan)), {}),
        (raw(0), {"suppression": {**RULE, "iou": 0.3}}),
        (raw(0), {"suppression": {**RULE, "classes": 3}}),
        (raw(0), {"first_class": 0}),
    ],
)
def test_wrong_candidates_and_a_wrong_rule_are_found(found: Outputs, detector: dict[str, object]) -> None:
    assert judge_candidates(evidence(found), {**DETECTOR, **detector}).judgement.verdict == FAIL
