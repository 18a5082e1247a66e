"""Shared fixtures. Recorded data of real programs lies outside the project: `ZOO_TEST_DATA`, default ../shared.

Tests that need it take the fixture `data`. Where it is missing they skip, and say so loudly at the end; in CI
(`CI` is set) a missing folder is a failure. The same holds for OpenCV 4, which `make test` puts into an environment of
its own, .venv-opencv4 (another one: `ZOO_OPENCV_PYTHON`), and the fixture `opencv4`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.verify.browser import find_browser

if TYPE_CHECKING:
    from tests.goldens.exports import Exports

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ZOO_TEST_DATA") or ROOT.parent / "shared").resolve()
OPENCV4 = Path(os.environ.get("ZOO_OPENCV_PYTHON") or ROOT / ".venv-opencv4" / "bin" / "python")
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_configure() -> None:
    """Give each process of a run (`-n 2`) its own cores: a runtime starts as many threads as it sees cores, and those
    of two processes on the same core wait for each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        own = cores[int(worker.removeprefix("gw")) % workers :: workers]
        os.sched_setaffinity(0, own or cores)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recorded test data; skips, or in CI fails, where it is not there."""
    if not (DATA / "goldens").is_dir():
        message = f"test data missing: {DATA} (set ZOO_TEST_DATA)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    return DATA


@pytest.fixture(scope="session")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """The TensorFlow detectors of the test data, as they are and as ONNX; the processes of a run share them."""
    from tests.goldens.exports import Exports

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return Exports(data / "models" / "tf", shared / "exports")


@pytest.fixture
def opencv4(monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python with OpenCV 4, known to the converter; skips, or in CI fails, where there is none."""
    if not OPENCV4.is_file():
        message = f"OpenCV 4 missing: {OPENCV4} (make .venv-opencv4/.ready, or set ZOO_OPENCV_PYTHON)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    monkeypatch.setenv("ZOO_OPENCV_PYTHON", str(OPENCV4))
    return str(OPENCV4)


@pytest.fixture(scope="session")
def browser() -> str:
    """The program of a real browser; skips where there is none. It is a system's package, which no index has."""
    found = find_browser()
    return found or pytest.skip("no Chromium here (apt-get install chromium)")


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's store or catalog."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path_factory.mktemp("zoo-home")))
    monkeypatch.delenv("ZOO_CATALOG", raising=False)
    monkeypatch.delenv("ZOO_OPENCV_PYTHON", raising=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not (DATA / "goldens").is_dir():
        terminalreporter.section("TEST DATA MISSING", sep="!", red=True, bold=True)
        terminalreporter.line(f"{DATA} is not there: every test against recorded outputs was skipped.")
    if not OPENCV4.is_file():
        terminalreporter.section("OPENCV 4 MISSING", sep="!", red=True, bold=True)
        terminalreporter.line(f"{OPENCV4} is not there: every test in OpenCV 4 was skipped.")
    if not find_browser():
        terminalreporter.section("NO BROWSER", sep="!", red=True, bold=True)
        terminalreporter.line("There is no Chromium: what a person sees of the pages was not tested.")
