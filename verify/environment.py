"""What a figure was measured on: versions, processor, GPU driver. Facts only; changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("detector-zoo", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "tensorflow", "opencv-python")


def environment(on_gpu: bool) -> dict[str, str]:
    """Facts by name, in a fixed order; what is not here is left out."""
    facts = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    facts["processor"] = _processor()
    facts["cpus"] = str(os.cpu_count())
    facts |= {name: version for name in PACKAGES if (version := _version(name))}
    return facts | (_gpu() if on_gpu else {})


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name, which on Linux only /proc tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> dict[str, str]:
    """Name and driver of every GPU, as nvidia-smi reports them."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return {"gpu": "; ".join(result.stdout.strip().splitlines())} if result.returncode == 0 else {}
