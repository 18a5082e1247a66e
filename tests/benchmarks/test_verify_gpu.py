"""`make verify-gpu` on a machine without a GPU, or with one that no runtime here uses; and the page it would write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.verify_gpu import Matrix, write
from tests.verify.test_gates import report
from zoo.verify.reports.as_json import read_json
from zoo.verify.result import BatchCost
from zoo.verify.runtimes.memory import forget_peak, gpu_memory, peak_memory

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "verify_gpu.py"
NVIDIA_SMI = """#!/bin/sh
case "$*" in *memory.used*) echo 1234;; *) echo "Some GPU 80GB, 550.00";; esac
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The script, with nothing on the PATH but this folder."""
    told = {**os.environ, "PATH": str(folder), "ZOO_HOME": str(folder / "home")}
    command = [sys.executable, str(SCRIPT), "shapes-tiny", "--out", str(folder / "out")]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=120)


def fake_gpu(folder: Path) -> None:
    program = folder / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)


def test_without_a_gpu_it_says_so_and_exits_with_5(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 5
    assert "no NVIDIA GPU on this machine" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_page_has_every_report_and_what_was_left_out(tmp_path: Path) -> None:
    first = report()
    assert first.speed
    with_cost = report(
        scaling=(BatchCost(8, first.speed.median, 800.0, {"host_peak": 10**8, "device_peak": 2 * 10**9}),)
    )
    result, page = write(tmp_path, "NVIDIA H100 80GB HBM3", Matrix((with_cost,), ("x, fp16, tf: not here",)))
    assert (result.name, page.name) == ("nvidia-h100-80gb-hbm3.json", "nvidia-h100-80gb-hbm3.md")
    assert read_json(result) == [with_cost]
    text = page.read_text()
    assert "| model | onnx | fp32 | 8 | 10.000 | 800.0 | 100 | 2000 |" in text
    assert "- x, fp16, tf: not here" in text


def test_memory_of_a_gpu_is_what_nvidia_smi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_memory(0) is None
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    fake_gpu(tmp_path)
    assert gpu_memory(0) == 1234 << 20


def test_the_peak_of_a_process_counts_what_it_has_given_back() -> None:
    forget_peak()
    before = peak_memory()
    block = bytearray(os.urandom(1)) * (64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    del block
    assert peak_memory() - before > 48 << 20
    forget_peak()
    assert peak_memory() - before < 48 << 20
