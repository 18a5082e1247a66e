"""Recorded Darknet detectors in OpenCV 5 and 4, and OpenCV 4's own Darknet reader as a witness for the recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.goldens.cases import Case, load_case, make_weights
from zoo.base.errors import ConversionError
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.to_opencv import darknet_to_classic, onnx_to_opencv
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
    pair = darknet_to_classic(case.cfg, make_weights(case, tmp_path), tmp_path / "pair")
    (old,) = (one for one in at_hand() if one.python == opencv4)
    files = [pair.folder / record.name for record in pair.files]
    rows = np.concatenate(list(run(old, "Darknet", files, {"": case.input[None]}).outputs.values()))
    assert not missing(case, rows[:, :4], rows[:, 5:], EPSILON)


def test_a_cfg_is_cleaned_of_what_the_old_reader_refuses(data: Path, tmp_path: Path, opencv4: str) -> None:
    """Short names, inline comments, blanks in values, duplicate keys, and more anchors than `num` says."""
    case = load_case("real_yolo-fastest-1.1_dog", data)
    text = case.cfg.read_text().replace("[convolutional]", "[conv]", 1).replace("num=6", "num=4 # too few\nnum = 9")
    cfg = tmp_path / "odd.cfg"
    cfg.write_text(text)
    weights = make_weights(case, tmp_path)
    (old,) = (one for one in at_hand() if one.python == opencv4)
    feeds = {"": case.input[None]}
    with pytest.raises(ConversionError, match="refused"):
        run(old, "Darknet", [cfg, weights], feeds)
    pair = darknet_to_classic(cfg, weights, tmp_path / "pair")
    assert (pair.folder / "model.weights").read_bytes() == weights.read_bytes()
    clean, original = (run(old, "Darknet", [path, weights], feeds).outputs.values() for path in (pair.model, case.cfg))
    for found, wanted in zip(clean, original, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_what_the_old_reader_lacks_is_an_error_and_leaves_nothing(data: Path, tmp_path: Path, opencv4: str) -> None:
    case = load_case("alexey_t1.test_native", data)
    with pytest.raises(ConversionError, match="detection"):
        darknet_to_classic(case.cfg, make_weights(case, tmp_path), tmp_path / "pair")
    assert not (tmp_path / "pair").exists()
