"""zoo.lock: what it keeps, where it lies, and two processes that write it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.schemas import WRITTEN, problems
from zoo.base.errors import UsageError
from zoo.catalog.exclusive import exclusive
from zoo.catalog.lock import Locked, LockFile, default_path

ENTRY = Locked("ab" * 32, 5, "https://example.org/m")


def test_what_is_added_is_there(tmp_path: Path) -> None:
    lock_file = LockFile(tmp_path / "zoo.lock")
    assert lock_file.get("m", "f") is None
    assert lock_file.add("m", "f", ENTRY) == ENTRY
    assert lock_file.get("m", "f") == ENTRY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo.lock"]


def test_the_first_entry_wins(tmp_path: Path) -> None:
    lock_file = LockFile(tmp_path / "zoo.lock")
    lock_file.add("m", "f", ENTRY)
    assert lock_file.add("m", "f", Locked("cd" * 32, 6)) == ENTRY


def test_the_file_is_stable_and_sorted(tmp_path: Path) -> None:
    one, two = LockFile(tmp_path / "one"), LockFile(tmp_path / "two")
    for name in ("a", "b", "c"):
        one.add(name, "f", ENTRY)
    for name in ("c", "a", "b"):
        two.add(name, "f", ENTRY)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.path.read_bytes().endswith(b"}\n")
    content = json.loads(one.path.read_bytes())
    assert problems(content, WRITTEN["zoo.lock"]) == []
    del content["models"]["b"]["f"]["sha256"]
    assert problems(content, WRITTEN["zoo.lock"]) == ["$.models.b.f: 'sha256' is a required property"]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=LockFile(tmp_path / "zoo.lock").add, args=(f"m{index}", "f", ENTRY))
        for index in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(LockFile(tmp_path / "zoo.lock").get(f"m{index}", "f") == ENTRY for index in range(20))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 2, "models": {}}',
        '{"schema": 1}',
        '{"schema": 1, "models": {"m": {"f": {"sha256": "xx", "size": 1}}}}',
        '{"schema": 1, "models": {"m": {"f": {"sha256": 5}}}}',
        '{"schema": 1, "models": {"m": 5}}',
    ],
)
def test_a_damaged_lock_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "zoo.lock").write_text(text)
    with pytest.raises(UsageError, match=r"the lock file .*zoo\.lock cannot be read"):
        LockFile(tmp_path / "zoo.lock").get("m", "f")


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("ZOO_LOCK", raising=False)
    assert default_path() == below / "zoo.lock"
    (tmp_path / "a" / "zoo.yaml").write_text("schema: 1\n")
    assert default_path() == tmp_path / "a" / "zoo.lock"
    (tmp_path / "zoo.lock").write_text("")
    assert default_path() == tmp_path / "zoo.lock"
    monkeypatch.setenv("ZOO_LOCK", "mine.lock")
    assert default_path() == below / "mine.lock"


def test_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter() -> None:
        with exclusive(tmp_path / "locks" / "x.lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert not list((tmp_path / "locks").iterdir())


def test_who_waits_may_give_up(tmp_path: Path) -> None:
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    with exclusive(tmp_path / "x.lock"), pytest.raises(GivenUp), exclusive(tmp_path / "x.lock", waiting=give_up):
        pytest.fail("two are inside")
