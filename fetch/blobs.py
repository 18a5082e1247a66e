"""The contents in the store: every one lies once, under its hash, and is only ever put there whole and checked."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from zoo.base.files import CHUNK, atomic_file
from zoo.catalog.store import Store
from zoo.fetch.hashing import digests_of
from zoo.fetch.wanted import Wanted


@dataclass(frozen=True)
class Blob:
    """A content in the store; `digests` are what was computed of it; `url` is where it came from, "" if unknown."""

    path: Path
    size: int
    digests: dict[str, str]
    url: str = ""

    @property
    def sha256(self) -> str:
        return self.digests["sha256"]


def found_blob(store: Store, wanted: Wanted) -> Blob | None:
    """The wanted content, if the store has it and it still is what it should be; a damaged one is removed."""
    if wanted.judge is None:
        return None
    algorithm, digest = wanted.judge
    named = store.blob(digest, algorithm)
    if not named.is_file():
        return None
    digests = digests_of(named, wanted.algorithms)
    if wanted.verdict(digests, named.stat().st_size):
        named.unlink()
        return None
    path = store.blob(digests["sha256"])
    if not path.is_file():
        place_link(named, path)
    return Blob(path, path.stat().st_size, digests)


def commit(store: Store, path: Path, digests: dict[str, str], url: str, judge: tuple[str, str] | None) -> Blob:
    """Move a checked file into the store. It appears under its name in one step, or not at all."""
    target = store.blob(digests["sha256"])
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    target.chmod(0o444)  # a model's own file is a link to this one: nobody should write to it by mistake
    if judge and judge[0] != "sha256":
        place_link(target, store.blob(judge[1], judge[0]))
    return Blob(target, target.stat().st_size, digests, url)


def take_in(store: Store, path: Path, digests: dict[str, str], judge: tuple[str, str] | None) -> Blob:
    """Make a checked file that a person put into a model's folder a content of the store; it stays where it is."""
    target = store.blob(digests["sha256"])
    if path.is_symlink():
        _copy(path, target)
    else:
        place_link(path, target)
    if judge and judge[0] != "sha256":
        place_link(target, store.blob(judge[1], judge[0]))
    return Blob(target, target.stat().st_size, digests)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, atomic_file(target) as writer:
        shutil.copyfileobj(reader, writer, CHUNK)


def place_link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, in one step: a hard link, or a copy where there can be none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        os.link(source, temporary)
    except OSError:
        _copy(source, target)
        return
    temporary.replace(target)
