"""Which runtimes run which format, and how a format is told from a file. Loads a runtime only when it is used."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import cast

from zoo.base.errors import MissingBackend, UsageError
from zoo.verify.runtimes.isolated import IsolatedRunner
from zoo.verify.runtimes.protocol import Runner, Runtime, Settings

# Format of an artifact → the modules here that run it: the first, or the one that is asked for.
RUNTIMES = {
    "onnx": ("onnx_runtime", "opencv"),
    "torch": ("pytorch",),
    "tf": ("tensorflow",),
    "tflite": ("tflite",),
    "opencv": ("opencv", "onnx_runtime"),
    "darknet": ("libdarknet",),
}
SUFFIXES = {".onnx": "onnx", ".pt2": "torch", ".pb": "tf", ".tflite": "tflite", ".cfg": "darknet"}
# Run in a process of their own: OpenCV and Darknet can end it, TensorFlow's threads can be set only once in one.
ISOLATED = ("opencv", "tensorflow", "libdarknet")


def format_of(path: Path) -> str:
    """The format of a model file without a manifest, by its suffix; a folder is a SavedModel. Raises UsageError for an
    unknown one."""
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return "tf"
    if path.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"{path}: no runtime for a file of this name", hint=f"known are {known}")
    return SUFFIXES[path.suffix]


def runtime_of(format: str, asked: str = "") -> str:
    """The runtime for a format: the one `asked` for, else the first. Raises UsageError, with the choices, where there
    is none."""
    if format not in RUNTIMES:
        raise UsageError(f"no runtime for the format {format!r}", hint=f"known: {', '.join(RUNTIMES)}")
    if asked and asked not in RUNTIMES[format]:
        raise UsageError(
            f"the runtime {asked!r} does not run the format {format!r}",
            hint=f"{format} runs in {' or '.join(RUNTIMES[format])}",
        )
    return asked or RUNTIMES[format][0]


def load_runner(path: Path, format: str, settings: Settings) -> Runner:
    """Open `path`, a model of `format`. Errors as in `zoo.verify.runtimes.protocol`, and those of `runtime_of`."""
    module = runtime_of(format, settings.runtime)
    if module in ISOLATED:
        return IsolatedRunner(path, module, settings)
    runtime = cast(Runtime, importlib.import_module(f"zoo.verify.runtimes.{module}"))
    return runtime.load(path, settings)


def load_on(path: Path, format: str, device: str, settings: Settings) -> Runner:
    """As `load_runner`, on `device`, which may also be "auto": the GPU where one can be had, else the CPU."""
    if device != "auto":
        return load_runner(path, format, replace(settings, device=device))
    try:
        return load_runner(path, format, replace(settings, device="cuda"))
    except (MissingBackend, UsageError):
        return load_runner(path, format, replace(settings, device="cpu"))
