"""The main job on real, trained weights: fetched from a mirror, converted, and seeing what Darknet saw.

The five Yolo-Fastest models go through a local HTTP mirror and the command line. What the converted model sees on
the recorded pictures must be Darknet's own list: the same classes, IoU ≥ 0.99, scores within 1e-3. The recorded input
is fed (Darknet's JPEG decoder differs from every other by a few levels), the boxes are put back onto the picture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.goldens.cases import CASE_NAMES, Case, load_case
from zoo.base.artifact import Artifact, read_artifact
from zoo.vision.nms import Detections, box_iou, detect
from zoo.vision.preprocess import Fit, place

MODELS = ("yolo-fastest", "yolo-fastest-xl", "yolo-fastest-1.1", "yolo-fastest-1.1-xl", "yolo-fastest-1.1_body")
CASES = [name for name in CASE_NAMES if name.startswith("real_")]
IOU, SCORE = 0.99, 1e-3


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The test's output is no place for an access log."""


@pytest.fixture(scope="module")
def mirror(data: Path) -> Iterator[str]:
    """The url of a local mirror that holds the real weights."""
    handler = partial(Quiet, directory=str(data / "models" / "darknet"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def artifacts(mirror: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The five models, by name, after `zoo fetch` and `zoo convert` as a user runs them."""
    home = tmp_path_factory.mktemp("home")
    environment = {"ZOO_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)}

    def zoo(*arguments: str) -> str:
        command = [sys.executable, "-c", "from zoo.cli.main import main; main()", *arguments]
        result = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    zoo("fetch", *MODELS, "--mirror", mirror)
    printed = zoo("convert", *MODELS, "--to", "onnx", "--offline").splitlines()
    return {name: read_artifact(Path(line).parent) for name, line in zip(MODELS, printed, strict=True)}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_fetched_and_converted(artifacts: dict[str, Artifact], name: str) -> None:
    artifact = artifacts[name]
    assert (artifact.name, artifact.format, artifact.family) == (name, "onnx", "darknet")
    assert artifact.is_intact()
    # No label list of the one-class model is published with a hash, so the catalog has none.
    assert len(artifact.labels) == (0 if name.endswith("body") else 80)


@pytest.mark.parametrize("name", CASES)
def test_it_sees_what_darknet_saw(artifacts: dict[str, Artifact], data: Path, name: str) -> None:
    case = load_case(name, data)
    found = _see(artifacts[name.removeprefix("real_").rsplit("_", 2 if name.endswith("letter") else 1)[0]], case)
    recorded = case.detections["detections"]
    assert len(found) == len(recorded) == case.detections["dets_nms"]
    free = np.ones(len(found), bool)
    for detection in recorded:
        box = np.array(detection["box_xywh_rel"], np.float32)
        near = np.abs(found.scores - detection["prob"]) <= SCORE
        fitting = free & near & (found.classes == detection["class"]) & (box_iou(box, found.boxes) >= IOU)
        assert fitting.any(), f"nothing like {detection}"
        free[np.flatnonzero(fitting)[0]] = False


def _see(artifact: Artifact, case: Case) -> Detections:
    """Detections of the converted model on the recorded input, relative to the picture."""
    session = onnxruntime.InferenceSession(artifact.model, providers=["CPUExecutionProvider"])
    boxes, scores = session.run(["boxes", "scores"], {"images": case.input[None]})
    width, height = case.detections["image"]
    fit: Fit = "letterbox" if case.letterbox else "stretch"
    placement = place(width, height, case.input.shape[2], case.input.shape[1], fit)
    detector = artifact.detector
    return detect(placement.undo(boxes[0]), scores[0], kind=detector["nms_kind"], beta=detector["beta_nms"])


def test_every_recording_of_real_weights_is_used(data: Path) -> None:
    recorded = {path.parent.name for path in (data / "goldens" / "darknet").glob("*/case.json")
                if "weights" in json.loads(path.read_bytes())}  # fmt: skip
    assert recorded == set(CASES)
