"""Artifacts that by their format's contract give less than their source: which outputs they owe, and what a program
detects with them.

An OpenCV file gives a detector's boxes and scores before the suppression, which the program does (docs/opencv.md), or
its detections without what else the source gives; so says its manifest. No other manifest may leave anything out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.base.artifact import Artifact
from zoo.verify.parity import Evidence
from zoo.verify.result import DetectionResult
from zoo.verify.rows import BOXES, COUNT, Rows, judge_rows, read_detections
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.vision.nms import Detections
from zoo.vision.suppression import BOXES as RAW_BOXES
from zoo.vision.suppression import RULE, suppressed
from zoo.vision.suppression import SCORES as RAW_SCORES

PARTIAL = ("opencv",)  # formats
CANDIDATES = ("boxes", "scores")
RAW = (RAW_BOXES, RAW_SCORES)
DETECTIONS = (BOXES, "detection_scores", "detection_classes", COUNT)
MASKS = "detection_masks"


def owed(artifact: Artifact, outputs: Sequence[str]) -> tuple[str, ...]:
    """Those of the reference's `outputs` that the artifact must give: what its manifest declares, where that is what
    the contract of its format allows, else all."""
    declared = {spec.original or spec.name for spec in artifact.outputs}
    if artifact.format in PARTIAL:
        for part in _parts(outputs, artifact.detector):
            if set(part) == declared:
                return part
    return tuple(outputs)


def _parts(outputs: Sequence[str], detector: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """What may stand for all outputs. Candidates of TensorFlow's need the rule to make detections of them."""
    given = set(outputs)
    if given >= set(CANDIDATES):
        yield CANDIDATES
    if given >= set(RAW) and RULE in detector:
        yield RAW
    if given >= set(DETECTIONS):
        yield (*DETECTIONS, *({MASKS} & given))


def are_candidates(names: Sequence[str], outputs: Sequence[str]) -> bool:
    """Whether of the reference's `outputs` an artifact gives, by `names`, what its detections are made of."""
    return set(names) == set(RAW) and set(outputs) >= set(DETECTIONS)


def judge_candidates(evidence: Evidence, detector: Mapping[str, Any]) -> DetectionResult:
    """Match what a program detects with the candidates, by the manifest's rule, with the reference's detections."""
    rule, first_class = detector[RULE], int(detector.get("first_class", 1))

    def read(outputs: Tensors) -> Rows:
        if BOXES in outputs:
            return read_detections(outputs)
        found = suppressed({name: _finite(outputs[name][0]) for name in RAW}, rule)
        least = float(found.scores.min()) if len(found) == rule["limit"] else 0.0
        return Rows(Detections(found.boxes, found.scores, found.classes + first_class), {}, least)

    return judge_rows(evidence, (), read)[1]


def _finite(array: Array) -> Array:
    """What is no number can be neither sorted nor overlapped; the tensors' verdict reports it."""
    return np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
