"""The manifest: what is written is read back, and a changed file or a foreign manifest is noticed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from zoo.base.artifact import MANIFEST, Artifact, FileRecord, TensorSpec, read_artifact
from zoo.base.errors import UsageError


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
        {"unknown": 1},
        {"inputs": None},
    ],
)
def test_a_malformed_manifest_is_refused(artifact: Artifact, change: dict[str, object]) -> None:
    path = artifact.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError, match=r"artifact\.json is not a manifest of zoo"):
        read_artifact(artifact.folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(UsageError):
        read_artifact(tmp_path)
