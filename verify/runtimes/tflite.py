"""TensorFlow Lite on the CPU: a `.tflite` file through the interpreter that TensorFlow brings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.base.errors import MissingBackend, VerificationError
from zoo.base.optional import require
from zoo.verify.runtimes.protocol import (
    Array,
    Bound,
    Settings,
    Tensors,
    bind_by_running,
    host_memory,
    originals,
    refuse_precision,
)
from zoo.verify.runtimes.quiet import captured_stderr


class TFLiteRunner:
    """An interpreter, through the signature where the file has one: only signatures keep names."""

    device = "cpu"

    def __init__(self, path: Path, settings: Settings) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with captured_stderr():
            tf = require("tensorflow", "running a TFLite model")
        self.runtime = f"tflite {tf.__version__}"
        self._tf, self._path, self._threads = tf, path, settings.threads
        self._interpreter = _interpreter(tf, path, settings.threads)
        signatures = self._interpreter.get_signature_list()
        if not signatures:
            raise VerificationError(f"{path.name}: has no signature, so its inputs and outputs have no names")
        self._run = self._interpreter.get_signature_runner(next(iter(signatures)))
        self._original = originals(path)
        self._own = {original: name for name, original in self._original.items()}
        self.inputs = _specs(self._run.get_input_details(), self._original)
        self.outputs = _specs(self._run.get_output_details(), self._original)

    def run(self, feeds: Tensors) -> dict[str, Array]:
        try:
            results = self._run(**self._named(feeds))
            return {self._original.get(name, name): np.array(array) for name, array in results.items()}
        except (RuntimeError, ValueError) as error:
            raise VerificationError(f"{self._path.name}: the run ends with: {error}") from error

    def _named(self, feeds: Tensors) -> dict[str, Array]:
        """Feeds by the signature's own names."""
        return {self._own.get(name, name): array for name, array in feeds.items()}

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """See `Runner`. Needs an interpreter of its own, which keeps them and fuses nothing; empty where it cannot run
        the file: XNNPACK, which it does without, takes slices of more dimensions."""
        try:
            interpreter = _interpreter(self._tf, self._path, self._threads, keep=True)
            run = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
            run(**self._named(feeds))
        except (VerificationError, RuntimeError, ValueError):
            return {}
        found = {}
        for detail in interpreter.get_tensor_details():
            try:
                found[detail["name"]] = np.array(interpreter.get_tensor(detail["index"]))
            except ValueError:  # a tensor that this run had no use for
                continue
        return found

    def memory(self) -> dict[str, int]:
        return {"host": host_memory()}

    def close(self) -> None:
        del self._run, self._interpreter


def load(path: Path, settings: Settings) -> TFLiteRunner:
    """Open a .tflite file. See `zoo.verify.runtimes.protocol`."""
    if settings.on_gpu:
        raise MissingBackend(f"{settings.device} was asked for, but TFLite runs on the CPU here")
    refuse_precision("TFLite", settings, ("fp32",))
    return TFLiteRunner(path, settings)


def _interpreter(tf: Any, path: Path, threads: int, keep: bool = False) -> Any:
    """With `keep` every inner tensor can be read after a run. It gets the file's bytes: TFLite verifies these, where a
    damaged file that it opens itself by its path ends the process."""
    kinds = tf.lite.experimental.OpResolverType
    resolver = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep else kinds.AUTO
    try:
        content = path.read_bytes() or b"\0"  # without a byte it would ask for a path
        with warnings.catch_warnings(), captured_stderr():
            warnings.simplefilter("ignore")  # its announcement that it moves to another package
            interpreter = tf.lite.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep,
            )
            interpreter.allocate_tensors()
        return interpreter
    except (OSError, RuntimeError, ValueError) as error:
        raise VerificationError(
            f"{path.name}: TFLite {tf.__version__} refuses the model: {str(error).strip()}",
            hint="the file is damaged or cut short: copy or convert it again",
        ) from error


def _specs(details: dict[str, Any], original: Mapping[str, str]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            original.get(name, name), np.dtype(detail["dtype"]).name, tuple(int(size) for size in detail["shape"])
        )
        for name, detail in details.items()
    )
