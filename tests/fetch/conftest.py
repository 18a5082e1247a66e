"""Fixtures of the fetch tests: a scripted server, and a fetch with a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fetch.making import Fetching
from tests.fetch.server import Script, running


@dataclass(frozen=True)
class Served:
    """A running server: `script` says what it does, `url(path)` where."""

    script: Script
    base: str

    def url(self, path: str = "/m.weights") -> str:
        return self.base + path


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, mirror or lock file of the machine takes part; the working folder is the test's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("ZOO_MIRROR", "ZOO_LOCK", "ZOO_TIMEOUT", "ZOO_ALLOW_PRIVATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served() -> Iterator[Served]:
    script = Script()
    with running(script) as base:
        yield Served(script, base)


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    return Fetching(tmp_path)
