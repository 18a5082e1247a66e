"""Small cards, stores and looks at the disk, for the tests of the fetch stage."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from zoo.base.errors import FetchError
from zoo.catalog.cards import Card, CardFile
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch import Event, FetchedModel, Options, fetch_many
from zoo.fetch.limits import Limits

# As patient as a test can be.
QUICK = Limits(connect_timeout=2.0, read_timeout=0.3, tries=3, backoff=0.01, longest_wait=1.0, chunk=1 << 14)


@cache
def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def a_file(body: bytes | None, *urls: str, name: str = "m.weights", role: str = "weights", **more: Any) -> CardFile:
    """A card's file, pinned to `body`; unpinned where that is None."""
    pinned = {} if body is None else {"hashes": {"sha256": sha256(body)}, "size": len(body)}
    return CardFile(role=role, name=name, urls=urls, **{**pinned, **more})


def a_card(*files: CardFile, name: str = "model") -> Card:
    return Card(name=name, family="darknet", task="detection", files=files)


class Fetching:
    """Fetches with one store and one lock file, and remembers the events."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.lock_file = LockFile(folder / "zoo.lock")
        self.events: list[Event] = []

    def __call__(self, *cards: Card, limits: Limits = QUICK, **more: Any) -> FetchedModel:
        options = Options(
            **{
                "store": self.store,
                "lock_file": self.lock_file,
                "limits": limits,
                "listener": self.events.append,
                **more,
            }
        )
        return fetch_many(cards, options)[0]

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def on_disk(self) -> dict[str, int]:
        """Every file of the store but records: path → size."""
        root = self.store.root
        files = {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}
        return {path: size for path, size in sorted(files.items()) if not path.startswith("records/")}

    def parts(self) -> dict[str, int]:
        """The unfinished downloads: file → size."""
        found = self.on_disk()
        return {path.removeprefix("parts/"): size for path, size in found.items() if path.startswith("parts/")}

    def has_nothing(self) -> bool:
        """True where the store holds no content, no model's file and no part."""
        return not self.on_disk()


def failure(fetching: Fetching, body: bytes | None, *urls: str, **more: Any) -> str:
    """Fetch what cannot be had; returns the message, which must say what is always needed."""
    with pytest.raises(FetchError) as caught:
        fetching(a_card(a_file(body, *urls)), **more)
    error = caught.value
    text = str(error)
    assert error.exit_code == 3
    assert "model: m.weights could not be fetched" in text
    assert all(url in text for url in urls)
    assert body is None or f"sha256 {sha256(body)}, {len(body)} bytes" in text
    assert f"put it at {fetching.store.source_folder('model') / 'm.weights'}" in text
    return text
