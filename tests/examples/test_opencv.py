"""The example programs find in a recorded picture what Darknet recorded, in every OpenCV that is here."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.goldens.cases import Case, load_case
from zoo.convert.from_darknet import darknet_to_onnx
from zoo.convert.to_opencv import onnx_to_opencv

EXAMPLES = ROOT / "examples" / "opencv"
STRETCHED, LETTERBOXED = "real_yolo-fastest-1.1_dog", "real_yolo-fastest-1.1_dog_letter"


def written(case: Case, folder: Path) -> Path:
    """The folder that `zoo convert --to opencv` makes of the case's model, fitting pictures as the case does."""
    weights, names = case.root / str(case.record["weights"]), case.root / "models" / "darknet" / "coco.names"
    labels = tuple(names.read_text().splitlines())
    hub = darknet_to_onnx(case.cfg, weights, folder / "hub", labels=labels)
    artifact = onnx_to_opencv(hub.model, folder / "opencv", parent=hub)
    if case.letterbox:
        path = artifact.folder / "detector.json"
        content = json.loads(path.read_bytes())
        content["input"]["resize"] = "letterbox"
        path.write_text(json.dumps(content))
    return artifact.folder


def judge(case: Case, printed: str) -> None:
    """The best of each class is there, about as sure and about where Darknet found it: OpenCV resizes by another rule.
    Of overlapping boxes Darknet keeps more, as its suppression is DIoU here."""
    assert case.image is not None
    with Image.open(case.image) as picture:
        size = np.array([*picture.size, *picture.size])
    found = [line.rsplit(" ", 5) for line in printed.strip().splitlines()]
    recorded = case.detections["detections"]
    best = {one["name"]: one for one in recorded[::-1] if one["prob"] > 0.35}
    assert len(best) >= 3
    for name, one in best.items():
        x, y, w, h = one["box_xywh_rel"]
        score, *box = (float(value) for value in next(row for row in found if row[0] == name)[1:])
        assert abs(score - one["prob"]) < 0.05
        assert np.abs(box - np.array([x - w / 2, y - h / 2, w, h]) * size).max() < 0.02 * size.max()
    assert len(found) <= len(recorded)


def printed_by(*command: str | Path) -> str:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", [STRETCHED, LETTERBOXED])
def test_python_in_both_versions(name: str, data: Path, tmp_path: Path, opencv4: str) -> None:
    case = load_case(name, data)
    folder = written(case, tmp_path)
    new, old = (
        printed_by(python, EXAMPLES / "detect.py", folder, str(case.image)) for python in (sys.executable, opencv4)
    )
    judge(case, new)
    assert new == old


@pytest.mark.parametrize(("place", "height"), [("corner", 43), ("centre", 42)])
def test_letterboxes_of_tensorflow_are_rounded(place: str, height: int) -> None:
    """A picture of 100 × 67 in a square of 64 is 42.88 high."""
    fit = runpy.run_path(str(EXAMPLES / "detect.py"))["fit"]
    source = {"width": 64, "height": 64, "resize": "letterbox", "place": place, "pad": [0.0, 0.0, 0.0]}
    square, _, _ = fit(np.full((67, 100, 3), 255, np.uint8), source)
    assert square.shape == (64, 64, 3)
    assert square.any(axis=(1, 2)).sum() == height


@pytest.mark.parametrize("name", [STRETCHED, LETTERBOXED])
def test_cpp(name: str, data: Path, tmp_path: Path) -> None:
    """Against the system's OpenCV: Debian's libopencv-dev, from 4.6."""
    tools = all(shutil.which(tool) for tool in ("c++", "pkg-config"))
    if not tools or subprocess.run(["pkg-config", "--exists", "opencv4"], check=False).returncode:
        pytest.skip("C++ OPENCV MISSING: detect.cpp was not built (apt-get install g++ pkg-config libopencv-dev)")
    flags = printed_by("pkg-config", "--cflags", "--libs", "opencv4").split()
    program = tmp_path / "detect"
    printed_by("c++", "-O1", "-std=c++17", "-Wall", "-Wextra", EXAMPLES / "detect.cpp", "-o", program, *flags)
    case = load_case(name, data)
    judge(case, printed_by(program, written(case, tmp_path), str(case.image)))
