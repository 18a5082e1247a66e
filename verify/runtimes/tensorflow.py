"""TensorFlow: a SavedModel by its `serving_default` signature, or a frozen graph (.pb). Run in a process of its own
(see `isolated`), because threads can be set only once in a process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from zoo.base.acting import acting_in_graph, acting_in_saved_model
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
from zoo.verify.runtimes.tensorflow_graph import Mean, OpenedGraph, open_frozen, opened

SIGNATURE = "serving_default"
SAVED_MODEL = "saved_model.pb"

Given = dict[str, tuple[Any, Array]]
"""Name → a tensor of the graph and its value."""


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
        self._original = originals(path)
        self._own = {original: name for name, original in self._original.items()}
        self.inputs = tuple(_spec(self._original.get(name, name), spec) for name, spec in inputs.items())
        self.outputs = tuple(_spec(self._original.get(name, name), spec) for name, spec in outputs.items())
        self._cut: dict[tuple[str, ...], Any] = {}
        self._exact: tuple[bytes, Given] = b"", {}
        self.device = settings.device if not settings.on_gpu else f"cuda:{settings.index}"

    def run(self, feeds: Tensors) -> dict[str, Array]:
        tf = self._tf
        try:
            with tf.device(self._place):
                if isinstance(self._model, OpenedGraph):
                    return self._through(self._given(feeds), self._model.outputs)
                results = self._model(**{self._own.get(name, name): tf.constant(feeds[name]) for name in feeds})
        except Exception as error:  # tf.errors and the errors of its Python side have no base of their own
            raise VerificationError(f"{self._path.name}: the run ends with: {_first_line(error)}") from error
        return {self._original.get(name, name): tensor.numpy() for name, tensor in results.items()}

    def moved(
        self, feeds: Tensors, share: float, seed: int, inner: bool, crops: bool, exact: bool, ties: bool
    ) -> dict[str, Array]:
        """As `run`, or with `inner` as `tensors`, with the picture moved: every number of the first float tensors
        that the graph makes of it goes up or down by the `share` of itself. With `crops` the boxes that are cut out
        between the stages are moved as well: of a box that ends where the picture ends, the last bit decides whether
        CropAndResize takes its last row from the picture or fills it up, and few runs would show both.

        Of scores that are equal to the last bit, as saturated ones are in all runs, TensorFlow takes the first first,
        where others, as right, take any: with `ties` these, and only these, move by one such bit.

        With `exact` the means over a picture are those of other programs: TensorFlow adds its thousands of float32 one
        after another, in every run alike, and is off by 2e-5 of a mean over 128 x 128 where sums in blocks are by 1e-7.
        """
        wanted = self._inner if inner else self._graph.outputs
        random = np.random.default_rng(seed)
        given = self._given(feeds)
        with self._tf.device(self._place):
            first = {tensor.name: tensor for tensor in self._graph.first_floats()}
            values = self._through(given, first) if first else {}
            given = {name: (tensor, _shaken(array, share, random)) for name, (tensor, array) in given.items()}
            given |= {name: (first[name], _shaken(array, share, random)) for name, array in values.items()}
            given |= self._exact_means(feeds) if exact else {}
            scores = self._scores if ties else {}
            ranked = self._through(given, scores) if scores else {}
            given |= {name: (scores[name], _without_ties(array, random)) for name, array in ranked.items()}
            cut = self._crops if crops else {}
            boxes = self._through(given, cut) if cut else {}
            given |= {name: (cut[name], _shaken(array, share, random)) for name, array in boxes.items()}
            return self._through(given, wanted)

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """Every inner float tensor of one run by the name of its node, in order of execution."""
        with self._tf.device(self._place):
            return self._through(self._given(feeds), self._inner)

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
        return {"host": host_memory(), "device": int(info["current"]), "device_peak": int(info["peak"])}

    def close(self) -> None:
        del self._model
        self._cut.clear()

    @cached_property
    def _graph(self) -> OpenedGraph:
        return self._model if isinstance(self._model, OpenedGraph) else opened(self._model)

    @cached_property
    def _inner(self) -> dict[str, Any]:
        return {tensor.op.name: tensor for tensor in self._graph.inner()}

    @cached_property
    def _crops(self) -> dict[str, Any]:
        return self._graph.crop_boxes()

    @cached_property
    def _scores(self) -> dict[str, Any]:
        return self._graph.scores()

    @cached_property
    def _means(self) -> dict[str, Mean]:
        return self._graph.means()

    def _exact_means(self, feeds: Tensors) -> Given:
        """The means with their exact values, those of the last picture kept. Each run makes right the first that is not
        yet: it depends on those before it only."""
        key = b"".join(array.tobytes() for array in feeds.values())
        if key != self._exact[0]:
            pictures = {name: mean.source for name, mean in self._means.items()}
            given: Given = {}
            for _ in pictures:
                shown = self._through(self._given(feeds) | given, pictures)
                before = given
                given = {name: (mean.result, _mean_of(mean, shown[name])) for name, mean in self._means.items()}
                if before and all(np.array_equal(given[name][1], before[name][1]) for name in given):
                    break
            self._exact = key, given
        return self._exact[1]

    def _given(self, feeds: Tensors) -> Given:
        """The graph's inputs with their values."""
        return {name: (self._graph.inputs[self._own.get(name, name)], array) for name, array in feeds.items()}

    def _through(self, given: Given, wanted: Mapping[str, Any]) -> dict[str, Array]:
        """From some tensors of the graph to others."""
        key = (*given, "", *wanted)
        if key not in self._cut:
            tensors = [tensor for tensor, _ in given.values()]
            self._cut[key] = self._graph.between(tensors, list(wanted.values()))
        results = self._cut[key](*(self._tf.constant(array) for _, array in given.values()))
        return {name: tensor.numpy() for name, tensor in zip(wanted, results, strict=True)}


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


