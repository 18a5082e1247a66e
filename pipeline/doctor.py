"""What this machine has: packages, versions, devices. Looks and reports; never installs or changes anything."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Finding:
    """One line of the report. `state` is "ok", "missing" (optional and not here) or "problem" (here and broken)."""

    what: str
    state: str
    version: str
    use: str
    devices: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Package:
    """An optional package.

    `distributions` are the names it is installed under (the first is shown when it is missing), `use` says what
    zoo does with it, `extra` which extra brings it, and `devices` is an expression over the module that names
    the devices it can use.
    """

    module: str
    distributions: tuple[str, ...]
    use: str
    extra: str
    devices: str = "''"


# What a compiled-in provider promises is not what a session gets: verify checks the device that was really used.
PACKAGES = (
    Package(
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu"),
        "run ONNX models",
        "cpu",
        "' '.join(p.removesuffix('ExecutionProvider') for p in module.get_available_providers())",
    ),
    Package(
        "torch",
        ("torch",),
        "write and run PyTorch models",
        "torch",
        "' '.join(['CPU'] + [f'cuda:{i}' for i in range(module.cuda.device_count())])",
    ),
    Package("safetensors", ("safetensors",), "write PyTorch weights", "torch"),
    Package(
        "tensorflow",
        ("tensorflow", "tensorflow-cpu"),
        "read, write and run TensorFlow models",
        "tf",
        "' '.join(d.name.split('device:')[-1] for d in module.config.list_physical_devices())",
    ),
    Package("tf2onnx", ("tf2onnx",), "read TensorFlow models", "tf"),
    Package(
        "cv2",
        ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
        "run models in OpenCV",
        "opencv",
        "' '.join(['CPU'] + ['CUDA'] * (module.cuda.getCudaEnabledDeviceCount() > 0))",
    ),
)
CORE = ("click", "numpy", "onnx", "pillow", "pyyaml", "rich", "urllib3")
PROBE_SECONDS = 120


def examine() -> list[Finding]:
    """Everything the report shows, in its order."""
    with ThreadPoolExecutor() as pool:
        packages = list(pool.map(_package, PACKAGES))
    return [_python(), _zoo(), *packages, *_two_onnxruntimes(), _nvidia()]


def _version(*distributions: str) -> str:
    """The version of the first of these distributions that is installed, or ""."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _python() -> Finding:
    return Finding("Python", "ok", platform.python_version(), f"on {platform.system()} {platform.machine()}")


def _zoo() -> Finding:
    use = "fetch, and convert Darknet to ONNX"
    missing = [name for name in CORE if not _version(name)]
    if missing:
        advice = f"pip install --force-reinstall detector-zoo   (missing: {', '.join(missing)})"
        return Finding("zoo", "problem", _version("detector-zoo"), use, advice=advice)
    return Finding("zoo", "ok", _version("detector-zoo"), use)


def _package(package: Package) -> Finding:
    """Import the package in a child process: a broken one may print, hang or crash, and that is a finding."""
    name = next((name for name in package.distributions if _version(name)), "")
    if not name:
        advice = f"pip install 'detector-zoo[{package.extra}]'"
        return Finding(package.distributions[0], "missing", "", package.use, advice=advice)
    code = f"import importlib; module = importlib.import_module({package.module!r}); print({package.devices})"
    try:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        advice = f"its import does not end within {PROBE_SECONDS} s"
        return Finding(name, "problem", _version(name), package.use, advice=advice)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        return Finding(name, "problem", _version(name), package.use, advice=f"its import fails: {last}")
    devices = (result.stdout.strip().splitlines() or [""])[-1]
    return Finding(name, "ok", _version(name), package.use, devices)


def _two_onnxruntimes() -> list[Finding]:
    """Both distributions write the same folder: together, or after removing one, neither can be trusted."""
    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    if not (cpu and gpu):
        return []
    advice = "pip uninstall onnxruntime onnxruntime-gpu; then install one of 'detector-zoo[cpu]', 'detector-zoo[gpu]'"
    return [Finding("two ONNX Runtimes", "problem", f"{cpu}, {gpu}", "only one may be installed", advice=advice)]


def _nvidia() -> Finding:
    """The NVIDIA driver, as nvidia-smi reports it."""
    what, use = "NVIDIA driver", "run on the GPU"
    if not shutil.which("nvidia-smi"):
        return Finding(what, "missing", "", use, advice="none found: everything runs on the CPU")
    query = ["nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        return Finding(what, "problem", "", use, advice=f"nvidia-smi fails: {error}")
    gpus = [line.partition(", ") for line in result.stdout.strip().splitlines()]
    advice = "" if _version("onnxruntime-gpu") else "ONNX Runtime for it: pip install 'detector-zoo[gpu]'"
    return Finding(what, "ok", gpus[0][0], use, ", ".join(gpu[2] for gpu in gpus), advice)
