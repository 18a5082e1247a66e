"""TensorFlow: a SavedModel by its `serving_default` signature, or a frozen graph (.pb). Run in a process of its own
(see `isolated`), because threads can be set only once in a process.

A picture that the model takes as bytes may be given as float32 in 0..255 too: it then goes in behind the graph's own
cast. The reference needs that, to move its input by less than a level.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.base.artifact import TensorSpec
from zoo.base.errors import MissingBackend, UsageError, VerificationError
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
from zoo.verify.runtimes.tensorflow_graph import OpenedGraph, open_frozen, opened

SIGNATURE = "serving_default"
SAVED_MODEL = "saved_model.pb"


class TensorFlowRunner:
    """A signature, or a frozen graph, on one device."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._tf = tf = _import()
        self.runtime = f"tensorflow {tf.__version__}"
        self._path, self._settings = path, settings
        self._place = _place(tf, settings)
        _set_threads(tf, settings.threads)
        tf.config.experimental.enable_tensor_float_32_execution(settings.precision == "tf32")
        self._model = _opened(tf, path, self._place)
        graph = self._model if isinstance(self._model, OpenedGraph) else None
        inputs = graph.inputs if graph else self._model.structured_input_signature[1]
        outputs = graph.outputs if graph else self._model.structured_outputs
        self.inputs = tuple(_spec(name, spec) for name, spec in inputs.items())
        self.outputs = tuple(_spec(name, spec) for name, spec in outputs.items())
        self._cut: dict[tuple[str, ...], Any] = {}
        self.device = settings.device if not settings.on_gpu else f"cuda:{settings.index}"

    def run(self, feeds: Tensors) -> dict[str, Array]:
        tf = self._tf
        moved = self._given_as_float(feeds)
        try:
            with tf.device(self._place):
                if moved or self._model is self._graph:
                    return self._run_graph(feeds, moved, self._graph.outputs)
                results = self._model(**{name: tf.constant(array) for name, array in feeds.items()})
        except Exception as error:  # tf.errors and the errors of its Python side have no base of their own
            raise VerificationError(f"{self._path.name}: the run ends with: {_first_line(error)}") from error
        return {name: tensor.numpy() for name, tensor in results.items()}

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """Every inner float tensor of one run by the name of its node, in order of execution."""
        with self._tf.device(self._place):
            wanted = {tensor.op.name: tensor for tensor in self._graph.inner()}
            return self._run_graph(feeds, (), wanted)

    def nodes(self) -> list[tuple[str, str, list[str]]]:
        """The nodes that `tensors` shows: name, type, and the names of the nodes it takes from."""
        return [
            (tensor.op.name, tensor.op.type, [value.op.name for value in tensor.op.inputs])
            for tensor in self._graph.inner()
        ]

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def memory(self) -> dict[str, int]:
        if not self._settings.on_gpu:
            return {"host": host_memory()}
        info = self._tf.config.experimental.get_memory_info(f"GPU:{self._settings.index}")
        return {"host": host_memory(), "device": int(info["peak"])}

    def close(self) -> None:
        del self._model
        self._cut.clear()

    @cached_property
    def _graph(self) -> OpenedGraph:
        return self._model if isinstance(self._model, OpenedGraph) else opened(self._model)

    def _given_as_float(self, feeds: Tensors) -> tuple[str, ...]:
        return tuple(
            spec.name
            for spec in self.inputs
            if spec.dtype == "uint8" and spec.name in feeds and feeds[spec.name].dtype.kind == "f"
        )

    def _run_graph(self, feeds: Tensors, moved: tuple[str, ...], wanted: Mapping[str, Any]) -> dict[str, Array]:
        """From the inputs, or from behind their casts, to any tensors of the graph."""
        key = (*moved, "", *wanted)
        if key not in self._cut:
            given = [self._behind_cast(name) if name in moved else self._graph.inputs[name] for name in feeds]
            self._cut[key] = self._graph.between(given, list(wanted.values()))
        results = self._cut[key](*(self._tf.constant(array) for array in feeds.values()))
        return {name: tensor.numpy() for name, tensor in zip(wanted, results, strict=True)}

    def _behind_cast(self, name: str) -> Any:
        tensor = self._graph.behind_cast(name)
        if tensor is None:
            raise UsageError(f"{self._path.name}: the graph does not turn {name} into float32 at once")
        return tensor


def load(path: Path, settings: Settings) -> TensorFlowRunner:
    """Open a frozen graph, or a SavedModel by its folder or its saved_model.pb. See `zoo.verify.runtimes.protocol`."""
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


def _opened(tf: Any, path: Path, place: str) -> Any:
    """The signature of a SavedModel, or a frozen graph."""
    try:
        with tf.device(place):
            if path.is_file() and path.name != SAVED_MODEL:
                return open_frozen(tf, path)
            loaded = tf.saved_model.load(str(path.parent if path.is_file() else path))
    except Exception as error:  # as above
        raise VerificationError(
            f"{path.name}: TensorFlow {tf.__version__} refuses the model: {_first_line(error)}"
        ) from error
    if SIGNATURE not in loaded.signatures:
        raise VerificationError(f"{path.name}: no signature {SIGNATURE!r}; it has {list(loaded.signatures)}")
    signature = loaded.signatures[SIGNATURE]
    signature.kept = loaded  # its variables live as long as what was loaded
    return signature


def _spec(name: str, spec: Any) -> TensorSpec:
    shape = () if spec.shape.rank is None else tuple("?" if size is None else int(size) for size in spec.shape)
    return TensorSpec(name, spec.dtype.name, shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
