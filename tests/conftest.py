"""Shared fixtures. Recorded data of real programs lies outside the project: `ZOO_TEST_DATA`, default ../shared.

Tests that need it take the fixture `data`. Where it is missing they skip, and say so loudly at the end; in CI
(`CI` is set) a missing folder is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ZOO_TEST_DATA") or ROOT.parent / "shared").resolve()
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recorded test data; skips, or in CI fails, where it is not there."""
    if not (DATA / "goldens").is_dir():
        message = f"test data missing: {DATA} (set ZOO_TEST_DATA)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    return DATA


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's store or catalog."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.mktemp("zoo-home")))
    monkeypatch.delenv("ZOO_CATALOG", raising=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not (DATA / "goldens").is_dir():
        terminalreporter.section("TEST DATA MISSING", sep="!", red=True, bold=True)
        terminalreporter.line(f"{DATA} is not there: every test against recorded outputs was skipped.")
