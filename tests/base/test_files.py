"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from zoo.base.files import atomic_file, atomic_folder, sha256_of


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()


def test_a_file_appears_whole_with_ordinary_permissions(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.onnx"
    with atomic_file(target) as file:
        file.write(b"content")
        assert not target.exists()
    assert target.read_bytes() == b"content"
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_file_leaves_the_old_one_and_no_part(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_file(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model.onnx"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_folder(target) as folder:
        (folder / "model.onnx").write_bytes(b"m")
        (folder / "parts").mkdir()
        assert not (target / "model.onnx").exists()
    assert names_in(target) == ["model.onnx", "parts"]


def test_a_folder_keeps_the_other_files_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "model.onnx").write_bytes(b"old")
    with atomic_folder(tmp_path) as folder:
        (folder / "model.onnx").write_bytes(b"new")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "model.onnx").read_bytes() == b"new"


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "model.onnx").write_bytes(b"half")
        raise RuntimeError
    assert not target.exists()
