"""What the README and docs/ tell people to type works: every command is run, every piece of Python too."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents.desk import lay, stand_ins, type_in
from tests.documents.reading import Command, commands, links, python_blocks
from tests.test_architecture import MAY_IMPORT, sources
from zoo.verify.speed import EFFORTS

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "shapes" / "README.md"]
NO_GPU = 5  # the exit code where a device that is asked for is not here
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def expected_code(command: Command) -> int:
    return NO_GPU if "cuda" in command.text and shutil.which("nvidia-smi") is None else 0


@pytest.fixture(scope="module")
def desk(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as monkeypatch:
        lay(folder, data, monkeypatch)
    return folder


@pytest.fixture
def at_desk(desk: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every document begins with an empty store: `zoo verify --all` means what that document has fetched. What is timed
    is timed shortly: that a command works is seen as well, and how sure its figures are is tested in tests/verify."""
    monkeypatch.setitem(EFFORTS, "full", EFFORTS["quick"])
    monkeypatch.chdir(desk)
    monkeypatch.setenv("ZOO_HOME", str(desk / "homes" / path.stem))
    monkeypatch.setenv("ZOO_CATALOG", str(stand_ins(path.read_text(), desk / f"{path.stem}.yaml")))
    return desk


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if commands(path, "zoo")], ids=name_of)
def test_commands(path: Path, at_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the document's order: a later command may need what an earlier one made."""
    wrong = []
    for command in commands(path, "zoo"):
        code, said = type_in(command.words, at_desk, monkeypatch)
        if code != expected_code(command):
            wrong.append(f"{command.text}: exit code {code}\n{said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if python_blocks(path)], ids=name_of)
def test_python(path: Path, at_desk: Path) -> None:
    names: dict[str, object] = {}
    for block in python_blocks(path):
        exec(compile(block, path.name, "exec"), names)  # noqa: S102 - our own documents


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    assert not [target for target in links(path) if not (path.parent / target).exists()]


def test_make_targets_exist() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    named = {words[1] for path in DOCUMENTS for one in commands(path, "make") if len(words := one.words) > 1}
    assert named and named <= targets


def test_the_errors_of_the_troubleshooting_page_exist() -> None:
    """Each is quoted from a message of zoo's own code; a foreign one says so by its library's name."""
    code = "\n".join(path.read_text() for room in MAY_IMPORT for path in sources(room))
    quoted = re.findall(r"\*\*\"([^\"]+)\"\*\*", (ROOT / "docs" / "troubleshooting.md").read_text())
    assert quoted
    assert not [text for text in quoted if text not in code and not text.startswith("libGL")]
