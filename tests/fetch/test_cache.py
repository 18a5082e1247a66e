"""Looking after the store: what is counted, what is found damaged, what is removed and what is left alone."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, sha256
from tests.fetch.server import content, cut, stall
from tests.fetch.test_disk import damage
from tests.fetch.test_processes import wait_for
from zoo.base.errors import FetchError, UsageError
from zoo.fetch import cache

ONE, TWO, SHARED = (random.Random(seed).randbytes(size) for seed, size in ((1, 3000), (2, 5000), (3, 700)))


@pytest.fixture
def filled(served: Served, fetching: Fetching) -> Fetching:
    """A store with two models that share a file."""
    for path, body in (("/one", ONE), ("/two", TWO), ("/shared", SHARED)):
        served.script.on(path, content(body))
    shared = a_file(SHARED, served.url("/shared"), name="coco.names", role="names")
    fetching(a_card(a_file(ONE, served.url("/one")), shared, name="one"))
    fetching(a_card(a_file(TWO, served.url("/two")), shared, name="two"))
    return fetching


def blob_names(fetching: Fetching) -> set[str]:
    return {path.rpartition("/")[2] for path in fetching.on_disk() if path.startswith("blobs/")}


def age(path: Path) -> None:
    """Make a file look old enough to be nobody's work in progress."""
    os.utime(path, (time.time() - 2 * cache.YOUNG,) * 2)


def test_usage(filled: Fetching, served: Served) -> None:
    served.script.on("/cut", cut(TWO[::-1], 1000))
    with pytest.raises(FetchError):
        filled(a_card(a_file(TWO[::-1], served.url("/cut")), name="three"))
    found = cache.usage(filled.store)
    assert [(held.name, held.size) for held in found.models] == [("one", 3700), ("two", 5700)]
    assert found.contents == 3000 + 5000 + 700
    assert found.unused == 0
    assert 1000 < found.unfinished < 1300
    assert found.artifacts == 0


def test_a_sound_store(filled: Fetching) -> None:
    checked = list(cache.verify(filled.store))
    assert len(checked) == 3 + 4
    assert not [damage for _, damage in checked if damage]


def test_damage_that_no_stamp_shows_is_found(filled: Fetching) -> None:
    """Bits that rot on the disk change no time: only hashing tells. Here the record is made to believe them."""
    path = filled.store.source_folder("one") / "m.weights"
    damage(path)
    found = [entry for _, entry in cache.verify(filled.store) if entry]
    assert {entry.path for entry in found} == {path, filled.store.blob(sha256(ONE))}
    assert all("its sha256 is" in entry.problem for entry in found)


def test_a_missing_file_is_found(filled: Fetching) -> None:
    path = filled.store.source_folder("two") / "coco.names"
    path.unlink()
    assert [entry for _, entry in cache.verify(filled.store) if entry] == [cache.Damage(path, "it is missing")]


def test_nothing_in_use_is_pruned(filled: Fetching) -> None:
    for path in filled.store.root.rglob("*"):
        age(path)
    assert cache.prune(filled.store) == []


def test_a_pruned_model_leaves_what_others_use(filled: Fetching) -> None:
    would = cache.prune(filled.store, ("one",), dry_run=True)
    assert filled.store.source_folder("one").exists()
    assert cache.prune(filled.store, ("one",)) == would
    assert blob_names(filled) == {sha256(TWO), sha256(SHARED)}
    assert not filled.store.source_folder("one").exists()
    assert [held.name for held in cache.held_models(filled.store)] == ["two"]


def test_an_unknown_model_cannot_be_pruned(filled: Fetching) -> None:
    with pytest.raises(UsageError, match="not in the store: three"):
        cache.prune(filled.store, ("one", "three"))
    assert filled.store.source_folder("one").exists()


def test_a_young_content_may_be_somebodys(filled: Fetching) -> None:
    """Another process has downloaded it and is about to put its model together."""
    filled.store.record("one").unlink()
    assert cache.prune(filled.store) == []
    age(filled.store.blob(sha256(ONE)))
    assert cache.prune(filled.store) == [filled.store.blob(sha256(ONE))]


def test_unfinished_downloads_are_pruned_unless_they_go_on(filled: Fetching, served: Served) -> None:
    body = random.Random(4).randbytes(100_000)
    served.script.on("/slow", stall(body, 50_000, 1.0), content(body))
    card = a_card(a_file(body, served.url("/slow")), name="slow")
    part = filled.store.part(f"sha256-{sha256(body)}")
    thread = threading.Thread(target=filled, args=(card,))
    thread.start()
    wait_for(lambda: part.exists() and part.stat().st_size == 50_000)
    assert cache.prune(filled.store) == []
    thread.join()
    part.write_bytes(b"begun")
    assert cache.prune(filled.store) == [part]
    assert filled.parts() == {}


def test_leftovers_of_killed_processes_are_pruned(filled: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    leftover = filled.store.source_folder("one") / ".m.weights.123.abcd"
    leftover.write_bytes(b"x")
    unpacked = filled.store.part("x").parent / "extract-abc"
    unpacked.mkdir()
    assert cache.prune(filled.store) == []
    monkeypatch.setattr(cache, "YOUNG", -1.0)
    assert cache.prune(filled.store) == [unpacked, leftover]
    assert not unpacked.exists() and not leftover.exists()
