"""One file that is wanted: what it must be, and where it may come from."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from zoo.catalog.cards import Card, CardFile
from zoo.catalog.lock import Locked
from zoo.catalog.store import Store
from zoo.fetch.places import Place, places_of


@dataclass(frozen=True)
class Wanted:
    """A file of a model. `judge` is the (algorithm, digest) that its content must have; None: not known yet.

    `size` is in bytes, where known; `path` is where it will lie, and where a person may put it by hand.
    """

    model: str
    file: CardFile
    judge: tuple[str, str] | None
    size: int | None
    places: tuple[Place, ...]
    path: Path

    @property
    def key(self) -> str:
        """The identity under which the download is locked and continued: models that share a file share it."""
        if self.judge:
            return "-".join(self.judge)
        return "unpinned-" + hashlib.sha256(f"{self.model}/{self.file.name}".encode()).hexdigest()

    @property
    def expected(self) -> str:
        """What the file must be, in words."""
        size = f"{self.size} bytes" if self.size else self.file.size_about and f"about {self.file.size_about}"
        return ", ".join(filter(None, [self.judge and f"{self.judge[0]} {self.judge[1]}", size]))

    def with_lock(self, locked: Locked) -> Wanted:
        """The same file, of which the lock file now knows the content."""
        return dataclasses.replace(self, judge=("sha256", locked.sha256), size=locked.size)

    def verdict(self, digests: dict[str, str], size: int) -> str:
        """Why a content is not the wanted one, in words; "" where it is."""
        sha256 = digests.get("sha256", "")
        received = f"{size} bytes with sha256 {sha256}"
        if self.judge and digests[self.judge[0]] != self.judge[1]:
            known = next((f" ({other.what})" for other in self.file.others if other.sha256 == sha256), "")
            weaker = "" if self.judge[0] == "sha256" else f", {self.judge[0]} {digests[self.judge[0]]}"
            return f"another content: {received}{weaker}{known}"
        if self.size is not None and size != self.size:
            return f"another size: {received}"
        return "an empty file" if not size else ""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What to compute: sha256, the name of the content in the store, and what the file is judged by."""
        return tuple(dict.fromkeys(["sha256", *([self.judge[0]] if self.judge else [])]))


def wanted_file(card: Card, file: CardFile, locked: Locked | None, store: Store, mirrors: tuple[str, ...]) -> Wanted:
    """What is wanted of `file`: by the card, or where that has no hash, by the lock file."""
    pinned = file.is_pinned or locked is not None
    wanted = Wanted(
        model=card.name,
        file=file,
        judge=file.judge,
        size=file.size,
        places=places_of(card.name, file, mirrors, pinned=pinned),
        path=store.source_folder(card.name) / file.name,
    )
    return wanted.with_lock(locked) if locked and not file.is_pinned else wanted
