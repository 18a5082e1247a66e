"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from zoo.base.errors import UsageError
from zoo.base.files import atomic_file, atomic_folder, named_file, sha256_of


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


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    with atomic_file(tmp_path / "link") as file:
        file.write(b"ours")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "outside").read_bytes() == b"theirs"


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no ordinary file"), atomic_file(tmp_path / "pipe"):
        pass
    assert names_in(tmp_path) == ["pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_the_user_names_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    for target in ("old", "new"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        with named_file(tmp_path / "link") as file:
            file.write(b"result")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / target).read_bytes() == b"result"
    assert names_in(tmp_path) == ["link", "new", "old"]


def test_a_file_that_the_user_names_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with named_file(pipe) as file:
        file.write(b"result")
    reader.join(10)
    assert read == [b"result"]
    assert pipe.is_fifo()


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
