"""What zoo can do with one of its extras alone. `make wheel-test` runs this in a clean environment for each, into which
nothing but the wheel, that extra and pytest were installed:

    ZOO_EXTRAS=torch python -m pytest tests/wheel/extras.py

It is not part of the suite: where everything is installed there is nothing to see.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import zoo.base

INSTALLED = set(filter(None, os.environ.get("ZOO_EXTRAS", "").split(",")))
# Extra ("" is the core) → commands that need it, and nothing but it. `{}` is an empty folder.
NEEDED = {
    "": (
        "zoo --help",
        "zoo list --family darknet",
        "zoo show shapes-tiny",
        "zoo fetch shapes-tiny",
        "zoo cache verify",
        "zoo inspect {cfg} {weights}",
        "zoo convert shapes-tiny --to onnx --out {}",
        "zoo doctor",
    ),
    "cpu": (
        "zoo demo --out {}",
        "zoo verify shapes-tiny --quick --html {}/report.html",
        "zoo detect shapes-tiny {picture} --out {}",
        "zoo bench shapes-tiny --quick --out {}",
    ),
    "torch": ("zoo convert shapes-tiny --to torch --out {}", "zoo verify shapes-tiny --format torch --quick"),
    "tf": (
        "zoo convert shapes-tiny --to tf --tflite --out {}",
        "zoo verify shapes-tiny --format tf,tflite --quick",
        "zoo verify shapes-tiny --format tf --no-speed",
    ),
    "opencv": ("zoo convert shapes-tiny --to opencv --out {}", "zoo verify shapes-tiny --format opencv --quick"),
}
MISSING = 5  # the exit code where a package is missing


@pytest.mark.parametrize(("extra", "command"), [(extra, one) for extra, many in NEEDED.items() for one in many])
def test_a_command_works_where_its_extra_is_installed(extra: str, command: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shapes = Path(zoo.base.__file__).parent.parent / "shapes"
    files = {"cfg": "shapes-tiny.cfg", "weights": "shapes-tiny.weights", "picture": "sample.png"}
    words = command.format(out, **{kind: shapes / name for kind, name in files.items()}).split()
    words[0] = str(Path(sys.executable).with_name("zoo"))
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    if not extra or extra in INSTALLED:
        assert ended.returncode == 0, said
        return
    assert ended.returncode == MISSING, said
    assert f"pip install 'detector-zoo[{extra}]'" in " ".join(said.split()) or extra == "opencv", said
    assert not (out / "artifact.json").exists()


def test_it_is_the_wheel_that_is_tested() -> None:
    assert Path(zoo.base.__file__).is_relative_to(sys.prefix)


def test_nothing_else_is_installed() -> None:
    """The packages of the other extras are not here, so nothing above can have used them by accident."""
    brought = {"cpu": "onnxruntime", "torch": "torch", "tf": "tensorflow", "opencv": "opencv-python"}
    names = {distribution.name.lower() for distribution in metadata.distributions()}
    assert {extra for extra, name in brought.items() if name in names} == INSTALLED
