"""The shipped detector to OpenCV through the whole pipeline: fetched, converted, verified; and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo.base.artifact import FileRecord, read_artifact
from zoo.base.errors import MissingBackend
from zoo.cli.convert import command
from zoo.pipeline.convert import convert_model
from zoo.pipeline.source import catalog_source
from zoo.pipeline.verify import verify_files, verify_model
from zoo.verify import Options
from zoo.verify.verdict import FAIL, PASS

MODEL = "shapes-tiny"


def test_verify_opencv_end_to_end() -> None:
    (report,) = verify_model(MODEL, ["opencv"], options=Options(speed="none"))
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert report.device.runtime.startswith("opencv 5.")
    assert report.detections
    assert report.detections.matched


def test_a_wrong_description_of_a_right_network_is_a_failure(tmp_path: Path) -> None:
    """Of what `blobFromImage` is told no number of the network says anything."""
    (artifact,) = convert_model(MODEL, ["opencv"], out=tmp_path)
    path = tmp_path / "detector.json"
    content = json.loads(path.read_bytes())
    content["input"]["scale"] = 1.0
    path.write_text(json.dumps(content))
    files = tuple(FileRecord.of(tmp_path / record.name, record.role) for record in artifact.files)
    dataclasses.replace(artifact, files=files).write()
    (report,) = verify_files(tmp_path, catalog_source(MODEL), options=Options(speed="none"))
    assert report.judgement.verdict == FAIL
    assert "detector.json: input.scale is 1.0, by the manifest and the model it is 0.00392" in report.judgement.reason
    (verdict,) = read_artifact(tmp_path).verdicts
    assert (verdict["verdict"], verdict["device"]) == (FAIL, "cpu")


def test_a_gpu_that_this_build_cannot_use_is_missing() -> None:
    (report,) = verify_model(MODEL, ["opencv"], devices=["cuda"], options=Options(speed="none"))
    assert report.exit_code == MissingBackend.exit_code
    assert "this OpenCV build has no CUDA" in report.judgement.reason


def run(*arguments: str) -> str:
    """What `zoo convert` prints; its errors are raised."""
    result = CliRunner().invoke(command, [MODEL, *arguments], standalone_mode=False, catch_exceptions=False)
    if result.exception:
        raise result.exception
    return result.output


def test_an_opencv_that_is_not_here_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingBackend, match="written for OpenCV 4") as caught:
        run("--to", "opencv", "--opencv", "4", "--out", str(tmp_path / "o"))
    assert "ZOO_OPENCV_PYTHON" in caught.value.hint
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("target", "files"),
    [("opencv", {"model.onnx", "detector.json"}), ("opencv-classic", {"model.cfg", "model.weights"})],
)
def test_convert_for_opencv_4(target: str, files: set[str], tmp_path: Path, opencv4: str) -> None:
    asked = ["--opencv", "4"] if target == "opencv" else []
    (artifact,) = json.loads(run("--to", target, *asked, "--out", str(tmp_path), "--json"))
    assert artifact["versions"]["opencv"].startswith("4.")
    assert {record["name"] for record in artifact["files"]} == files
