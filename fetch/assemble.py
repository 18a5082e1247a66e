"""Putting a model together: its new contents under their own names, the members out of its archives, the record."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from zoo.base.errors import FetchError
from zoo.catalog.cards import Card, CardFile
from zoo.catalog.exclusive import exclusive
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.archive import Extracted, Unsound, extract
from zoo.fetch.blobs import Blob, commit, place_link
from zoo.fetch.model import FetchedModel, Found, fetched, look_at
from zoo.fetch.record import Kept, write_record


def assemble(found: Found, store: Store, lock_file: LockFile, blobs: dict[str, Blob]) -> FetchedModel:
    """Put new contents (file name → blob) beside what is there, under their own names, and write it down.

    Raises FetchError where an archive is not what it should be; nothing of it is left then.
    """
    card, folder = found.card, store.source_folder(found.card.name)
    with exclusive(store.lock(f"model-{card.name}")):
        now = look_at(card, store, lock_file)
        if not now.missing:
            return fetched(card, store, now.there)  # another process was first
        kept = list(found.there)
        for file in card.files:
            if file.name in blobs:
                kept += _placed(card, file, blobs[file.name], store)
        stamped = tuple(entry.stamped(folder) for entry in kept)
        write_record(store, card.name, stamped)
    return fetched(card, store, stamped)


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
