"""What the disk does wrong, and what lies on it already: room, rights, damage, files put there by hand, offline."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, sha256
from tests.fetch.server import content
from zoo.base.errors import FetchError
from zoo.catalog.store import Store
from zoo.fetch import power, record
from zoo.fetch.part import Part

BODY = random.Random(3).randbytes(200_000)
KEY = f"sha256-{sha256(BODY)}"


def damage(path: Path, *, keep_times: bool = False) -> None:
    """Change one byte of a file and not its size; with `keep_times` set its time back."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@contextmanager
def without_root() -> Iterator[None]:
    """Rights count inside, even where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """A folder that a process without any rights may look into, with all the folders above it."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path(folder.anchor):
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


@pytest.mark.parametrize("where", ["source", "blob"])
@pytest.mark.parametrize("keep_times", [False, True])
def test_a_file_damaged_at_the_same_size_is_fetched_again(
    served: Served, fetching: Fetching, where: str, keep_times: bool
) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    path = fetching(card).path("weights")
    damage(path if where == "source" else fetching.store.blob(sha256(BODY)), keep_times=keep_times)
    assert fetching(card).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 2
    assert fetching.store.blob(sha256(BODY)).read_bytes() == BODY
    assert [event.file for event in fetching.told("damaged")] == ["m.weights"]


def test_a_removed_file_comes_from_the_store(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    fetching(card).path("weights").unlink()
    assert fetching(card, offline=True).path("weights").read_bytes() == BODY


def test_a_file_that_only_looks_different_is_not_fetched_again(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    os.utime(fetching(card).path("weights"))
    fetching(card)
    assert len(served.script.requests) == 1
    assert not fetching.told("damaged")


@pytest.mark.parametrize("lost", [False, True])
def test_after_another_boot_files_are_hashed_again(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """A power failure lost what had not reached the disk, and left the file as long as it was."""
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    path = fetching(card).path("weights")
    stamp = record.stamp_of(path)
    if lost:
        damage(path)
        text = fetching.store.record("model").read_text()
        for before, now in zip(stamp[:-1], record.stamp_of(path), strict=False):
            text = text.replace(str(before), str(now))  # nothing but the boot tells
        fetching.store.record("model").write_text(text)
        assert fetching(card).path("weights").read_bytes() != BODY
    monkeypatch.setattr(record, "boot_identity", lambda: "another")
    assert fetching(card).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 1 + lost
    assert fetching(card).path("weights").read_bytes() == BODY


def test_bytes_are_forced_out_where_boots_cannot_be_told_apart(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    monkeypatch.setattr(power, "boot_identity", lambda: "")
    monkeypatch.setattr(os, "fsync", lambda descriptor: forced.append(os.fstat(descriptor).st_size))
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url())))
    assert forced == [len(BODY)]


def test_a_damaged_record_is_made_again_without_a_download(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    fetching(card)
    fetching.store.record("model").write_text("{")
    assert fetching(card).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 1


def test_a_record_cannot_point_out_of_the_store(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    fetching(card)
    record = fetching.store.record("model")
    record.write_text(record.read_text().replace('"m.weights"', '"../../outside"'))
    assert [file.path.name for file in fetching(card).files] == ["m.weights"]


def test_a_card_with_another_hash_is_another_file(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url())))
    served.script.on("/m.weights", content(BODY[::-1]))
    assert fetching(a_card(a_file(BODY[::-1], served.url()))).path("weights").read_bytes() == BODY[::-1]


def test_offline_with_the_file(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    fetching(card)
    assert fetching(card, offline=True).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 1


def test_offline_without_the_file(served: Served, fetching: Fetching) -> None:
    with pytest.raises(FetchError) as caught:
        fetching(a_card(a_file(BODY, served.url())), offline=True)
    text = str(caught.value)
    assert f"{served.url()}\n      not asked: offline" in text
    assert "run again without --offline, or get the file by hand" in text
    assert served.script.requests == []
    assert fetching.has_nothing()


def test_a_file_put_there_by_hand_is_taken(fetching: Fetching) -> None:
    path = fetching.store.source_folder("model") / "m.weights"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert fetching(a_card(a_file(BODY)), offline=True).path("weights") == path
    assert fetching.told("adopted")
    assert fetching.store.blob(sha256(BODY)).read_bytes() == BODY


def test_a_link_put_there_by_hand_is_taken_as_a_copy(fetching: Fetching, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(BODY)
    path = fetching.store.source_folder("model") / "m.weights"
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "mine")
    assert fetching(a_card(a_file(BODY))).path("weights").read_bytes() == BODY
    assert not path.is_symlink()
    assert path.stat().st_ino != (tmp_path / "mine").stat().st_ino


def test_a_wrong_file_put_there_by_hand_is_told_of(fetching: Fetching) -> None:
    path = fetching.store.source_folder("model") / "m.weights"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(FetchError) as caught:
        fetching(a_card(a_file(BODY, page="https://example.org/page")))
    text = str(caught.value)
    assert f"{path}\n      another content: 14 bytes with sha256 {sha256(b'something else')}" in text
    assert "no place to download it from is known" in text
    assert "on this page, for people: https://example.org/page" in text
    assert path.read_bytes() == b"something else"


def test_too_little_room_is_seen_before_anything_is_asked(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 24))
    served.script.on("/m.weights", content(BODY))
    with pytest.raises(FetchError, match=r"not enough room in .*: 0\.2 MB are needed, 16\.8 MB are free") as caught:
        fetching(a_card(a_file(BODY, served.url())))
    assert caught.value.exit_code == 3
    assert "zoo cache prune" in caught.value.hint
    assert served.script.requests == []
    assert fetching.has_nothing()


def test_too_little_room_for_an_announced_size(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 24))
    served.script.on("/m.weights", content(BODY))
    with pytest.raises(FetchError, match="not enough room"):
        fetching(a_card(a_file(None, served.url())))
    assert fetching.has_nothing()


