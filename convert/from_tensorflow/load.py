"""Opens a frozen graph or SavedModel with TensorFlow, and judges it. Runs in the child process only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry

from zoo.base.acting import acting_in_graph, acting_in_saved_model
from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.graph import SourceGraph
from zoo.convert.from_tensorflow.inline import inlined, variables_of, with_values
from zoo.convert.from_tensorflow.source import AGAIN, FROZEN, SAVED_NAME, Source

DETECTION_PREFIXES = ("detection_", "num_detections", "raw_detection_")
VARIABLES = {"VarHandleOp", "VariableV2", "Variable", "ReadVariableOp", "VarIsInitializedOp"}
TRAINING = ("Apply", "ResourceApply", "FIFOQueue", "QueueDequeue", "IteratorGetNext", "Conv2DBackprop", "SparseApply")
EXPORT = "export the trained model with the Object Detection API: --input_type image_tensor"


@dataclass(frozen=True)
class Loaded:
    """A frozen graph. `inputs` and `outputs` map the source's names to references; `shapes` belong to the inputs."""

    graph: SourceGraph
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    shapes: Mapping[str, tuple[int | None, ...]]
    dtypes: Mapping[str, Any]


def load(source: Source, signature: str) -> Loaded:
    """Raises ConversionError where the file is damaged, not an inference graph, or of a form zoo cannot convert."""
    if source.kind == FROZEN:
        return _frozen(source.path)
    return _saved(source.path, signature)


def _frozen(path: Path) -> Loaded:
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ConversionError(f"{path} is not a whole TensorFlow graph: {error}", hint=AGAIN) from error
    if not definition.node:
        raise ConversionError(f"{path} is not a TensorFlow graph: it has no nodes", hint=AGAIN)
    _refuse_acting(acting_in_graph(definition), path)
    graph = SourceGraph.of(definition)
    _judge(graph, path)
    sinks = [name for name in graph.nodes if name.startswith(DETECTION_PREFIXES) and "/" not in name]
    if not sinks:
        used = {ref.rpartition(":")[0] for node in graph.nodes.values() for ref in node.inputs}
        sinks = [n.name for n in graph.nodes.values() if n.name not in used and n.op not in ("Assert", "NoOp", "Const")]
    return _loaded(graph, {}, {name: f"{name}:0" for name in sinks}, path)


def _saved(folder: Path, signature: str) -> Loaded:
    path = folder / SAVED_NAME
    model = SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ConversionError(f"{path} is not a whole SavedModel: {error}", hint=AGAIN) from error
    _refuse_acting([operator for meta in model.meta_graphs for operator in acting_in_saved_model(meta)], path)
    metas = [meta for meta in model.meta_graphs if "serve" in meta.meta_info_def.tags]
    if not metas:
        raise ConversionError(f"{path} has no graph for serving", hint=EXPORT)
    meta = metas[0]
    operators = {node.op for node in meta.graph_def.node}
    operators |= {node.op for function in meta.graph_def.library.function for node in function.node_def}
    if operators & VARIABLES and not (folder / "variables" / "variables.index").is_file():
        raise ConversionError(
            f"{folder} has a graph with variables, but no variables/variables.index",
            hint="copy the whole SavedModel folder: saved_model.pb and variables/",
        )
    _refuse_unknown(operators, path)
    if signature not in meta.signature_def:
        known = sorted(name for name in meta.signature_def if not name.startswith("__"))
        raise ConversionError(f"{path} has no signature {signature!r}", hint=f"it has: {', '.join(known) or 'none'}")
    taken = meta.signature_def[signature]
    for name, info in taken.inputs.items():
        _refuse_string(name, tf.as_dtype(info.dtype), path)
    try:
        if meta.HasField("object_graph_def"):
            return _second(folder, meta, taken)
        return _first(folder, meta.meta_info_def.tags, taken)
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise ConversionError(f"{folder} cannot be loaded by TensorFlow: {_line(error)}", hint=AGAIN) from error


