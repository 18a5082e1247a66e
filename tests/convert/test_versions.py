"""The state of the code that converts, as manifests keep it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.convert.versions import DECIDING, converter, versions

ROOT = Path(__file__).resolve().parents[2]
ASK = "from zoo.convert.versions import converter; print(converter())"


def test_it_is_a_hash_beside_the_versions() -> None:
    told = versions(onnx="1.0")
    assert list(told) == ["zoo", "converter", "onnx"]
    assert re.fullmatch("[0-9a-f]{12}", told["converter"])


@pytest.mark.parametrize("changed", ["convert/onnx_graph/write.py", "darknet/9k.groups", "pipeline/formats.py"])
def test_any_change_of_the_code_is_told(changed: str, tmp_path: Path) -> None:
    """Asked of a copy of what is hashed, which lies elsewhere, before and after a change."""
    copy = tmp_path / "zoo"
    for one in DECIDING:
        (copy / one).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / one).is_dir():
            shutil.copytree(ROOT / one, copy / one, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / one, copy / one)
    assert _of(tmp_path) == converter()
    with (copy / changed).open("a") as file:
        file.write("# one more line\n")
    assert _of(tmp_path) != converter()


def _of(path: Path) -> str:
    run = subprocess.run([sys.executable, "-c", ASK], cwd=path, capture_output=True, text=True, check=True)
    return run.stdout.strip()
