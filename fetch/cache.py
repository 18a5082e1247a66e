"""Looking after the store: what lies in it, whether it still is what was fetched, and what can go.

Nothing here asks the network. What is removed was either damaged, unfinished, or used by no model.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import UsageError
from zoo.catalog.cards import ALGORITHMS
from zoo.catalog.exclusive import exclusive
from zoo.catalog.store import Store
from zoo.fetch.hashing import digests_of
from zoo.fetch.record import Kept, read_record

YOUNG = 3600.0  # seconds; a content that no model uses yet may belong to a fetch that is under way


@dataclass(frozen=True)
class Held:
    """A model in the store: its recorded files and their bytes."""

    name: str
    folder: Path
    files: tuple[Kept, ...]

    @property
    def size(self) -> int:
        return sum(kept.size for kept in self.files)


@dataclass(frozen=True)
class Usage:
    """What the store holds, in bytes. Contents shared by models count once in `contents`."""

    models: tuple[Held, ...]
    contents: int
    unused: int
    unfinished: int
    artifacts: int


@dataclass(frozen=True)
class Damage:
    """A file in the store that is not what it should be."""

    path: Path
    problem: str


def held_models(store: Store) -> list[Held]:
    names = sorted(path.stem for path in (store.root / "records").glob("*.json"))
    return [Held(name, store.source_folder(name), read_record(store, name)) for name in names]


def usage(store: Store) -> Usage:
    used = _used(store)
    sizes = {_identity(path): (path.stat().st_size, _identity(path) in used) for path in _blobs(store)}
    return Usage(
        models=tuple(held_models(store)),
        contents=sum(size for size, _ in sizes.values()),
        unused=sum(size for size, is_used in sizes.values() if not is_used),
        unfinished=_size_below(store.root / "parts"),
        artifacts=_size_below(store.root / "artifacts"),
    )


def verify(store: Store) -> Iterator[tuple[Path, Damage | None]]:
    """Hash everything again: (path, what is wrong or None) of every content and every file of a model."""
    sound: set[tuple[int, int]] = set()
    for path in _blobs(store):
        algorithm = path.parent.parent.name
        found = digests_of(path, (algorithm,))[algorithm]
        if found == path.name:
            sound.add(_identity(path))
            yield path, None
        else:
            yield path, Damage(path, f"its {algorithm} is {found}")
    for held in held_models(store):
        for kept in held.files:
            path = held.folder / kept.name
            yield path, None if path.is_file() and _identity(path) in sound else _damage(path, kept)


def _damage(path: Path, kept: Kept) -> Damage | None:
    if not path.is_file():
        return Damage(path, "it is missing")
    found = digests_of(path, ("sha256",))["sha256"]
    expected = kept.digests["sha256"]
    return None if found == expected else Damage(path, f"its sha256 is {found}, fetched was {expected}")


def prune(store: Store, names: tuple[str, ...] = (), *, dry_run: bool = False) -> list[Path]:
    """Remove the original files of the models `names`, unfinished downloads, and contents that no model uses.

    Artifacts stay. Returns what was (or with `dry_run` would be) removed. Raises UsageError for a model that is not
    in the store.
    """
    held = {model.name: model for model in held_models(store)}
    if unknown := [name for name in names if name not in held]:
        raise UsageError(f"not in the store: {', '.join(unknown)}", hint="zoo cache shows what is")
    released = {kept.digests["sha256"] for name in names for kept in held[name].files}
    removed = [path for name in names for path in (store.record(name), held[name].folder)]
    removed += _unfinished(store) + _leftovers(store)
    removed += _unused(store, names, released)
    if not dry_run:
        for path in removed:
            _remove(path)
    return removed


def _unused(store: Store, names: tuple[str, ...], released: set[str]) -> list[Path]:
    """Contents that no model but those in `names` uses; young ones only where such a model has just released them."""
    used = _used(store, without=names)
    just_released = {_identity(store.blob(sha256)) for sha256 in released if store.blob(sha256).is_file()}
    old = time.time() - YOUNG
    return [
        path
        for path in _blobs(store)
        if _identity(path) not in used and (path.stat().st_mtime < old or _identity(path) in just_released)
    ]


def _unfinished(store: Store) -> list[Path]:
    """Parts and temporary folders that no process is working on."""
    return [path for path in sorted((store.root / "parts").glob("*")) if not _is_busy(store, path)]


def _leftovers(store: Store) -> list[Path]:
    """Hidden temporary files that a killed process left beside what it was writing."""
    old = time.time() - YOUNG
    folders = [store.root / name for name in ("blobs", "sources", "records")]
    hidden = [path for folder in folders for path in sorted(folder.rglob(".*")) if path.is_file()]
    return [path for path in hidden if path.lstat().st_ctime < old]


def _is_busy(store: Store, path: Path) -> bool:
    """True where a process holds the lock of this download. Temporary folders have none: their age must tell."""
    if path.is_dir():
        return path.stat().st_mtime > time.time() - YOUNG
    try:
        with exclusive(store.lock(path.stem.lstrip(".")), waiting=_give_up):
            return False
    except _Busy:
        return True


class _Busy(Exception):
    """Another process holds the lock."""


def _give_up() -> None:
    raise _Busy


def _used(store: Store, without: tuple[str, ...] = ()) -> set[tuple[int, int]]:
    """The identities of the contents that models use."""
    wanted = {kept.digests["sha256"] for held in held_models(store) if held.name not in without for kept in held.files}
    return {_identity(path) for path in map(store.blob, wanted) if path.is_file()}


def _blobs(store: Store) -> list[Path]:
    return [
        path
        for algorithm in ALGORITHMS
        for path in sorted((store.root / "blobs" / algorithm).glob("*/*"))
        if not path.name.startswith(".")
    ]


def _identity(path: Path) -> tuple[int, int]:
    """What hard links to one content have in common."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _size_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
