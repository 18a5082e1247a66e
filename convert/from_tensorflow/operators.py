"""From the rewritten TensorFlow graph to ONNX: tf2onnx translates it, except for what is put in its place afterwards.

Constants are computed by TensorFlow itself first (anchors become initializers). Then the graph is cut: suppressions are
placeholders already, and what ONNX computes otherwise (TensorFlow 1's resize and crop, sigmoids of scores, reshapes of
what may be empty) or cannot say (a size that is only declared) becomes a placeholder too. Their inputs are asked for as
outputs, so that one translation gives all the parts, which `assemble` joins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper

from zoo.convert.from_tensorflow.batching.context import static
from zoo.convert.from_tensorflow.graph import node_name, reference
from zoo.convert.onnx_graph.build import OPSET

CUT = {"ResizeBilinear", "CropAndResize", "EnsureShape"}
GATING = {"Mul"}  # a sigmoid that is multiplied is an activation or a gate, not a score
BIG = 1 << 24  # elements of a constant that is computed beforehand


@dataclass(frozen=True)
class Cut:
    """An operator that ONNX gets by other means: inputs are references or, where known, values. `channels` is the size
    of the result's last axis, None where it is not known."""

    op: str
    name: str
    inputs: tuple[str | np.ndarray, ...]
    attributes: Mapping[str, Any]
    channels: int | None


@dataclass(frozen=True)
class Translated:
    """What tf2onnx made: `model` takes the graph's inputs and the results of `cuts`, and gives what these need."""

    model: onnx.ModelProto
    cuts: tuple[Cut, ...]


def translate(graph: tf.Graph, inputs: Sequence[Any], wanted: Sequence[Any], given: Sequence[Any]) -> Translated:
    """Translate what `wanted` tensors need. `inputs` are the graph's placeholders, `given` those of suppressions."""
    definition = graph.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    order = [operation.name for operation in graph.get_operations()]
    _compute_constants(graph, nodes, order, [tensor.name for tensor in wanted])
    _skip_idle_reshapes(graph, nodes)
    needed = _needed(nodes, [tensor.name for tensor in wanted])
    gates, counted = _gates(nodes, needed), _counted(nodes, order)
    cut = [name for name in order if name in needed and _is_cut(graph, nodes[name], gates, counted)]
    cuts = [_cut(graph, nodes, name) for name in cut]
    outputs = [tensor.name for tensor in wanted]
    outputs += [ref for cut in cuts for ref in cut.inputs if isinstance(ref, str)]
    placeholders = [tensor.name for tensor in (*inputs, *given)] + [f"{cut.name}:0" for cut in cuts]
    reached = _needed(nodes, outputs)
    slim = tf.compat.v1.GraphDef(versions=definition.versions)
    slim.node.extend(nodes[name] for name in _sorted(nodes, reached))
    return Translated(_onnx(slim, [p for p in placeholders if node_name(p) in reached], outputs), tuple(cuts))


def _sorted(nodes: Mapping[str, Any], names: set[str]) -> list[str]:
    return [name for name in nodes if name in names]


def _needed(nodes: Mapping[str, Any], refs: Sequence[str]) -> set[str]:
    """The names of the nodes that `refs` depend on."""
    pending, needed = [node_name(reference(ref)) for ref in refs], set()
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [node_name(reference(text)) for text in nodes[name].input]
    return needed


def _compute_constants(graph: tf.Graph, nodes: dict[str, Any], order: list[str], wanted: list[str]) -> None:
    """Replace what depends on constants alone by its value, as TensorFlow computes it."""
    needed = _needed(nodes, wanted)
    fixed: set[str] = set()
    for name in order:
        node = nodes[name]
        own = [node_name(reference(text)) for text in node.input]
        if node.op == "Const" or (own and all(parent in fixed for parent in own) and node.op not in CUT):
            fixed.add(name)
    border = {
        reference(text)
        for name in needed - fixed
        for text in nodes[name].input
        if (parent := node_name(reference(text))) in fixed and nodes[parent].op != "Const"
    }
    border |= {ref for ref in wanted if node_name(ref) in fixed and nodes[node_name(ref)].op != "Const"}
    border = {ref for ref in border if (graph.get_tensor_by_name(ref).shape.num_elements() or 0) <= BIG}
    refs = sorted(border)
    for ref, array in zip(refs, _run(nodes, refs), strict=True):
        _become_constant(nodes, needed, ref, array)


def _run(nodes: Mapping[str, Any], refs: list[str]) -> list[np.ndarray]:
    """The values of tensors that depend on constants alone, from a graph without the weights of the others."""
    if not refs:
        return []
    needed = _needed(nodes, refs)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        definition = tf.compat.v1.GraphDef()
        definition.node.extend(nodes[name] for name in _sorted(nodes, needed))
        tf.import_graph_def(definition, name="")
        arrays: list[np.ndarray] = session.run(refs)
    return arrays


def _become_constant(nodes: dict[str, Any], needed: set[str], ref: str, array: np.ndarray) -> None:
    name, _, output = ref.rpartition(":")
    new = f"{name}/value{output}"
    constant = tf.compat.v1.NodeDef(name=new, op="Const")
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    constant.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    nodes[new] = constant
    for user in needed:
        for position, text in enumerate(nodes[user].input):
            if reference(text) == ref:
                nodes[user].input[position] = f"{new}:0"
    if output == "0":
        nodes[name] = tf.compat.v1.NodeDef(name=name, op="Identity", input=[f"{new}:0"])
        nodes[name].attr["T"].type = constant.attr["dtype"].type


