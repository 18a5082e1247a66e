"""`zoo detect` as a command, on the shipped detector: what it writes, and what it says to bad input."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import zoo.cli.main as entry
from tests.detect.making import write_video
from tests.schemas import WRITTEN, problems, problems_in
from zoo.base.errors import VerificationError
from zoo.shapes import SAMPLE
from zoo.verify.runtimes.onnx_runtime import OnnxRuntimeRunner
from zoo.verify.runtimes.protocol import Array, Tensors

MODEL = "shapes-tiny"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.getbasetemp() / "detect-home"))  # convert once for all


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit code of `zoo detect ARGUMENTS` in this process."""
    monkeypatch.setattr(sys, "argv", ["zoo", "detect", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


def left(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def test_a_picture_is_drawn_and_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, MODEL, SAMPLE, "--save-json", "--save-txt", "--out", "seen") == 0
    out, err = capsys.readouterr()
    assert out.split() == ["seen/detections.json", f"seen/{SAMPLE.stem}.png"]
    assert f"{SAMPLE.name} · onnx" in err
    assert left(tmp_path) == ["seen/detections.json", f"seen/labels/{SAMPLE.stem}.txt", f"seen/{SAMPLE.stem}.png"]
    entries = json.loads(Path("seen/detections.json").read_bytes())
    assert problems(entries, WRITTEN["detections*.json"]) == []
    rows = [line.split() for line in Path(f"seen/labels/{SAMPLE.stem}.txt").read_text().splitlines()]
    width, height = size_of(SAMPLE)
    assert len(entries) == len(rows) > 2
    for found, row in zip(entries, rows, strict=True):
        assert found["category_id"] == int(row[0]) + 1
        x, y, w, h = found["bbox"]
        centre = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height, found["score"]]
        assert centre == pytest.approx([float(value) for value in row[1:]], abs=1e-4)
        assert (found["image_id"], found["file_name"]) == (1, SAMPLE.name)


def test_folders_patterns_and_names_that_occur_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("000017.jpg", "000002.jpg"):
            Image.open(SAMPLE).convert("RGB").save(tmp_path / folder / name)
    assert run(monkeypatch, MODEL, "a", "b/*2.jpg", "--save-json", "--out", "seen", "-q") == 0
    assert left(tmp_path / "seen") == ["000002.jpg", "000002_2.jpg", "000017.jpg", "detections.json"]
    assert run(monkeypatch, MODEL, "a", "--save-json", "--no-pictures", "--out", "ids", "-q") == 0
    assert left(tmp_path / "ids") == ["detections.json"]
    assert {one["image_id"] for one in json.loads(Path("ids/detections.json").read_bytes())} == {2, 17}


def test_a_video_keeps_its_rate_and_its_frames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 7, rate=12.5)
    assert run(monkeypatch, MODEL, "clip.mp4", "--save-txt", "--save-json", "--out", "seen", "--workers", "2") == 0
    assert list(problems_in(tmp_path)) == []
    video = cv2.VideoCapture("seen/clip.mp4")
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    reds = []
    while (frame := video.read())[0]:
        reds.append(float(frame[1][..., 2].mean()))
    assert len(reds) == 7
    assert reds == sorted(reds)
    assert len(left(tmp_path / "seen" / "labels")) == 7
    assert left(tmp_path / "seen")[-2:] == ["labels/clip_000005.txt", "labels/clip_000006.txt"]


@pytest.mark.slow
def test_several_formats_are_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, MODEL, SAMPLE, "--format", "onnx,torch", "--save-json", "--out", "seen") == 0
    assert "1 frame in" in (err := capsys.readouterr().err)
    assert "0 seen differently" in err
    assert left(tmp_path / "seen") == ["detections.onnx.json", "detections.torch.json", f"{SAMPLE.stem}.png"]
    assert size_of(Path(f"seen/{SAMPLE.stem}.png"))[0] > size_of(SAMPLE)[0]


def test_an_artifact_and_its_file_are_models_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", "convert", MODEL, "--to", "onnx", "--out", "own"])
    with pytest.raises(SystemExit):
        entry.main()
    lists: list[str] = []
    for model in (MODEL, "own", "own/model.onnx"):
        assert run(monkeypatch, model, SAMPLE, "--save-json", "--out", f"seen-{len(lists)}", "-q") == 0
        lists.append(Path(f"seen-{len(lists)}/detections.json").read_text())
    assert lists[0] == lists[1] == lists[2]


