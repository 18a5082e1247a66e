"""A SavedModel of TensorFlow 2 as one frozen graph: its functions written out, its variables read from the checkpoint.

TensorFlow's own way (load the model, freeze the function) rebuilds every Python object and every function of the
training code: half a minute and half a gigabyte for a model of a few megabytes. Here the served function alone is
taken from the file. Bodies of loops and branches stay functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.graph import Node, SourceGraph, node_name
from zoo.convert.from_tensorflow.source import AGAIN

CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # TensorFlow's key for the names of the objects in a checkpoint
VALUE = "VARIABLE_VALUE"


def inlined(graph: SourceGraph, outputs: Iterable[str]) -> tuple[SourceGraph, list[str]]:
    """What `outputs` need, with every call replaced by the body of its function; and the outputs' new references."""
    nodes: dict[str, Node] = {}
    found = _Inliner(graph, "", {}, nodes)
    return SourceGraph(nodes, graph.functions), [found.reference(ref) for ref in outputs]


class _Inliner:
    """Copies one graph's nodes to `nodes` as they are asked for; `given` are the references of its arguments."""

    def __init__(self, graph: SourceGraph, prefix: str, given: Mapping[str, str], nodes: dict[str, Node]) -> None:
        self.graph, self.prefix, self.given, self.nodes = graph, prefix, given, nodes
        self.bodies: dict[str, _Inliner] = {}

    def reference(self, ref: str) -> str:
        """The reference in the new graph."""
        if ref in self.given:
            return self.given[ref]
        node = self.graph.producer(ref)
        if node.op in CALLS:
            body = self._body(node)
            return body.reference(body.graph.results[int(ref.rpartition(":")[2])])
        name = f"{self.prefix}{node.name}"
        if name not in self.nodes:
            inputs = tuple(self.reference(given) for given in node.inputs)
            self.nodes[name] = Node(name, node.op, inputs, node.attributes)
        return f"{name}:{ref.rpartition(':')[2]}"

    def _body(self, call: Node) -> _Inliner:
        if call.name not in self.bodies:
            function = self.graph.function(call.attributes["f"].func.name)
            given = dict(zip(function.arguments, map(self.reference, call.inputs), strict=True))
            self.bodies[call.name] = _Inliner(function, f"{self.prefix}{call.name}/", given, self.nodes)
        return self.bodies[call.name]


def variables_of(meta: Any, graph: SourceGraph) -> dict[str, int]:
    """The variables that the served functions take besides their own inputs: node name → number of the object."""
    objects: dict[str, int] = {}
    for node in graph.nodes.values():
        function = node.attributes["f"].func.name if node.op in CALLS else ""
        if function in meta.object_graph_def.concrete_functions:
            bound = meta.object_graph_def.concrete_functions[function].bound_inputs
            captured = node.inputs[len(node.inputs) - len(bound) :]
            objects |= dict(zip(map(node_name, captured), bound, strict=True))
    return objects


def with_values(graph: SourceGraph, objects: Mapping[str, int], meta: Any, checkpoint: str) -> SourceGraph:
    """The graph with its variables as constants. Raises ConversionError where the checkpoint lacks one."""
    reader = tf.train.load_checkpoint(checkpoint)
    keys = _keys(meta.object_graph_def, TrackableObjectGraph.FromString(_read(reader, OBJECTS, checkpoint)))
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if node.op == "VarHandleOp":
            key = keys.get(objects.get(name, -1))
            if key is None or not reader.has_tensor(key):
                raise ConversionError(
                    f"{checkpoint} has no value of the variable {name!r}",
                    hint="copy the whole SavedModel folder again: saved_model.pb and variables/",
                )
            nodes[name] = _constant(node, _read(reader, key, checkpoint))
        elif node.op == "ReadVariableOp":
            nodes[name] = replace(node, op="Identity", attributes={"T": node.attributes["dtype"]})
    return replace(graph, nodes=nodes)


def _read(reader: Any, key: str, checkpoint: str) -> Any:
    try:
        return reader.get_tensor(key)
    except (IndexError, RuntimeError, ValueError, tf.errors.OpError) as error:  # as TensorFlow's reader translates them
        raise ConversionError(f"{checkpoint} is damaged at {key!r}: {error}", hint=AGAIN) from error


def _constant(variable: Node, array: Any) -> Node:
    made = tf.compat.v1.NodeDef(name=variable.name, op="Const")
    made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    made.attr["dtype"].type = variable.attributes["dtype"].type
    return Node(variable.name, "Const", (), made.attr)


def _keys(saved: Any, stored: Any) -> dict[int, str]:
    """Where the checkpoint has the value of each object of the SavedModel: both are trees with the same names."""
    partner, pending = {0: 0}, [0]
    while pending:
        number = pending.pop()
        children = {child.local_name: child.node_id for child in stored.nodes[partner[number]].children}
        for child in saved.nodes[number].children:
            if child.node_id not in partner and child.local_name in children:
                partner[child.node_id] = children[child.local_name]
                pending.append(child.node_id)
    return {
        number: attribute.checkpoint_key
        for number, other in partner.items()
        for attribute in stored.nodes[other].attributes
        if attribute.name == VALUE
    }
