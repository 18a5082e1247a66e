"""Makes a graph smaller without knowing its inputs: nodes that nobody needs go, and constant ones become initializers.

Constants are computed by ONNX's own reference implementation, one node at a time, and only where the result is known
beforehand to be small: a hostile file cannot make this take much memory.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph, Node, Value

MAX_ELEMENTS = 1 << 20  # of a folded result
RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
    "Dropout",
}
CONSTANT_DTYPES = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}


def simplified(graph: Graph) -> Graph:
    """The same function with constants folded and unneeded nodes and initializers removed, bodies included.

    Inputs and outputs stay as they are. Raises ConversionError where a constant node cannot be computed.
    """
    return without_dead_nodes(with_folded_constants(graph, {}))


def without_dead_nodes(graph: Graph) -> Graph:
    """Keep what the outputs need. A node that is kept keeps all its outputs."""
    needed = {value.name for value in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            node = _with_bodies(node, {key: without_dead_nodes(body) for key, body in _bodies(node)})
            kept.append(node)
            needed.update(node.inputs)
            for body in node.subgraphs():
                needed |= body.outer_names()
    initializers = {name: array for name, array in graph.initializers.items() if name in needed}
    return replace(graph, nodes=tuple(reversed(kept)), initializers=initializers)


def with_folded_constants(graph: Graph, outer: dict[str, np.ndarray]) -> Graph:
    """Replace nodes whose inputs are all constant by their value. `outer` holds the constants around a body."""
    own = dict(graph.initializers)
    constants = {**outer, **own}
    nodes = []
    for node in graph.nodes:
        results = _computed(node, constants, graph)
        if results is None:
            bodies = {key: with_folded_constants(body, constants) for key, body in _bodies(node)}
            nodes.append(_with_bodies(node, bodies))
        else:
            own |= results
            constants |= results
    values = {**graph.values, **{name: Value(name, array.dtype, array.shape) for name, array in own.items()}}
    return replace(graph, nodes=tuple(nodes), initializers=own, values=values)


def _bodies(node: Node) -> list[tuple[str, Graph]]:
    return [(key, value) for key, value in node.attributes.items() if isinstance(value, Graph)]


def _with_bodies(node: Node, bodies: dict[str, Graph]) -> Node:
    return replace(node, attributes={**node.attributes, **bodies}) if bodies else node


def _computed(node: Node, constants: dict[str, np.ndarray], graph: Graph) -> dict[str, np.ndarray] | None:
    """The values of a constant node's outputs; None where it is not constant, not deterministic or maybe big."""
    if node.op == "Constant":
        return {node.outputs[0]: _constant(node, graph)}
    if node.op in ("Shape", "Size"):
        return _static_shape(node, constants, graph)
    foldable = node.inputs and node.op not in RANDOM and not _bodies(node)
    if not foldable or any(name and name not in constants for name in node.inputs):
        return None
    if not all(_is_small(graph.value(name)) for name in node.outputs if name):
        return None
    inputs = {name: constants[name] for name in node.inputs if name}
    try:
        results = _evaluate(node, inputs, graph.opset)
    except Exception as error:  # the reference implementation raises what numpy and Python raise
        raise ConversionError(
            f"{graph.source}: {node} has constant inputs, but cannot be computed: {error}",
            hint="run the original model in its own framework: it should fail as well",
        ) from error
    return results


def _static_shape(node: Node, constants: dict[str, np.ndarray], graph: Graph) -> dict[str, np.ndarray] | None:
    """The result of Shape or Size where every size is known, whatever the tensor holds."""
    name = node.inputs[0]
    shape = constants[name].shape if name in constants else graph.value(name).shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        return None
    sizes = np.array(shape, np.int64)
    part = sizes[node.attributes.get("start", 0) : node.attributes.get("end")]
    return {node.outputs[0]: part if node.op == "Shape" else np.array(math.prod(shape), np.int64)}


def _is_small(value: Value) -> bool:
    count = 1
    for size in value.shape or (None,):
        if not isinstance(size, int):
            return value.shape == ()
        count *= size
    return count <= MAX_ELEMENTS


def _constant(node: Node, graph: Graph) -> np.ndarray:
    if len(node.attributes) != 1:
        raise ConversionError(f"{graph.source}: {node} has {len(node.attributes)} values, expected 1")
    ((kind, value),) = node.attributes.items()
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, CONSTANT_DTYPES.get(kind, np.object_))


def _evaluate(node: Node, inputs: dict[str, np.ndarray], opset: int) -> dict[str, np.ndarray]:
    from onnx.reference import ReferenceEvaluator  # imports every reference operator: only where there is work

    proto = onnx.helper.make_node(node.op, node.inputs, node.outputs, **_attributes(node))
    graph = onnx.GraphProto(name="constant", node=[proto])
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in inputs)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.outputs if name)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    arrays = ReferenceEvaluator(model).run(None, inputs)
    return {name: np.asarray(array) for name, array in zip(filter(None, node.outputs), arrays, strict=True)}


def _attributes(node: Node) -> dict[str, Any]:
    return {
        key: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in node.attributes.items()
    }
