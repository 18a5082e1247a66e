"""`zoo view` as a command: it says where the page is, answers there, and ends when interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from zoo.base.errors import UsageError
from zoo.cli.view import _named, command


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").touch()
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", "from zoo.cli.main import main; main()", "view", "--port", "0", "own.onnx"],
        cwd=tmp_path,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert child.stdout
    url = child.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}v1/models", timeout=30) as answer:
        assert json.load(answer)[0]["name"] == "own"
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert (child.returncode, said.strip()) == (130, "")


def test_a_model_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.cfg: there is no such file"):
        command.main([str(tmp_path / "absent.cfg")], standalone_mode=False)


def test_own_models_are_called_after_their_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.onnx").touch()
    named = _named((str(tmp_path / "mine" / "model.onnx"), str(tmp_path / "mine"), "yolo.cfg"))
    assert list(named) == ["mine", "mine 2", "yolo"]
