"""The OpenCVs at hand, and a run of a model in one of them, in a process that may crash.

Odd graphs end OpenCV's process with SIGFPE or SIGSEGV instead of an error. Nothing here imports cv2.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import ConversionError, MissingBackend
from zoo.convert.to_opencv import trial
from zoo.convert.to_opencv.engine import NEW

VARIABLE = "ZOO_OPENCV_PYTHON"
WITH_READERS = 4  # the last major version with readers of its own for Darknet and, to stay, TensorFlow
TIME_LIMIT = 600.0  # seconds for loading and one run
ASK = "import cv2; print(cv2.__version__)"

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class OpenCV:
    """An installed OpenCV: the Python that imports it, and its version."""

    python: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@dataclass(frozen=True)
class Trial:
    """What a run gave: outputs by name, and milliseconds of processor time of each round."""

    outputs: Tensors
    milliseconds: tuple[float, ...]


def at_hand() -> tuple[OpenCV, ...]:
    """The OpenCV of this Python, and those of the interpreters in `ZOO_OPENCV_PYTHON` (separated as in PATH).

    Raises MissingBackend where an interpreter that is named there has no OpenCV.
    """
    named = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    own = [sys.executable] if _version(sys.executable) else []
    for python in named:
        if not _version(python):
            raise MissingBackend(
                f"{VARIABLE} names {python}, which cannot import cv2",
                hint="install opencv-python there, or unset the variable",
            )
    return tuple(OpenCV(python, _version(python)) for python in dict.fromkeys([*own, *named]))


def of_major(major: int, installed: Sequence[OpenCV]) -> OpenCV:
    """The newest OpenCV of this major version. Raises MissingBackend with what to install where there is none."""
    fitting = [one for one in installed if one.major == major]
    if fitting:
        return max(fitting, key=lambda one: [int(part) for part in one.version.split(".") if part.isdigit()])
    here = ", ".join(one.version for one in installed) or "no OpenCV at all"
    other = f"in another environment: pip install 'opencv-python<{major + 1}', and set {VARIABLE} to its python"
    raise MissingBackend(
        f"what is written for OpenCV {major} must run in it first; here is {here}",
        hint=other if installed else f"pip install 'opencv-python>={major},<{major + 1}', or {other}",
    )


@functools.cache
def _version(python: str) -> str:
    """OpenCV's version in the Python at this path, "" where it has none."""
    try:
        asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except OSError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def run(
    opencv: OpenCV, reader: str, files: Sequence[Path], feeds: Tensors, rounds: int = 1, engine: str = NEW
) -> Trial:
    """Load `files` with `readNetFrom<reader>` in a child process and run on `feeds`, on that engine of OpenCV 5.

    Raises ConversionError where OpenCV refuses the model, crashes or does not end.
    """
    what = f"OpenCV {opencv.version}: {files[0].name}"
    with tempfile.TemporaryDirectory(prefix="zoo-opencv-") as scratch:
        given, results = Path(scratch) / "feeds.npz", Path(scratch) / "outputs.npz"
        np.savez(given, allow_pickle=False, **feeds)
        settings = [f"{reader}:{engine}", str(given), str(results), str(rounds)]
        command = [opencv.python, trial.__file__, *settings, *map(str, files)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"{what}: the run did not end in {TIME_LIMIT:g} s") from error
        if ended.returncode:
            raise ConversionError(f"{what}: {_reason(ended)}", hint="the model was not written")
        times = json.loads(ended.stdout.strip().splitlines()[-1])["milliseconds"]
        with np.load(results, allow_pickle=False) as arrays:
            return Trial({name: arrays[name] for name in arrays.files}, tuple(times))


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode < 0:
        how = f"the process that ran it was ended by {signal.Signals(-ended.returncode).name}"
        return how + (f": {lines[-1]}" if lines else "")
    if ended.returncode == trial.REFUSED:
        return "refused: " + " ".join(line for line in lines if "error" in line.lower() or line.startswith(">"))
    return "failed: " + (lines[-1] if lines else f"exit code {ended.returncode}")
