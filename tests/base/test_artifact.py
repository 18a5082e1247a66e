"""The manifest: what is written is read back, and a changed file or a foreign manifest is noticed."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from zoo.base.artifact import MANIFEST, Artifact, FileRecord, TensorSpec, read_artifact
from zoo.base.errors import UsageError

SUPPRESSION = {"classes": 6, "score": 1e-8, "iou": 0.6, "limit_per_class": 100, "limit": 100, "clips": "after"}


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    (tmp_path / "model.onnx").write_bytes(b"the model")
    made = Artifact(
        folder=tmp_path,
        name="tiny",
        format="onnx",
        family="darknet",
        sources=(FileRecord("cfg", "tiny.cfg", "0" * 64, 3),),
        files=(FileRecord.of(tmp_path / "model.onnx", "model"),),
        inputs=(TensorSpec("images", "float32", ("batch", 3, 32, 32), "RGB, 0..1"),),
        outputs=(TensorSpec("boxes", "float32", ("batch", 12, 4)),),
        options={"heads": "decoded"},
        labels=("kráva",),
    )
    made.write()
    return made


def test_what_is_written_is_read_back(artifact: Artifact) -> None:
    assert read_artifact(artifact.folder) == artifact
    assert artifact.model == artifact.folder / "model.onnx"


def test_the_manifest_is_deterministic_and_names_no_folder(artifact: Artifact) -> None:
    first = (artifact.folder / MANIFEST).read_bytes()
    artifact.write()
    assert (artifact.folder / MANIFEST).read_bytes() == first
    assert str(artifact.folder).encode() not in first


def test_a_changed_or_missing_file_is_noticed(artifact: Artifact) -> None:
    assert artifact.is_intact()
    artifact.model.write_bytes(b"the mode!")
    assert not artifact.is_intact()
    artifact.model.unlink()
    assert not artifact.is_intact()


def test_a_format_that_is_a_folder_records_the_files_in_it(artifact: Artifact) -> None:
    inner = artifact.folder / "saved_model" / "variables" / "variables.index"
    inner.parent.mkdir(parents=True)
    inner.write_bytes(b"index")
    record = FileRecord.of(inner, "weights", "saved_model/variables/variables.index")
    dataclasses.replace(artifact, files=(*artifact.files, record)).write()
    again = read_artifact(artifact.folder)
    assert again.files[-1] == record
    assert again.is_intact()
    inner.unlink()
    assert not again.is_intact()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"files": [{"role": "model", "name": "../model.onnx", "sha256": "", "size": 0}]},
        {"files": [{"role": "model", "name": "a/../../model.onnx", "sha256": "", "size": 0}]},
        {"files": [{"role": "model", "name": "/etc/passwd", "sha256": "", "size": 0}]},
        {"files": [{"role": "model", "name": "a\\b", "sha256": "", "size": 0}]},
        {"files": [{"role": "model", "name": "", "sha256": "", "size": 0}]},
        {"files": [{"role": "model"}]},
        {"files": []},
        {"files": [{"role": "weights", "name": "a", "sha256": "", "size": 0}]},
        {"files": [{"role": "model", "name": "a", "sha256": "", "size": "0"}]},
        {"files": [{"role": "model", "name": 1, "sha256": "", "size": 0}]},
        {"files": {}},
        {"sources": ["tiny.cfg"]},
        {"unknown": 1},
        {"folder": "elsewhere"},
        {"schema": "1"},
        {"schema": 1.0},
        {"schema": True},
        {"name": 1},
        {"name": "\ud800"},
        {"format": None},
        {"family": ["darknet"]},
        {"labels": "kráva"},
        {"labels": ["kráva", 1]},
        {"notes": {}},
        {"inputs": None},
        {"inputs": [None]},
        {"inputs": [{"name": "images", "dtype": "float32", "shape": "1"}]},
        {"inputs": [{"name": "images", "dtype": "float32", "shape": [1.0]}]},
        {"outputs": [{"name": "boxes", "dtype": "float32", "shape": [True]}]},
        {"outputs": [{"name": "boxes", "dtype": None, "shape": [1]}]},
        {"options": []},
        {"options": {"batch": "1"}},
        {"options": {"nms": 1}},
        {"options": {"nms": True}},
        {"options": {"iou_threshold": math.nan}},
        {"detector": None},
        {"detector": {"first_class": "1"}},
        {"detector": {"first_class": 0.5}},
        {"detector": {"first_class": 10**9}},
        {"detector": {"first_class": -1}},
        {"detector": {"resizer": {"height": "tall"}}},
        {"detector": {"resizer": {"min_dimension": "9" * 5000}}},
        {"detector": {"beta_nms": None}},
        {"detector": {"beta_nms": math.inf}},
        {"detector": {"resize": ["stretch"]}},
        {"detector": {"suppression": []}},
        {"detector": {"suppression": {key: value for key, value in SUPPRESSION.items() if key != "iou"}}},
        {"detector": {"suppression": SUPPRESSION | {"limit": "100"}}},
        {"versions": {"zoo": 1}},
        {"versions": []},
        {"verdicts": ["pass"]},
        {"verdicts": [{"files": {"model.onnx": ["0"]}}]},
    ],
)
def test_a_malformed_manifest_is_refused(artifact: Artifact, change: dict[str, object]) -> None:
    path = artifact.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError, match=r"artifact\.json is not a manifest of zoo"):
        read_artifact(artifact.folder)


def test_what_a_detector_says_is_read_back(artifact: Artifact) -> None:
    detector = {"first_class": 1, "pad": [0, 127.5, 255], "resizer": {"kind": "any"}, "suppression": SUPPRESSION}
    told = dataclasses.replace(artifact, detector=detector, options={"batch": None, "nms": False, "size": [480, 640]})
    told.write()
    assert read_artifact(artifact.folder) == told


def test_a_wrong_type_is_named_with_its_place(artifact: Artifact) -> None:
    path = artifact.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": ["cow", 1]}))
    with pytest.raises(UsageError, match=r"labels\[1\]: expected a text, found 1"):
        read_artifact(artifact.folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(UsageError):
        read_artifact(tmp_path)