def test_a_disk_that_becomes_full(served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is kept, and the next run goes on from there."""
    served.script.on("/m.weights", content(BODY))
    append = Part.append

    def full(part: Part, chunk: bytes) -> None:
        if part.size + len(chunk) > 100_000:
            append(part, chunk[: 100_000 - part.size])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(part, chunk)

    card = a_card(a_file(BODY, served.url()))
    with monkeypatch.context() as patch:
        patch.setattr(Part, "append", full)
        with pytest.raises(FetchError, match="No space left on device") as caught:
            fetching(card)
    assert caught.value.exit_code == 3
    assert "what has come so far is kept" in caught.value.hint
    assert fetching.parts()[f"{KEY}.part"] == 100_000
    assert fetching(card).path("weights").read_bytes() == BODY
    assert served.script.requests[-1].headers["range"] == "bytes=100000-"


def test_a_store_that_cannot_be_written(served: Served, fetching: Fetching, readable: Path) -> None:
    served.script.on("/m.weights", content(BODY))
    fetching.store.root.mkdir(mode=0o555)
    with (
        without_root(),
        pytest.raises(FetchError, match=r"cannot write to the store at .*: Permission denied") as caught,
    ):
        fetching(a_card(a_file(BODY, served.url())))
    assert caught.value.exit_code == 3
    assert "ZOO_HOME" in caught.value.hint
    assert fetching.has_nothing()
    assert served.script.requests == []


def test_a_store_that_can_only_be_read_serves_what_it_has(served: Served, fetching: Fetching, readable: Path) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    path = fetching(card).path("weights")
    os.utime(path)  # it has to be hashed again, and that cannot be noted
    folders = [Path(folder) for folder, _, _ in os.walk(fetching.store.root)]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with without_root():
            assert fetching(card).path("weights").read_bytes() == BODY
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert len(served.script.requests) == 1


def test_a_store_below_a_file(tmp_path: Path, fetching: Fetching) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "m.weights").write_bytes(BODY)
    card = a_card(a_file(BODY, (tmp_path / "m.weights").as_uri()))
    with pytest.raises(FetchError, match=r"cannot write to the store at .*: Not a directory"):
        fetching(card, store=Store(tmp_path / "file" / "store"))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "not an ordinary file"),
        (lambda path: os.mkfifo(path), "not an ordinary file"),
    ],
    ids=["missing", "folder", "pipe"],
)
def test_a_file_url_that_is_no_file(tmp_path: Path, fetching: Fetching, make: object, why: str) -> None:
    path = tmp_path / "m.weights"
    make(path)  # type: ignore[operator]
    with pytest.raises(FetchError, match=why):
        fetching(a_card(a_file(BODY, path.as_uri())))


def test_a_file_url_of_another_machine(fetching: Fetching) -> None:
    with pytest.raises(FetchError, match=r"a file url on another machine \(server\)"):
        fetching(a_card(a_file(BODY, "file://server/share/m.weights")))
