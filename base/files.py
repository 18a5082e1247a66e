"""Writing files so that a reader sees the old content or the whole new one, never a part; and hashing them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo.base.errors import UsageError

CHUNK = 1 << 20  # bytes; large enough that Python's cost per chunk disappears beside hashing


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary beside `path` for writing; rename it to `path` on success, remove it on any error.

    A link at `path` is replaced, never followed: it may lead out of the folder. Raises UsageError where a pipe or a
    device is there.
    """
    if _is_special(path, follow_symlinks=False):
        raise UsageError(f"{path} is no ordinary file, and is not replaced by one", hint="name another, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600; an artifact is an ordinary file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def named_file(path: Path) -> Iterator[BinaryIO]:
    """As `atomic_file`, for a file that the user names: a link is followed, and a pipe or a device, such as
    /dev/stdout, is written to as it is."""
    if not _is_special(path):
        with atomic_file(Path(os.path.realpath(path))) as file:
            yield file
        return
    with path.open("wb") as file:
        yield file


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; move its files into `path` on success, remove it on any error.

    `path` may exist: files of the same name are replaced one by one (each atomically), others stay.
    """
    created = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".zoo-", dir=path))
    try:
        yield temporary
        for item in sorted(temporary.iterdir()):
            target = path / item.name
            if target.is_dir():
                shutil.rmtree(target)
            item.replace(target)
        temporary.rmdir()
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if created and not any(path.iterdir()):
            path.rmdir()
        raise


def _is_special(path: Path, *, follow_symlinks: bool = True) -> bool:
    """True for what is there and is neither file, folder nor link: a pipe, a device, a socket."""
    try:
        mode = path.stat(follow_symlinks=follow_symlinks).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