def _skip_idle_reshapes(graph: tf.Graph, nodes: dict[str, Any]) -> None:
    """Let what is reshaped to the shape that it has, or had, be read as it is: no layout is turned around it then."""
    for operation in graph.get_operations():
        if operation.type != "Reshape":
            continue
        result = source = operation.outputs[0]
        while source.op.type == "Reshape":
            source = source.op.inputs[0]
            if _is_of_shape(source, result):
                name, kind = operation.name, nodes[operation.name].attr["T"]
                nodes[name] = tf.compat.v1.NodeDef(name=name, op="Identity", input=[source.name])
                nodes[name].attr["T"].CopyFrom(kind)


def _is_of_shape(source: Any, result: Any) -> bool:
    """True where all axes but the first are known and equal, which makes the first ones equal too."""
    own, other = (tensor.shape[1:] if tensor.shape.rank else None for tensor in (source, result))
    return own is not None and own.is_fully_defined() and 0 not in own.as_list() and own == other


def _gates(nodes: Mapping[str, Any], needed: set[str]) -> set[str]:
    """The names of the nodes whose results are multiplied."""
    users = (nodes[name] for name in needed if nodes[name].op in GATING)
    return {node_name(reference(text)) for user in users for text in user.input}


def _counted(nodes: Mapping[str, Any], order: Sequence[str]) -> set[str]:
    """The names of the nodes that depend on what Where finds, which may be nothing."""
    counted: set[str] = set()
    for name in order:
        parents = (node_name(reference(text)) for text in nodes[name].input)
        if nodes[name].op == "Where" or any(parent in counted for parent in parents):
            counted.add(name)
    return counted


def _is_cut(graph: tf.Graph, node: Any, gates: set[str], counted: set[str]) -> bool:
    if node.op == "Sigmoid":
        return node.name not in gates
    if node.op == "Reshape":
        return all(node_name(reference(text)) in counted for text in node.input)
    if node.op == "ResizeNearestNeighbor":
        return not _repeats_pixels(graph.get_operation_by_name(node.name))
    return node.op in CUT


def _repeats_pixels(resize: tf.Operation) -> bool:
    """True where each pixel becomes two or four in a row, as in a feature pyramid: that needs no rule for rounding."""
    sizes = zip(resize.inputs[0].shape[1:3], resize.outputs[0].shape[1:3], strict=True)
    growths = {None if None in (given, made) else made / given for given, made in sizes}
    return growths <= {1.0, 2.0, 4.0} and not resize.get_attr("align_corners")


def _cut(graph: tf.Graph, nodes: dict[str, Any], name: str) -> Cut:
    operation = graph.get_operation_by_name(name)
    result = operation.outputs[0]
    inputs: list[str | np.ndarray] = []
    for text, tensor in zip(nodes[name].input, operation.inputs, strict=True):
        value = static(tensor)
        if value is None and nodes[node_name(reference(text))].op == "Const":
            value = tf.make_ndarray(nodes[node_name(reference(text))].attr["value"].tensor)
        inputs.append(reference(text) if value is None else value)
    attributes = {
        key: operation.get_attr(key)
        for key in ("align_corners", "half_pixel_centers", "method", "extrapolation_value")
        if key in nodes[name].attr
    }
    placeholder = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    placeholder.attr["dtype"].type = result.dtype.as_datatype_enum
    placeholder.attr["shape"].shape.CopyFrom(result.shape.as_proto())
    op = nodes[name].op
    nodes[name] = placeholder
    return Cut(op, name, tuple(inputs), attributes, result.shape[-1] if result.shape.rank else None)


def _onnx(definition: Any, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    from tf2onnx import optimizer, tfonnx

    passes = (
        optimizer.TransposeOptimizer,
        optimizer.ConstFoldOptimizer,
        optimizer.ConstDequantizeOptimizer,
        optimizer.MergeDuplicatedNodesOptimizer,
        optimizer.GlobalPoolOptimizer,
        optimizer.QDQOptimizer,
        optimizer.IdentityOptimizer,
        optimizer.BackToBackOptimizer,
    )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        translated = tfonnx.process_tf_graph(
            graph, opset=OPSET, input_names=inputs, output_names=list(dict.fromkeys(outputs))
        )
    # Told to catch errors, tf2onnx copies the graph with its weights before each pass: gigabytes and half the time.
    named = {kind.__name__: _lightly(kind) for kind in passes}
    better = optimizer.optimize_graph(translated, catch_errors=False, optimizers=named)
    _forget_copies(better)
    model: onnx.ModelProto = better.make_model("zoo")
    return model


def _lightly(kind: type[Any]) -> type[Any]:
    """One of tf2onnx's passes, without what the passes before it left behind."""

    def optimize(self: Any, graph: Any, iteration: int) -> Any:
        _forget_copies(graph)
        return kind.optimize(self, graph, iteration)

    return type(kind.__name__, (kind,), {"optimize": optimize})


def _forget_copies(graph: Any) -> None:
    """After each pass tf2onnx copies every constant into its node's message once more, and protobuf keeps the older
    copies as long as the message lives. A new message ends that; the constant itself is kept elsewhere."""
    for node in graph.get_nodes():
        if node.is_const():
            node._op = helper.make_node(node.type, [], list(node.output), name=node.name)