def _refuse_acting(tf: Any, path: Path) -> None:
    """Raise VerificationError for a model that would do more than compute; TensorFlow may do that when it opens it."""
    try:
        if path.is_file() and path.name != SAVED_MODEL:
            acting = acting_in_graph(tf.compat.v1.GraphDef.FromString(path.read_bytes()))
        else:
            from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

            content = (path.parent if path.is_file() else path) / SAVED_MODEL
            metas = SavedModel.FromString(content.read_bytes()).meta_graphs
            acting = [operator for meta in metas for operator in acting_in_saved_model(meta)]
    except (OSError, DecodeError) as error:
        raise VerificationError(f"{path.name} is no TensorFlow model: {_first_line(error)}") from error
    if acting:
        raise VerificationError(
            f"{path.name} is not run: it would do more than compute: {', '.join(acting[:5])}",
            hint="no detector needs to: get it from where it was published",
        )


def _opened(tf: Any, path: Path, place: str) -> Any:
    """The signature of a SavedModel, or a frozen graph."""
    _refuse_acting(tf, path)
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


def _shaken(array: Array, share: float, random: np.random.Generator) -> Array:
    """Floats up or down by the `share` of themselves; with 2⁻²³ float32 moves by one unit in the last place."""
    if array.dtype.kind != "f":
        return array
    return (array * (1 + share * random.choice([-1.0, 1.0], array.shape))).astype(array.dtype)


def _without_ties(array: Array, random: np.random.Generator) -> Array:
    """Numbers that are equal go up, down or nowhere by one unit in the last place; all others stay."""
    if array.dtype.kind != "f":
        return array
    _, kinds, counts = np.unique(array, return_inverse=True, return_counts=True)
    steps = np.finfo(array.dtype).eps * random.choice([-1.0, 0.0, 1.0], array.shape)
    tied = counts[kinds].reshape(array.shape) > 1
    result: Array = (array * (1 + steps * tied)).astype(array.dtype)
    return result


def _mean_of(mean: Mean, picture: Array) -> Array:
    """The mean without the rounding of its sums."""
    result: Array = picture.mean(mean.axes, np.float64, keepdims=mean.keeps).astype(picture.dtype)
    return result


def _spec(name: str, spec: Any) -> TensorSpec:
    shape = () if spec.shape.rank is None else tuple("?" if size is None else int(size) for size in spec.shape)
    return TensorSpec(name, spec.dtype.name, shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
