"""Real, trained detectors through `zoo detect`'s own parts: in every format Darknet's list, and the same on video.

The recorded input is fed (Darknet's JPEG decoder differs from every other by a few levels); everything behind it, the
boxes put back onto the picture and Darknet's suppression, is what the command uses.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import zoo.cli.main as entry
from tests.detect.tensorflow_like import write_mask_model
from tests.end_to_end.test_yolo_fastest import CASES, IOU, SCORE
from tests.goldens.cases import load_case
from tests.schemas import WRITTEN, problems
from zoo.base.artifact import Artifact
from zoo.catalog import Store
from zoo.detect.detector import Detector, Prepared, open_detector
from zoo.pipeline.models import find_models
from zoo.verify.runtimes.protocol import Settings
from zoo.vision.contract import Rule
from zoo.vision.nms import box_iou
from zoo.vision.preprocess import Fit, place

MODEL = "yolo-fastest-1.1"
FORMATS = ("onnx", "torch", "tf", "tflite", "opencv")  # those that run here; opencv-classic needs an OpenCV 4


def model_of(case: str) -> str:
    """The model of a recording: real_MODEL_PICTURE or real_MODEL_PICTURE_letter."""
    return case.removeprefix("real_").removesuffix("_letter").rpartition("_")[0]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def detectors(data: Path, store: Store) -> Iterator[dict[tuple[str, str], Detector]]:
    """Model and format → detector: every model in ONNX, one in every format."""
    formats = {model_of(case): FORMATS if model_of(case) == MODEL else ("onnx",) for case in CASES}
    with ExitStack() as stack:
        yield {
            (name, artifact.format): stack.enter_context(closing(loaded(artifact)))
            for name, wanted in formats.items()
            for artifact in find_models(str(data / "models" / "darknet" / f"{name}.cfg"), wanted, store=store)
        }


def loaded(artifact: Artifact) -> Detector:
    return open_detector(artifact, Rule(), "cpu", Settings(threads=1))


@pytest.mark.parametrize(
    ("case", "format"),
    [(case, format) for case in CASES for format in FORMATS if format == "onnx" or model_of(case) == MODEL],
)
def test_every_format_gives_darknets_list(
    case: str, format: str, detectors: dict[tuple[str, str], Detector], data: Path
) -> None:
    recorded = load_case(case, data)
    detector = detectors[model_of(case), format]
    tensor = recorded.input[None]
    if detector.input.channels_last:
        tensor = np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))
    fit: Fit = "letterbox" if recorded.letterbox else "stretch"
    width, height = recorded.detections["image"]
    placement = place(width, height, recorded.input.shape[2], recorded.input.shape[1], fit)
    prepared = Prepared({detector.input.name: tensor}, placement)
    found = detector.finish(detector.infer(prepared), prepared)
    wanted = recorded.detections["detections"]
    assert len(found) == len(wanted)
    free = np.ones(len(found), bool)
    for one in wanted:
        overlap = box_iou(np.array(one["box_xywh_rel"], np.float32), found.boxes)
        near = np.abs(found.scores - one["prob"]) <= SCORE
        fitting = free & near & (found.classes == one["class"]) & (overlap >= IOU)
        assert fitting.any(), f"nothing like {one}"
        free[np.flatnonzero(fitting)[0]] = False


def test_every_format_sees_the_same_on_video(
    data: Path, store: Store, detectors: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The command itself: five formats side by side on a video, no frame seen differently."""
    monkeypatch.setenv("ZOO_HOME", str(store.root))
    model, video = data / "models" / "darknet" / f"{MODEL}.cfg", data / "models" / "video" / "peopledesk.mp4"
    arguments = [str(model), str(video), "--format", ",".join(FORMATS), "--frames", "6", "--save-json"]
    options = ["--out", str(tmp_path), "--inference-threads", "1", "--names", str(model.with_name("coco.names"))]
    monkeypatch.setattr(sys, "argv", ["zoo", "detect", *arguments, *options])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert stop.value.code == 0
    assert "6 frames" in (told := capsys.readouterr().err)
    assert "0 seen differently" in told
    lists = {format: json.loads((tmp_path / f"detections.{format}.json").read_bytes()) for format in FORMATS}
    counts = {format: len(entries) for format, entries in lists.items()}
    assert set(counts.values()) == {counts["onnx"]} and counts["onnx"] >= 6
    assert {one["category_id"] for one in lists["onnx"]} <= set(range(1, 91))
    capture = cv2.VideoCapture(str(tmp_path / "peopledesk.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30000 / 1001, rel=1e-4)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_a_tensorflow_detector_is_looked_at_with_its_own_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of any size in; corners as y, x and classes from 1 out; masks over the boxes: as the TF zoos have it."""
    write_mask_model(tmp_path / "masks.onnx")
    Image.new("RGB", (200, 100), (30, 60, 90)).save(tmp_path / "plain.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["zoo", "detect", "masks.onnx", "plain.png", "--save-json", "--out", "seen", "-q"])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert stop.value.code == 0
    (found,) = json.loads((tmp_path / "seen" / "detections.json").read_bytes())
    assert found["bbox"] == pytest.approx([20, 20, 100, 60], abs=1e-3)
    assert (found["category_id"], found["score"]) == (3, pytest.approx(0.9))
    assert found["segmentation"]["size"] == [100, 200]
    assert problems([found], WRITTEN["detections*.json"]) == []
    assert problems([found | {"bbox": [1, 2, 3]}, found | {"label": "a"}], WRITTEN["detections*.json"])
    with Image.open(tmp_path / "seen" / "plain.png") as drawn:
        assert drawn.getpixel((70, 60)) != (30, 60, 90)
        assert drawn.getpixel((180, 90)) == (30, 60, 90)
