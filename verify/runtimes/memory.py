"""The most memory that a process held, and what a GPU holds, as the system tells it. Bytes everywhere."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

ME = Path("/proc/self")


def peak_memory() -> int:
    """The most that was resident since this process began, or since `forget_peak`; 0 where the system does not tell."""
    try:
        lines = (ME / "status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    except (OSError, ValueError):
        return 0


def forget_peak() -> None:
    """Let the peak begin anew, where Linux permits it (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        (ME / "clear_refs").write_text("5")


def gpu_memory(index: int) -> int | None:
    """What all programs together hold on one GPU, by nvidia-smi; None where it does not tell."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", f"--id={index}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    result = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    used = result.stdout.strip()
    return int(used) << 20 if result.returncode == 0 and used.isdigit() else None