def _second(folder: Path, meta: Any, signature: Any) -> Loaded:
    """A SavedModel of TensorFlow 2."""
    whole = SourceGraph.of(meta.graph_def)
    inputs = {info.name: key for key, info in signature.inputs.items()}
    keys = sorted(signature.outputs)
    graph, refs = inlined(whole, [signature.outputs[key].name for key in keys])
    if any(node.op == "VarHandleOp" for node in graph.nodes.values()):
        graph = with_values(graph, variables_of(meta, whole), meta, str(folder / "variables" / "variables"))
    _judge(graph, folder)
    return _loaded(graph, inputs, dict(zip(keys, refs, strict=True)), folder)


def _first(folder: Path, tags: Any, signature: Any) -> Loaded:
    """A SavedModel of TensorFlow 1."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        tf.compat.v1.saved_model.load(session, list(tags), str(folder))
        names = sorted({info.name.partition(":")[0] for info in signature.outputs.values()})
        definition = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), names
        )
    graph = SourceGraph.of(definition)
    _judge(graph, folder)
    outputs = {name: info.name for name, info in signature.outputs.items()}
    return _loaded(graph, {}, outputs, folder)


def _loaded(graph: SourceGraph, keys: Mapping[str, str], outputs: Mapping[str, str], path: Path) -> Loaded:
    """`keys` are the inputs' names by reference, where they are called otherwise than their placeholders."""
    needed = _reached(graph, outputs.values())
    inputs, shapes, dtypes = {}, {}, {}
    for node in graph.nodes.values():
        if node.op == "Placeholder" and node.name in needed:
            key = keys.get(f"{node.name}:0", node.name)
            dtypes[key] = tf.as_dtype(node.attributes["dtype"].type)
            _refuse_string(key, dtypes[key], path)
            shape = tf.TensorShape(node.attributes["shape"].shape)
            inputs[key] = f"{node.name}:0"
            shapes[key] = tuple(shape.as_list()) if shape.rank is not None else ()
    if not inputs or not outputs:
        raise ConversionError(f"{path} has no {'input' if not inputs else 'output'} to convert", hint=EXPORT)
    return Loaded(graph, inputs, dict(sorted(outputs.items())), shapes, dtypes)


def _reached(graph: SourceGraph, refs: Any) -> set[str]:
    """The names of the nodes that `refs` depend on."""
    pending, reached = list(refs), set()
    while pending:
        node = graph.producer(pending.pop())
        if node.name not in reached:
            reached.add(node.name)
            pending += node.inputs
    return reached


def _judge(graph: SourceGraph, path: Path) -> None:
    """Refuse graphs that are not for inference or not frozen, and operators that TensorFlow does not have."""
    operators = {node.op for node in graph.nodes.values()}
    operators |= {node.op for name in graph.called() for node in graph.functions[name].node_def}
    training = sorted(op for op in operators if op.startswith(TRAINING))
    if training:
        raise ConversionError(f"{path} is a training graph: it has {', '.join(training[:5])}", hint=EXPORT)
    if operators & VARIABLES:
        raise ConversionError(f"{path} is not frozen: its weights are variables without values", hint=EXPORT)
    _refuse_unknown(operators - set(graph.functions), path)


def _refuse_acting(operators: Sequence[str], path: Path) -> None:
    if operators:
        raise ConversionError(
            f"{path} would do more than compute when it runs: it has {', '.join(operators[:5])}",
            hint="no detector needs to: get it from where it was published, or export it without those operators",
        )


def _refuse_unknown(operators: set[str], path: Path) -> None:
    unknown = sorted(op for op in operators if op_def_registry.get(op) is None)
    if unknown:
        raise ConversionError(
            f"{path} uses operators that TensorFlow {tf.__version__} does not have: {', '.join(unknown[:5])}",
            hint="custom operators have no meaning in ONNX: export the model without them "
            "(TFLite_Detection_PostProcess: use export_inference_graph.py instead)",
        )


def _refuse_string(name: str, dtype: Any, path: Path) -> None:
    if dtype == tf.string:
        raise ConversionError(f"{path}: its input {name!r} takes encoded strings, not pictures", hint=EXPORT)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
