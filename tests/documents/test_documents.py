"""What the README and docs/ tell people to type works: every command is run, every piece of Python too."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import OPENCV4, ROOT
from tests.documents.desk import lay, stand_ins, type_in
from tests.documents.reading import Command, commands, links, named, python_blocks
from tests.documents.rules import RULES
from tests.schemas import problems_in
from tests.test_architecture import MAY_IMPORT, sources
from zoo.verify.speed import EFFORTS

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "shapes" / "README.md"]
MISSING = 5  # the exit code where a device or package that is asked for is not here
# What is run beside zoo; other scripts take minutes, ask the network, or write into the project.
RUN = {"zoo.darknet.coverage", "examples/opencv/detect.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def expected_code(command: Command) -> int:
    lacks_gpu = "cuda" in command.text and shutil.which("nvidia-smi") is None
    lacks_opencv4 = "ZOO_OPENCV_PYTHON" in command.variables and not OPENCV4.is_file()
    return MISSING if lacks_gpu or lacks_opencv4 else 0


def to_run(path: Path) -> list[Command]:
    """The commands of a document that are run here, in its order; then those within its sentences."""
    told = [command for command in commands(path) if command.program == "zoo" or RUN & set(command.words)]
    return told + [command for command in named(path, ("python",)) if RUN & set(command.words)]


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


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if to_run(path)], ids=name_of)
def test_commands(path: Path, at_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the document's order: a later command may need what an earlier one made. What they write obeys its schema."""
    wrong = []
    for command in to_run(path):
        code, said = type_in(command, at_desk, monkeypatch)
        if code != expected_code(command):
            wrong.append(f"{command.text}: exit code {code}\n{said}")
    wrong += problems_in(at_desk)
    assert not wrong, "\n".join(wrong)


def test_the_shell_completes_after_what_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = named(ROOT / "README.md", ("eval",))
    code, said = type_in(Command(f"{command.text}; complete -p zoo"), tmp_path, monkeypatch)
    assert code == 0 and said.startswith("complete "), said


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if python_blocks(path)], ids=name_of)
def test_python(path: Path, at_desk: Path) -> None:
    names: dict[str, object] = {}
    for block in python_blocks(path):
        exec(compile(block, path.name, "exec"), names)  # noqa: S102 - our own documents


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    assert not [target for target in links(path) if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_what_commands_name_exists(path: Path) -> None:
    """Also of commands that are not run, and of those within sentences."""
    wrong = [f"{command.text}: {problem(command)}" for command in (*commands(path), *named(path, RULES))]
    assert not [line for line in wrong if not line.endswith(": ")]


def problem(command: Command) -> str:
    rule = RULES.get(command.program)
    return rule(command.words) if rule else f"there is no rule for the program {command.program!r}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("git clone zoo", "no rule for the program 'git'"),
        ("zoo convrt yolov3", "no command convrt"),
        ("zoo cache verify --removed", "verify has no option --removed"),
        ("make tset", "No rule to make target"),
        ("pip install 'detector-zoo[cpu,onnx]'", "no extra onnx"),
        ("pip install flask", "flask is in no constraints"),
        ("ZOO_HOME=x python -m benchmarks.nothing", "no benchmarks.nothing"),
        ("python benchmarks/speed_same_file.py --rounds 5", "unrecognized arguments: --rounds"),
        ("python -m zoo.darknet.coverage --all", "it takes no options"),
        ("curl 'http://127.0.0.1:8260/v1/detect?modle=a'", "the API has no"),
        ("c++ examples/opencv/detekt.cpp", "no such source"),
    ],
)
def test_a_wrong_command_would_be_noticed(text: str, told: str) -> None:
    assert told in problem(Command(text))


def test_the_errors_of_the_troubleshooting_page_exist() -> None:
    """Each is quoted from a message of zoo's own code; a foreign one says so by its library's name."""
    code = "\n".join(path.read_text() for room in MAY_IMPORT for path in sources(room))
    quoted = re.findall(r"\*\*\"([^\"]+)\"\*\*", (ROOT / "docs" / "troubleshooting.md").read_text())
    assert quoted
    assert not [text for text in quoted if text not in code and not text.startswith("libGL")]