def truncated(path: Path) -> Path:
    """A JPEG whose second half is missing."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


BAD = {
    "no such file": (["nothing.jpg"], 2, "there is no such file"),
    "a pattern that fits nothing": (["*.gif"], 2, "no file fits this pattern"),
    "an empty folder": (["empty"], 2, "has no pictures and no videos"),
    "a text file": (["text.jpg"], 2, "expected a picture"),
    "an empty picture": (["zero.png"], 2, "expected a picture"),
    "half a picture": (["half.jpg"], 2, "cannot read the picture"),
    "a video without a byte": (["zero.mp4"], 2, "expected a video"),
    "a video without a frame": (["headers.mp4"], 2, "expected a video"),
    "a text file as a video": (["text.mp4"], 2, "expected a video"),
    "no such camera": (["97"], 5, "camera 97 was asked for"),
    "a threshold above one": ([str(SAMPLE), "--threshold", "1.5"], 2, "not in the range"),
    "a threshold that is no number": ([str(SAMPLE), "--threshold", "nan"], 2, "between 0 and 1"),
    "an overlap below zero": ([str(SAMPLE), "--iou", "-1"], 2, "not in the range"),
    "no format": ([str(SAMPLE), "--format", "caffe"], 2, "unknown format 'caffe'"),
    "no device": ([str(SAMPLE), "--device", "tpu"], 2, "unknown device 'tpu'"),
    "no source": ([], 2, "Missing argument"),
    "no display": ([str(SAMPLE), "--show"], 5, "--show needs a display"),
    "a file in the place of the folder": ([str(SAMPLE), "--out", "text.jpg"], 2, "is a file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_message_and_leaves_nothing(
    case: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("hello " * 100)
    for name in ("zero.png", "zero.mp4"):
        (tmp_path / name).touch()
    truncated(tmp_path / "half.jpg")
    write_video(tmp_path / "headers.mp4", 0)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    before = left(tmp_path)
    arguments, code, message = BAD[case]
    assert run(monkeypatch, MODEL, *arguments) == code
    assert message in capfd.readouterr().err
    assert left(tmp_path) == before


def test_one_bad_picture_among_several_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truncated(tmp_path / "half.jpg")
    (tmp_path / "zero.mp4").touch()
    assert run(monkeypatch, MODEL, "half.jpg", "zero.mp4", SAMPLE, "--out", "seen") == 2
    out, err = capsys.readouterr()
    assert out.split() == [f"seen/{SAMPLE.stem}.png"]
    assert "cannot read the picture half.jpg" in err
    assert "zero.mp4: expected a video" in err
    assert "2 of the sources could not be read" in err


def test_a_picture_is_never_written_over_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(SAMPLE.read_bytes())
    assert run(monkeypatch, MODEL, "one.png", "--out", ".") == 2
    assert (tmp_path / "one.png").read_bytes() == SAMPLE.read_bytes()


def test_fifty_megapixels_are_worked_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.open(SAMPLE).convert("RGB").resize((8192, 6144), Image.Resampling.NEAREST).save(tmp_path / "large.jpg")
    assert run(monkeypatch, MODEL, "large.jpg", "--save-json", "--no-pictures", "--out", "seen") == 0
    assert len(json.loads(Path("seen/detections.json").read_bytes())) > 2


def test_more_than_a_hundred_megapixels_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Image.new("1", (20000, 6000)).save(tmp_path / "huge.png")
    assert run(monkeypatch, MODEL, "huge.png") == 2
    assert "at most 100000000 pixels" in capsys.readouterr().err


def test_a_model_that_is_no_detector_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cfg = "[net]\nwidth=8\nheight=8\nchannels=3\n[connected]\noutput=2\nactivation=linear\n[softmax]\n"
    (tmp_path / "class.cfg").write_text(cfg)
    numbers = np.zeros(2 + 2 * 192, "<f4").tobytes()
    (tmp_path / "class.weights").write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + numbers)
    assert run(monkeypatch, "class.cfg", SAMPLE) == 2
    assert "gives probabilities: no detections" in capsys.readouterr().err


def test_a_model_that_fails_on_the_way_leaves_no_half_video(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", 30)
    run_well, calls = OnnxRuntimeRunner.run, itertools.count()

    def fails_at_the_tenth(self: OnnxRuntimeRunner, feeds: Tensors) -> dict[str, Array]:
        if next(calls) == 9:
            raise VerificationError("the tenth run ends")
        return run_well(self, feeds)

    monkeypatch.setattr(OnnxRuntimeRunner, "run", fails_at_the_tenth)
    assert run(monkeypatch, MODEL, "clip.mp4", "--save-json", "--out", "seen", "--workers", "2") == 1
    assert "the tenth run ends" in capsys.readouterr().err
    assert left(tmp_path / "seen") == []


def test_without_opencv_pictures_are_looked_at_and_video_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", 3)
    monkeypatch.setitem(sys.modules, "cv2", None)  # importing it is an ImportError, as without libGL
    assert run(monkeypatch, MODEL, SAMPLE, "--out", "seen", "-q") == 0
    assert run(monkeypatch, MODEL, "clip.mp4", "--out", "seen") == 5
    assert "opencv-python-headless" in capsys.readouterr().err


def test_an_interrupt_leaves_no_half_video(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", 400, size={"width": 640, "height": 480})
    code = "from zoo.cli.main import main; main()"
    arguments = [sys.executable, "-c", code, "detect", MODEL, "long.mp4", "--save-json", "--out", "seen"]
    child = subprocess.Popen(arguments, cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))  # fmt: skip
    until = time.monotonic() + 60
    while not any(name.endswith(".mp4") for name in left(tmp_path / "seen")) and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert left(tmp_path / "seen") == []
