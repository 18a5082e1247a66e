"""What every runtime offers: load a model file, say what it takes and gives, run it, and say where it really ran.

A runtime is a module with a function `load(path, settings) -> Runner`. It raises MissingBackend where the package or
the device is not here, UsageError where it cannot do what the settings ask, and VerificationError where it refuses
the file. It never falls back to another device in silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from zoo.base.artifact import MANIFEST, TensorSpec, read_artifact
from zoo.base.errors import UsageError

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
"""Arrays by the name of the input or output they belong to."""

Bound = tuple[Callable[[], None], Callable[[], dict[str, Array]]]
"""A call that runs, and a call that gives the outputs of the last run."""

PRECISIONS = ("fp32", "tf32", "fp16")


def available_threads() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """How a model shall run. `device` is "cpu", "cuda" or "cuda:N"; `tune` lets a GPU library search for speed.

    `threads` is the number of threads inside one operator; operators never run beside each other. `shared` says that
    other work goes on beside the runs that nobody times: a runtime whose threads wait by spinning takes one there.
    `runtime` names one of the runtimes that run the format; "" is the first of them.
    """

    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    tune: bool = False
    shared: bool = False
    runtime: str = ""

    def __post_init__(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
            raise UsageError(f"unknown device {self.device!r}", hint="devices are cpu, cuda, cuda:N and auto")
        if self.precision not in PRECISIONS:
            raise UsageError(f"unknown precision {self.precision!r}", hint=f"precisions are {', '.join(PRECISIONS)}")
        if self.threads < 1:
            raise UsageError(f"threads must be at least 1, not {self.threads}")

    @property
    def on_gpu(self) -> bool:
        """True where a CUDA device is asked for."""
        return self.device != "cpu"

    @property
    def index(self) -> int:
        """The number of the GPU."""
        return int(self.device.partition(":")[2] or 0)


class Runner(Protocol):
    """A loaded model.

    `runtime` names the program and its version, e.g. "onnxruntime 1.31.0"; `device` is where it really runs:
    "cpu" or "cuda:N".
    """

    runtime: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Tensors) -> dict[str, Array]:
        """One inference; returns when every output lies in host memory."""

    def bind(self, feeds: Tensors) -> Bound:
        """For timing: a call that runs on these feeds again and again, without copies where the runtime can do that
        and returning when the device is done, and one that copies the outputs of the last run."""

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """Every tensor inside the model after one inference, by the name of the node that gives it, in order of
        execution; empty where the runtime does not show them."""

    def memory(self) -> dict[str, int]:
        """Bytes in use now: "host" of the process that runs the model, "device" where the runtime can
        tell, with "device_peak", the most since the model was loaded."""

    def close(self) -> None:
        """Give back what the model holds. The runner cannot be used any more."""


class Runtime(Protocol):
    """A module of this package."""

    def load(self, path: Path, settings: Settings) -> Runner:
        """Open a model file."""


def bind_by_running(run: Callable[[Tensors], dict[str, Array]], feeds: Tensors) -> Bound:
    """`Runner.bind` where there is nothing better than `Runner.run`."""
    last: dict[str, Array] = {}
    return lambda: last.update(run(feeds)), lambda: last


def declared(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs by the manifest beside a model file (or beside its folder), in the order of the model; of
    formats that keep no names this is the only place to find them. Empty without a manifest that names the file."""
    for folder in (path.parent, path.parent.parent):
        if (folder / MANIFEST).is_file():
            artifact = read_artifact(folder)
            if path in {folder / record.name for record in artifact.files}:
                return artifact.inputs, artifact.outputs
    return (), ()


def originals(path: Path) -> dict[str, str]:
    """Name in the file → the source's name, of inputs and outputs whose names the format cannot hold."""
    return {spec.name: spec.original for specs in declared(path) for spec in specs if spec.original}


def host_memory() -> int:
    """Resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def refuse_precision(runtime: str, settings: Settings, possible: tuple[str, ...]) -> None:
    """Raise UsageError where a runtime cannot run at the precision asked for."""
    if settings.precision not in possible:
        raise UsageError(
            f"{runtime} does not run at {settings.precision} on {settings.device}",
            hint=f"it runs there at {' or '.join(possible)}",
        )
