"""One model: what of it is there and right, and what is missing. Reads the store, asks nobody, brings nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import FetchError
from zoo.catalog.cards import Card, CardFile
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.record import Kept, read_record, write_record


@dataclass(frozen=True)
class FetchedFile:
    """An original file on disk; `role` as on the card, `size` in bytes."""

    role: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class FetchedModel:
    """A model whose original files are all there and checked. They lie in `folder` under their own names."""

    card: Card
    folder: Path
    files: tuple[FetchedFile, ...]

    def path(self, role: str) -> Path:
        """The file with a role ("weights", "cfg", "names", "frozen_graph", …), or the folder for "saved_model".

        Raises FetchError where the model has none.
        """
        found = [file.path for file in self.files if file.role == role]
        if not found:
            roles = ", ".join(dict.fromkeys(file.role for file in self.files))
            raise FetchError(f"{self.card.name} has no {role!r}; it has: {roles}")
        inside = found[0].relative_to(self.folder)
        return self.folder / inside.parts[0] if len(inside.parts) > 1 else found[0]

    def has(self, role: str) -> bool:
        return any(file.role == role for file in self.files)


@dataclass(frozen=True)
class Found:
    """What was found of a model: files that are there and right, files to be fetched, names of damaged ones."""

    card: Card
    there: tuple[Kept, ...]
    missing: tuple[CardFile, ...]
    damaged: tuple[str, ...]


def look_at(card: Card, store: Store, lock_file: LockFile) -> Found:
    """Compare a model's card with what the store holds of it. `lock_file` has the hashes of unpinned files."""
    folder = store.source_folder(card.name)
    record = read_record(store, card.name)
    there: list[Kept] = []
    missing: list[CardFile] = []
    damaged: list[str] = []
    for file in card.files:
        kept = [entry for entry in record if file.name in (entry.name, entry.archive) and _fits(entry, file)]
        broken = [entry.name for entry in kept if not entry.is_intact(folder)]
        locked = None if file.is_pinned else lock_file.get(card.name, file.name)
        judge = file.judge or (("sha256", locked.sha256) if locked else None)
        if _is_complete(kept, file, judge) and not broken:
            there += kept
        else:
            missing.append(file)
            damaged += broken
    return Found(card, tuple(there), tuple(missing), tuple(damaged))


def _fits(entry: Kept, file: CardFile) -> bool:
    """False for what an earlier card with the same names wanted."""
    return not entry.archive or entry.spec in {member.path for member in file.members}


def _is_complete(kept: list[Kept], file: CardFile, judge: tuple[str, str] | None) -> bool:
    """True where the file is there with the wanted content, and all that was to come out of it."""
    whole = next((entry for entry in kept if not entry.archive), None)
    if whole is None or (judge and whole.digests.get(judge[0]) != judge[1]):
        return False
    if file.size is not None and whole.size != file.size:
        return False
    by_spec = {entry.spec: entry for entry in kept if entry.archive}
    for member in file.members:
        entry = by_spec.get(member.path)
        if entry is None and not member.optional:
            return False
        if entry and any(entry.digests.get(name) not in (None, digest) for name, digest in member.hashes.items()):
            return False
    return True


def refresh(card: Card, store: Store, there: tuple[Kept, ...]) -> None:
    """Note how files look that had to be hashed to be believed, so that the next look is quick again."""
    folder = store.source_folder(card.name)
    stamped = tuple(entry.stamped(folder) for entry in there)
    if stamped != there:
        with contextlib.suppress(OSError):  # a store that is only read works too
            write_record(store, card.name, stamped)


def fetched(card: Card, store: Store, kept: tuple[Kept, ...]) -> FetchedModel:
    folder = store.source_folder(card.name)
    files = tuple(FetchedFile(entry.role, folder / entry.name, entry.digests["sha256"], entry.size) for entry in kept)
    return FetchedModel(card, folder, files)
