"""Without a package, what needs it ends with exit code 5 and the line to install it: no traceback, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What every Python of the command runs first: the package is as if it were not installed, in child processes too.
HIDE = "import os, sys\nsys.modules[os.environ['HIDDEN_PACKAGE']] = None\n"


@pytest.mark.parametrize(
    ("package", "install", "command"),
    [
        ("torch", "detector-zoo[torch]", "convert shapes-tiny --to torch --out out"),
        ("tensorflow", "detector-zoo[tf]", "convert shapes-tiny --to tf --out out"),
        pytest.param(
            "tf2onnx", "detector-zoo[tf]", "convert --graph model.pb --to onnx --out out", marks=pytest.mark.slow
        ),
        ("cv2", "opencv-python", "verify shapes-tiny --format opencv"),
        ("torch", "detector-zoo[torch]", "verify shapes-tiny --format torch"),
        ("onnxruntime", "detector-zoo[cpu]", "verify shapes-tiny"),
        ("onnxruntime", "detector-zoo[cpu]", "detect shapes-tiny model.pb"),
        ("onnxruntime", "detector-zoo[cpu]", "bench shapes-tiny"),
        ("onnxruntime", "detector-zoo[cpu]", "demo --out out"),
    ],
)
def test_a_missing_package_is_named(package: str, install: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "model.pb").write_bytes(b"\n\x0a\n\x01x\x12\x05Const")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HIDDEN_PACKAGE": package}
    words = [sys.executable, "-c", "from zoo.cli.main import main; main()", *command.split()]
    ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 5, said
    assert f"pip install '{install}" in " ".join(said.split())
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
