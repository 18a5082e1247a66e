"""One model: what of it is there, and putting it together from the contents in the store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import FetchError
from zoo.catalog.cards import Card, CardFile
from zoo.catalog.exclusive import exclusive
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.archive import Extracted, Unsound, extract
from zoo.fetch.blobs import Blob, commit, place_link
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


def look_at(card: Card, store: Store, lock_file: LockFile | None) -> tuple[list[Kept], list[CardFile], list[str]]:
    """(what is there and right, files to be fetched, names of files that are damaged) of a model.

    `lock_file` is asked for the hashes of unpinned files.
    """
    folder = store.source_folder(card.name)
    record = read_record(store, card.name)
    there: list[Kept] = []
    missing: list[CardFile] = []
    damaged: list[str] = []
    for file in card.files:
        kept = [entry for entry in record if file.name in (entry.name, entry.archive) and _fits(entry, file)]
        broken = [entry.name for entry in kept if not entry.is_intact(folder)]
        locked = lock_file.get(card.name, file.name) if lock_file and not file.is_pinned else None
        judge = file.judge or (("sha256", locked.sha256) if locked else None)
        if _is_complete(kept, file, judge) and not broken:
            there += kept
        else:
            missing.append(file)
            damaged += broken
    return there, missing, damaged


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


def refresh(card: Card, store: Store, there: list[Kept]) -> None:
    """Note how files look that had to be hashed to be believed, so that the next look is quick again."""
    folder = store.source_folder(card.name)
    stamped = [entry.stamped(folder) for entry in there]
    if stamped != there:
        with contextlib.suppress(OSError):  # a store that is only read works too
            write_record(store, card.name, tuple(stamped))


def fetched(card: Card, store: Store, kept: list[Kept]) -> FetchedModel:
    folder = store.source_folder(card.name)
    files = tuple(FetchedFile(entry.role, folder / entry.name, entry.digests["sha256"], entry.size) for entry in kept)
    return FetchedModel(card, folder, files)


def assemble(card: Card, store: Store, there: list[Kept], blobs: dict[str, Blob]) -> FetchedModel:
    """Put new contents (file name → blob) beside what is there, under their own names, and write it down.

    Raises FetchError where an archive is not what it should be; nothing of it is left then.
    """
    folder = store.source_folder(card.name)
    with exclusive(store.lock(f"model-{card.name}")):
        kept = list(there)
        for file in card.files:
            if file.name in blobs:
                kept += _placed(card, file, blobs[file.name], store)
        kept = [entry.stamped(folder) for entry in kept]
        write_record(store, card.name, tuple(kept))
    return fetched(card, store, kept)


def _placed(card: Card, file: CardFile, blob: Blob, store: Store) -> list[Kept]:
    folder = store.source_folder(card.name)
    members = _members(card, file, blob, store)
    place_link(blob.path, folder / file.name)
    kept = [Kept(file.role, file.name, blob.size, blob.digests, url=blob.url)]
    for member, content in members:
        place_link(content.path, folder / member.name)
        kept.append(Kept(member.role, member.name, member.size, member.digests, file.name, member.spec))
    return kept


def _members(card: Card, file: CardFile, blob: Blob, store: Store) -> list[tuple[Extracted, Blob]]:
    """The members of an archive, each a content in the store."""
    if not file.members:
        return []
    store.part("x").parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="extract-", dir=store.part("x").parent))
    try:
        out = extract(blob.path, file.members, temporary)
        return [(member, commit(store, member.path, member.digests, "", None)) for member in out]
    except Unsound as error:
        raise FetchError(
            f"{card.name}: {file.name} (sha256 {blob.sha256}) cannot be unpacked: {error}",
            hint="the catalog and the archive do not belong together: see zoo show " + card.name,
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
