"""ONNX Runtime on the CPU or on a CUDA device.

ONNX Runtime answers a request for CUDA that it cannot serve with a session on the CPU and two lines on stderr. Here
that is MissingBackend. TF32 is set explicitly, off unless asked for, because the CUDA provider uses it by default.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from zoo.base.artifact import TensorSpec
from zoo.base.errors import MissingBackend, VerificationError
from zoo.base.optional import require
from zoo.verify.runtimes.memory import gpu_memory
from zoo.verify.runtimes.onnx_file import expose, names_others, refuse_outside
from zoo.verify.runtimes.protocol import (
    Array,
    Bound,
    Settings,
    Tensors,
    bind_by_running,
    host_memory,
    refuse_precision,
)
from zoo.verify.runtimes.quiet import captured_stderr

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(half)": "float16", "tensor(bool)": "bool"}
FATAL = 4  # the log level that keeps warnings about the graph away from the user

Placement = dict[str, dict[str, int]]
"""Execution provider → operator → how many nodes of it ran there."""


class OnnxRuntimeRunner:
    """A session. `placement` tells which nodes ran on which provider, which only profiling shows."""

    def __init__(self, path: Path, settings: Settings) -> None:
        ort = require("onnxruntime", "running an ONNX model")
        self.runtime = f"onnxruntime {ort.__version__}"
        self._ort, self._path, self._settings = ort, path, settings
        self._before = gpu_memory(settings.index) if settings.on_gpu else None
        _refuse_outside(path)
        self._session = _session(ort, path, settings)
        self.device = f"cuda:{settings.index}" if self._session.get_providers()[0] == CUDA else "cpu"
        try:
            self.inputs = tuple(_spec(value) for value in self._session.get_inputs())
            self.outputs = tuple(_spec(value) for value in self._session.get_outputs())
        except UnicodeDecodeError as error:
            raise VerificationError(f"{path.name}: an input or output has a name that is not UTF-8: {error}") from error

    def run(self, feeds: Tensors) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        except Exception as error:  # its exceptions have no common base of their own
            raise VerificationError(f"{self._path.name}: the run ends with: {_first_line(error)}") from error

    def bind(self, feeds: Tensors) -> Bound:
        if self.device == "cpu":
            return bind_by_running(self.run, feeds)
        binding = self._session.io_binding()
        for name, array in feeds.items():
            value = self._ort.OrtValue.ortvalue_from_numpy(array, "cuda", self._settings.index)
            binding.bind_ortvalue_input(name, value)
        for spec in self.outputs:
            binding.bind_output(spec.name, "cuda", self._settings.index)

        def run_bound() -> None:
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        names = [spec.name for spec in self.outputs]
        return run_bound, lambda: dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """See `Runner`. Every tensor becomes an output of a session of its own."""
        with tempfile.TemporaryDirectory() as folder:
            exposed = Path(folder) / "exposed.onnx"
            nodes = expose(self._path, exposed)
            session = _session(self._ort, exposed, self._settings)
            return dict(zip(nodes.values(), session.run(list(nodes), dict(feeds)), strict=True))

    def placement(self, feeds: Tensors) -> Placement:
        """Run once in a profiled session of its own and count the nodes by provider and operator."""
        with tempfile.TemporaryDirectory() as folder:
            session = _session(self._ort, self._path, self._settings, profile=Path(folder) / "profile")
            session.run(None, dict(feeds))
            events = json.loads(Path(session.end_profiling()).read_bytes())
        counts: dict[str, Counter[str]] = {}
        for event in events:
            arguments = event.get("args", {})
            if event.get("cat") == "Node" and arguments.get("provider"):
                counts.setdefault(arguments["provider"], Counter())[arguments["op_name"]] += 1
        return {provider: dict(operators) for provider, operators in counts.items()}

    def memory(self) -> dict[str, int]:
        used = gpu_memory(self._settings.index) if self._settings.on_gpu else None
        if used is None or self._before is None:
            return {"host": host_memory()}
        held = max(0, used - self._before)  # its arena never shrinks: what it holds is the most that it held
        return {"host": host_memory(), "device": held, "device_peak": held}

    def close(self) -> None:
        del self._session


def load(path: Path, settings: Settings) -> OnnxRuntimeRunner:
    """Open an ONNX file. See `zoo.verify.runtimes.protocol`."""
    refuse_precision("ONNX Runtime", settings, ("fp32", "tf32") if settings.on_gpu else ("fp32",))
    return OnnxRuntimeRunner(path, settings)


def _refuse_outside(path: Path) -> None:
    """Before the file is opened: its weights may lie in other files, but only beside it."""
    try:
        with suppress(DecodeError):  # ONNX Runtime says what is wrong with it
            if names_others(path):
                refuse_outside(path, onnx.load(path, load_external_data=False))
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path.name} is no ONNX file to run: {error}") from error


def _session(ort: Any, path: Path, settings: Settings, profile: Path | None = None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        if settings.on_gpu:
            return _cuda_session(ort, path, settings, options)
        return ort.InferenceSession(str(path), options, providers=[CPU], enable_fallback=0)  # it would print it
    except MissingBackend:
        raise
    except Exception as error:  # its exceptions have no common base of their own
        raise VerificationError(
            f"{path.name}: ONNX Runtime {ort.__version__} refuses the model: {_first_line(error)}",
            hint="the file is damaged, or uses an operator or opset that this version does not run",
        ) from error


def _cuda_session(ort: Any, path: Path, settings: Settings, options: Any) -> Any:
    """A session whose first provider is CUDA; MissingBackend, with what the library wrote, where it is not."""
    if CUDA not in ort.get_available_providers():
        raise MissingBackend(
            f"{settings.device} was asked for, but this ONNX Runtime ({ort.__version__}) is built without CUDA",
            hint="install the other build: pip uninstall onnxruntime, then pip install 'detector-zoo[gpu]'",
        )
    provider = {
        "device_id": str(settings.index),
        "use_tf32": "1" if settings.precision == "tf32" else "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE" if settings.tune else "HEURISTIC",
    }
    options.log_severity_level = FATAL - 1  # its errors are the reason to give, below
    with captured_stderr() as written:
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls()
        session = ort.InferenceSession(str(path), options, providers=[(CUDA, provider), CPU])
        reason = written()
    if session.get_providers()[0] != CUDA:
        raise MissingBackend(
            f"{settings.device} was asked for, and ONNX Runtime fell back to the CPU: {reason or 'no reason given'}",
            hint="zoo doctor shows the driver and the libraries; detector-zoo[gpu] brings CUDA and cuDNN",
        )
    session.disable_fallback()  # a run that fails on CUDA is not silently one on the CPU
    return session


def _spec(value: Any) -> TensorSpec:
    dtype = DTYPES.get(value.type, value.type.removeprefix("tensor(").removesuffix(")"))
    return TensorSpec(value.name, dtype, tuple("?" if size is None else size for size in value.shape))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
