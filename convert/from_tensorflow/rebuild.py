"""From a loaded graph to an ONNX model: rebuilt for many images, translated, assembled. Runs in the child only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.base.artifact import TensorSpec
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.from_tensorflow.assemble import assemble
from zoo.convert.from_tensorflow.batching.context import Context
from zoo.convert.from_tensorflow.batching.value import NotBatched, Value, as_folded, folded
from zoo.convert.from_tensorflow.evaluate import Evaluator
from zoo.convert.from_tensorflow.graph import Node, SourceGraph
from zoo.convert.from_tensorflow.load import Loaded
from zoo.convert.from_tensorflow.meaning import INPUT_MEANING, RAW_INPUT, RAW_MEANING, meaning_of
from zoo.convert.from_tensorflow.operators import translate
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.rewrite import branches, combined_nms, loops, nms
from zoo.convert.onnx_graph.build import Model

HANDLERS = {**loops.HANDLERS, **branches.HANDLERS, **combined_nms.HANDLERS, "stage": nms.stage_results}
DEPTH = 50_000  # of Python's stack: a graph is walked recursively, and a deep one has thousands of operators in a row
RAW = ("raw_detection_boxes", "raw_detection_scores")
Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Rebuilt:
    """The model, what it takes and gives, and whether it computes many images at once."""

    model: Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    suppression: Mapping[str, Any]  # what the source's last one does; see `zoo.vision.suppression`


@dataclass(frozen=True)
class _Graph:
    """The new TensorFlow graph: its placeholders and results by name."""

    graph: tf.Graph
    evaluator: Evaluator
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def rebuild(loaded: Loaded, options: TensorFlowSourceOptions, name: str, stage: Stage) -> Rebuilt:
    """Raises ConversionError where the graph has a form that is not known, UsageError where an option cannot be met."""
    sys.setrecursionlimit(DEPTH)
    notes: list[str] = []
    with stage("rewrite"):
        try:
            built = _build(loaded, options, batched=True)
        except NotBatched as error:
            if not _is_single(loaded):
                raise
            if (options.batch or 1) != 1:
                raise UsageError(f"this graph computes one image at a time: {error.message}") from error
            built = _build(loaded, options, batched=False)
            notes.append(f"batch 1 only: {error.message}")
    given = [tensor for item in built.evaluator.suppressions for tensor in item.outputs.values()]
    wanted = [*built.outputs.values(), *_suppression_inputs(built.evaluator)]
    with stage("translate"):
        translated = translate(built.graph, list(built.inputs.values()), wanted, given)
    inputs = {tensor.name: _spec(key, tensor, _input_meaning(key)) for key, tensor in built.inputs.items()}
    outputs = {tensor.name: _spec(key, tensor, meaning_of(key)) for key, tensor in built.outputs.items()}
    with stage("assemble"):
        model = assemble(translated, built.evaluator.suppressions, inputs, outputs, name)
    suppression = _described_suppression(built)
    return Rebuilt(model, tuple(inputs.values()), tuple(outputs.values()), tuple(notes), suppression)


def _suppression_inputs(evaluator: Evaluator) -> list[Any]:
    tensors = []
    for item in evaluator.suppressions:
        tensors += [item.boxes, item.scores, item.valid, item.window, *item.fields]
    return [tensor for tensor in tensors if tensor is not None]


def _described_suppression(built: _Graph) -> dict[str, Any]:
    """What the last suppression does, in the model or cut off its end; nothing where the source has none, or one over
    all classes together."""
    evaluator = built.evaluator
    stages = [item.stage for item in evaluator.suppressions] or list(evaluator.stage_outputs.values())
    scores = built.outputs.get(RAW[1])
    if not stages or scores is None or scores.shape.rank is None:
        return {}
    last, columns = stages[-1], scores.shape[-1]
    if columns is None or not 0 <= columns - last.classes <= 1:  # one column more is for no object
        return {}
    return {
        "classes": last.classes,
        "score": max(last.score_threshold, 0.0),
        "iou": last.iou_threshold,
        "limit_per_class": last.limit_per_class,
        "limit": last.limit,
        "clips": "before" if last.clips_first else "after" if last.clips else "never",
    }


def _is_single(loaded: Loaded) -> bool:
    """True for a graph that was exported for batch 1."""
    return any(shape[:1] == (1,) for shape in loaded.shapes.values())


def _build(loaded: Loaded, options: TensorFlowSourceOptions, *, batched: bool) -> _Graph:
    graph = tf.Graph()
    with graph.as_default():
        evaluator = Evaluator(loaded.graph, Context(graph), {}, handlers=HANDLERS)
        inputs = {}
        for key, ref in loaded.inputs.items():
            shape = list(loaded.shapes[key])
            many = batched and shape[:1] == [1] and len(shape) == 4
            sizes = _sized(shape, options, many)
            inputs[key] = tf.compat.v1.placeholder(loaded.dtypes[key], sizes, name=key)
            evaluator.bound[ref] = _given(inputs[key], many)
        if options.pre == "raw":
            evaluator, raw = _from_raw_input(evaluator, loaded, options.batch)
            inputs = {RAW_INPUT: raw}
        outputs = {key: _result(value, key) for key, value in _values(loaded, evaluator, options).items()}
    return _Graph(graph, evaluator, inputs, outputs)


def _sized(shape: list[int | None], options: TensorFlowSourceOptions, many: bool) -> list[int | None]:
    if len(shape) != 4:
        return shape
    asked = [options.batch, options.height, options.width, None]
    free = [None if many else shape[0], *shape[1:]]
    for size, wanted in zip(free, asked, strict=True):
        if None not in (size, wanted) and size != wanted:
            raise UsageError(f"the input's shape is {shape}: it cannot be fixed to {wanted} where it is {size}")
    return [wanted if wanted is not None else size for size, wanted in zip(free, asked, strict=True)]


def _given(tensor: Any, many: bool) -> Value:
    return folded(tensor, tf.shape(tensor)[0], 1) if many else Value(tensor)


def _from_raw_input(whole: Evaluator, loaded: Loaded, batch: int | None) -> tuple[Evaluator, Any]:
    """An evaluator that begins at what the first convolution takes, and the placeholder in that place."""
    ref = network_input(loaded.graph)
    value = whole.value(ref)
    tensor = tf.compat.v1.placeholder(value.tensor.dtype, [batch, *value.tensor.shape[1:]], name=RAW_INPUT)
    start = Value(tensor) if value.is_shared else folded(tensor, tf.shape(tensor)[0], 1)
    return Evaluator(loaded.graph, whole.context, {ref: start}, handlers={**HANDLERS, "Placeholder": _refuse}), tensor


def _refuse(evaluator: Evaluator, node: Node) -> list[Value]:
    raise UsageError(
        f"the detections depend on the size of {node.name!r}, not only on the network's own input",
        hint="use pre=image, or a model with a fixed size",
    )


def network_input(graph: SourceGraph) -> str:
    """The reference of the resized and normalised pictures: what the first convolution takes, its padding left out."""
    convolution = next((n for n in graph.nodes.values() if n.op in ("Conv2D", "DepthwiseConv2dNative")), None)
    if convolution is None:
        raise ConversionError("the graph has no convolution, so it has no network input", hint="use pre=image")
    ref = graph.origin(convolution.inputs[0])
    while graph.source(ref).op in ("Pad", "PadV2", "SpaceToBatchND"):
        ref = graph.origin(graph.source(ref).inputs[0])
    return ref


def _values(loaded: Loaded, evaluator: Evaluator, options: TensorFlowSourceOptions) -> dict[str, Value]:
    if options.post == "detections":
        return {key: evaluator.value(ref) for key, ref in loaded.outputs.items()}
    if all(key in loaded.outputs for key in RAW):
        return {key: evaluator.value(loaded.outputs[key]) for key in RAW}
    stages = list({id(stage): stage for stage in evaluator.stage_outputs.values()}.values())
    if not stages:
        raise UsageError("the graph has no suppression, so it has no boxes before it", hint="use post=detections")
    last = stages[-1]
    return dict(zip(RAW, (evaluator.value(table.ref) for table in (last.boxes, last.scores)), strict=True))


def _result(value: Value, key: str) -> Any:
    """The tensor of an output, in which the images are inside the leading axis, as in the source."""
    tensor = value.tensor if value.is_shared else as_folded(value, value.images).tensor
    return tf.identity(tensor, name=f"result/{key}")


def _spec(key: str, tensor: Any, meaning: str) -> TensorSpec:
    sizes = ["?" if size is None else size for size in tensor.shape.as_list()]
    if sizes and sizes[0] == "?":
        sizes[0] = "batch" if key not in ("anchors",) else "?"
    if len(sizes) == 4 and sizes[1:3] == ["?", "?"] and not key.startswith("detection"):
        sizes[1:3] = ["height", "width"]
    return TensorSpec(key, tensor.dtype.as_numpy_dtype.__name__, tuple(sizes), meaning)


def _input_meaning(key: str) -> str:
    return RAW_MEANING if key == RAW_INPUT else INPUT_MEANING
