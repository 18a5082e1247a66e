"""Who may import whom. The stages stand side by side; only `pipeline` knows them all; nothing imports `cli`."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Room → the other rooms it may import.
MAY_IMPORT = {
    "base": set[str](),
    "darknet": {"base"},
    "vision": {"base"},
    "shapes": {"base", "darknet", "vision"},
    "catalog": {"base"},
    "fetch": {"base", "catalog"},
    "convert": {"base", "catalog", "darknet"},
    "verify": {"base", "catalog", "darknet", "vision"},
    "detect": {"base", "verify", "vision"},
    "pipeline": {"base", "catalog", "darknet", "vision", "shapes", "fetch", "convert", "verify", "detect"},
    "view": {"base", "catalog", "shapes", "vision", "verify", "detect", "pipeline"},
    "cli": {
        "base",
        "catalog",
        "darknet",
        "vision",
        "shapes",
        "fetch",
        "convert",
        "verify",
        "detect",
        "pipeline",
        "view",
    },
}
HEAVY = ("tensorflow", "torch", "cv2", "onnxruntime", "tf2onnx", "onnx", "numpy", "PIL", "urllib3", "rich", "yaml")


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    """The rooms of zoo that a file names in its import statements, at any depth."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import relative to the file; write zoo.…"
            names = [f"zoo.{a.name}" for a in node.names] if node.module == "zoo" else [node.module or ""]
        rooms |= {name.split(".")[1] for name in names if name.startswith("zoo.")}
    return rooms


def test_every_room_is_listed() -> None:
    rooms = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert rooms - {"tests", "benchmarks", "examples"} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_it_may(room: str) -> None:
    assert sources(room)
    wrong = [
        f"{path.relative_to(ROOT)} imports zoo.{other}"
        for path in sources(room)
        for other in imported_rooms(path) - MAY_IMPORT[room] - {room}
    ]
    assert not wrong


def test_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {path.parent.relative_to(ROOT) for room in MAY_IMPORT for path in (ROOT / room).rglob("__init__.py")}
    packages = {"zoo", *(".".join(("zoo", *folder.parts)) for folder in folders)}
    assert set(project["tool"]["setuptools"]["packages"]) == packages


def test_no_python_at_the_root() -> None:
    assert not list(ROOT.glob("*.py"))


def test_the_command_starts_without_heavy_packages() -> None:
    """`zoo --help` must answer at once: nothing big is imported before a subcommand runs."""
    code = f"import sys, zoo.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
