"""The state of the code that converts, as manifests keep it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from zoo.convert.versions import ROOMS, converter, versions

ROOT = Path(__file__).resolve().parents[2]
ASK = "from zoo.convert.versions import converter; print(converter())"


def test_it_is_a_hash_beside_the_versions() -> None:
    told = versions(onnx="1.0")
    assert list(told) == ["zoo", "converter", "onnx"]
    assert re.fullmatch("[0-9a-f]{12}", told["converter"])


def test_any_change_of_the_code_is_told(tmp_path: Path) -> None:
    """Asked of a copy of the package, which lies elsewhere, before and after a change."""
    copy = tmp_path / "zoo"
    copy.mkdir()
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    assert _of(tmp_path) == converter()
    with (copy / "convert" / "onnx_graph" / "write.py").open("a") as file:
        file.write("# one more line\n")
    assert _of(tmp_path) != converter()


def _of(path: Path) -> str:
    run = subprocess.run([sys.executable, "-c", ASK], cwd=path, capture_output=True, text=True, check=True)
    return run.stdout.strip()
