"""TensorFlow: a SavedModel by its `serving_default` signature. Run in a process of its own (see `isolated`), because
threads can be set only once in a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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
    refuse_precision,
)
from zoo.verify.runtimes.quiet import captured_stderr

SIGNATURE = "serving_default"


class TensorFlowRunner:
    """A signature on one device."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._tf = tf = _import()
        self.runtime = f"tensorflow {tf.__version__}"
        self._path, self._settings = path, settings
        self._place = _place(tf, settings)
        _set_threads(tf, settings.threads)
        tf.config.experimental.enable_tensor_float_32_execution(settings.precision == "tf32")
        self._loaded = _loaded(tf, path.parent if path.is_file() else path, self._place)
        self._signature = _signature(self._loaded, path)
        _, inputs = self._signature.structured_input_signature
        self.inputs = tuple(_spec(name, spec) for name, spec in inputs.items())
        self.outputs = tuple(_spec(name, spec) for name, spec in self._signature.structured_outputs.items())
        self.device = settings.device if not settings.on_gpu else f"cuda:{settings.index}"

    def run(self, feeds: Tensors) -> dict[str, Array]:
        tf = self._tf
        try:
            with tf.device(self._place):
                results = self._signature(**{name: tf.constant(array) for name, array in feeds.items()})
        except Exception as error:  # tf.errors and the errors of its Python side have no base of their own
            raise VerificationError(f"{self._path.name}: the run ends with: {_first_line(error)}") from error
        return {name: tensor.numpy() for name, tensor in results.items()}

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def memory(self) -> dict[str, int]:
        if not self._settings.on_gpu:
            return {"host": host_memory()}
        info = self._tf.config.experimental.get_memory_info(f"GPU:{self._settings.index}")
        return {"host": host_memory(), "device": int(info["peak"])}

    def close(self) -> None:
        del self._signature, self._loaded


def load(path: Path, settings: Settings) -> TensorFlowRunner:
    """Open a SavedModel by its folder or its saved_model.pb. See `zoo.verify.runtimes.protocol`."""
    refuse_precision("TensorFlow", settings, ("fp32", "tf32") if settings.on_gpu else ("fp32",))
    return TensorFlowRunner(path, settings)


def _import() -> Any:
    """TensorFlow without what its native side writes at import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with captured_stderr():
        return require("tensorflow", "running a TensorFlow model")


def _place(tf: Any, settings: Settings) -> str:
    """TensorFlow's name of the device; MissingBackend where it has none."""
    if not settings.on_gpu:
        return "/CPU:0"
    count = len(tf.config.list_physical_devices("GPU"))
    if settings.index >= count:
        raise MissingBackend(
            f"{settings.device} was asked for, but TensorFlow {tf.__version__} sees {count} GPUs",
            hint="zoo doctor shows the driver; TensorFlow with CUDA: pip install 'tensorflow[and-cuda]'",
        )
    tf.config.set_soft_device_placement(False)
    return f"/GPU:{settings.index}"


def _set_threads(tf: Any, threads: int) -> None:
    """Inside an operator as asked, one operator at a time. Only a fresh process can be told."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise VerificationError(
            "TensorFlow was used in this process before, so its threads cannot be set", hint="run it isolated"
        ) from error


def _loaded(tf: Any, folder: Path, place: str) -> Any:
    try:
        with tf.device(place):
            return tf.saved_model.load(str(folder))
    except Exception as error:  # as above
        raise VerificationError(
            f"{folder.name}: TensorFlow {tf.__version__} refuses the model: {_first_line(error)}"
        ) from error


def _signature(loaded: Any, path: Path) -> Any:
    if SIGNATURE not in loaded.signatures:
        raise VerificationError(f"{path.name}: no signature {SIGNATURE!r}; it has {list(loaded.signatures)}")
    return loaded.signatures[SIGNATURE]


def _spec(name: str, spec: Any) -> TensorSpec:
    shape = () if spec.shape.rank is None else tuple("?" if size is None else int(size) for size in spec.shape)
    return TensorSpec(name, spec.dtype.name, shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
