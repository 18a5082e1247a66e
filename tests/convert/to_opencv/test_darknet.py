"""Recorded Darknet detectors in OpenCV 5 and 4, and OpenCV 4's own Darknet reader as a witness for the recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.goldens.cases import Case, load_case, make_weights
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.to_opencv import onnx_to_opencv
from zoo.convert.to_opencv.installations import at_hand, run

WRITTEN = (
    "real_yolo-fastest-1.1_dog",
    "alexey_yolov4-tiny-3l_96x96",  # scaled x, y
    "alexey_yolov7-tiny_96x96",  # new_coords
    "pj_yolov2-tiny-voc_96x96",  # region
    "alexey_tiny-yolo_96x96",  # region of the other dialect
)
WITNESSED = (
    "real_yolo-fastest-1.1_dog",
    "real_yolo-fastest_person",
    "alexey_yolov3-tiny_96x96",
    "alexey_yolov7-tiny_96x96",
)
CLOSE = 1e-4
EPSILON = 5e-3  # its batch normalisation adds 1e-6 to the variance where Darknet adds 1e-5


def missing(case: Case, boxes: Any, scores: Any, limit: float) -> list[Any]:
    """Recorded pairs of box and class, clearly above the threshold, that `boxes` [B, 4] and `scores` [B, C] lack."""
    assert case.candidates is not None
    clear = case.candidates[case.candidates[:, 6] > 0.26]
    assert len(clear)
    wanted = np.concatenate([clear[:, :4], clear[:, 6:7]], axis=1)
    rows = np.concatenate([np.broadcast_to(boxes, (len(boxes), 4)), np.zeros((len(boxes), 1))], axis=1)
    lost = []
    for one, label in zip(wanted, clear[:, 5].astype(int), strict=True):
        rows[:, 4] = scores[:, label]
        if not (np.abs(rows - one) <= limit * np.maximum(1, np.abs(one))).all(axis=1).any():
            lost.append((label, one))
    return lost


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_detector_gives_what_darknet_recorded(name: str, data: Path, tmp_path: Path, opencv4: str) -> None:
    case = load_case(name, data)
    weights = make_weights(case, tmp_path)
    hub = darknet_to_onnx(case.cfg, weights, tmp_path / "hub", DarknetOptions(dialect=case.dialect))
    artifact = onnx_to_opencv(hub.model, tmp_path / "opencv", parent=hub)
    installed = at_hand()
    assert [one.python for one in installed] == [sys.executable, opencv4]
    assert artifact.notes == (f"runs in OpenCV {installed[0].version}, {installed[1].version}",)
    for opencv in installed:
        outputs: Mapping[str, Any] = run(opencv, "ONNX", [artifact.model], {"images": case.input[None]}).outputs
        assert not missing(case, outputs["boxes"][0], outputs["scores"][0], CLOSE)


@pytest.mark.parametrize("name", WITNESSED)
def test_opencv_4_reads_the_original_files_alike(name: str, data: Path, tmp_path: Path, opencv4: str) -> None:
    """Its rows are boxes, objectness and scores, head after head."""
    case = load_case(name, data)
    (old,) = (one for one in at_hand() if one.python == opencv4)
    trial = run(old, "Darknet", [case.cfg, make_weights(case, tmp_path)], {"": case.input[None]})
    rows = np.concatenate(list(trial.outputs.values()))
    assert not missing(case, rows[:, :4], rows[:, 5:], EPSILON)
