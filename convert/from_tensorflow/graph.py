"""A read-only index of a TensorFlow graph: who makes a tensor, who uses it, what is constant. It changes nothing.

A tensor is named by a reference "node:output". Control inputs are left out: a frozen graph is read for what it
computes, and checks such as Assert are not part of that. Bodies of loops and branches of TensorFlow 2 are functions;
`SourceGraph.function` gives one as a graph of its own, in which the arguments are placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.source import AGAIN

PASSING = {"Identity", "StopGradient", "PreventGradient", "Snapshot", "Enter", "RefEnter"}
"""Operators that give their first input unchanged."""
IMPLEMENTED = {b"non_max_suppression_padded_v2": ("NonMaxSuppressionV4", 5)}
"""Functions that TensorFlow itself marks as the implementation of something, by that mark: the operator that computes
the same, and how many of the function's arguments it takes. A call of one is read as the operator."""


@dataclass(frozen=True)
class Node:
    """One operator. `inputs` are references; `attributes` the protobuf AttrValues of its NodeDef."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.op} {self.name!r}"

    def integer(self, attribute: str, default: int = 0) -> int:
        return int(self.attributes[attribute].i) if attribute in self.attributes else default

    def integers(self, attribute: str) -> tuple[int, ...]:
        return tuple(self.attributes[attribute].list.i) if attribute in self.attributes else ()

    def flag(self, attribute: str, default: bool = False) -> bool:
        return bool(self.attributes[attribute].b) if attribute in self.attributes else default


def reference(text: str) -> str:
    """The canonical form "node:output" of an input of a NodeDef."""
    return text if ":" in text else f"{text}:0"


def node_name(ref: str) -> str:
    return ref.rpartition(":")[0]


@dataclass(frozen=True)
class SourceGraph:
    """The nodes of a GraphDef by name, in its order, and the functions that they call."""

    nodes: Mapping[str, Node]
    functions: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[str, ...] = ()  # of a function: what it returns, in the order of its signature
    arguments: tuple[str, ...] = ()

    @classmethod
    def of(cls, graph_def: Any) -> SourceGraph:
        functions = {function.signature.name: function for function in graph_def.library.function}
        nodes = {node.name: _node(node, reference, functions) for node in graph_def.node}
        return cls(nodes, functions)

    def function(self, name: str) -> SourceGraph:
        """The body of a function as a graph. Raises ConversionError where the graph has no such function."""
        if name not in self.functions:
            raise ConversionError(f"the graph is not whole: it has no function {name!r}, which is called", hint=AGAIN)
        function = self.functions[name]
        arguments = {
            argument.name: Node(argument.name, "Placeholder", (), {}) for argument in function.signature.input_arg
        }
        first = {node.name: _first_outputs(node) for node in function.node_def}

        def flat(text: str) -> str:
            """ "node:output_name:k" of a function as "node:output"."""
            name, _, rest = text.partition(":")
            if not rest:
                return f"{name}:0"
            output, _, offset = rest.partition(":")
            return f"{name}:{first[name][output] + int(offset)}"

        nodes = {node.name: _node(node, flat, self.functions) for node in function.node_def}
        return SourceGraph(
            nodes=arguments | nodes,
            functions=self.functions,
            results=tuple(flat(function.ret[result.name]) for result in function.signature.output_arg),
            arguments=tuple(f"{name}:0" for name in arguments),
        )

    def called(self) -> set[str]:
        """The names of the functions that the nodes call, or that those call."""
        pending, called = [attribute for node in self.nodes.values() for attribute in node.attributes.values()], set()
        while pending:
            attribute = pending.pop()
            for function in (attribute.func, *attribute.list.func):
                if function.name in self.functions and function.name not in called:
                    called.add(function.name)
                    nodes = self.functions[function.name].node_def
                    pending += [inner for node in nodes for inner in node.attr.values()]
        return called

    def producer(self, ref: str) -> Node:
        """The node that makes a tensor. Raises ConversionError where the graph lacks it."""
        name = node_name(ref)
        if name not in self.nodes:
            raise ConversionError(
                f"the graph is not whole: it has no node {name!r}, whose result is needed", hint=AGAIN
            )
        return self.nodes[name]

    def origin(self, ref: str) -> str:
        """Where a tensor comes from, identities left out."""
        node = self.producer(ref)
        while node.op in PASSING:
            ref = node.inputs[0]
            node = self.producer(ref)
        return ref

    def source(self, ref: str) -> Node:
        """The node that computes a tensor, identities left out."""
        return self.producer(self.origin(ref))

    @cached_property
    def users(self) -> Mapping[str, list[Node]]:
        """The nodes that take each reference as an input."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            for ref in node.inputs:
                users.setdefault(ref, []).append(node)
        return users

    def constant(self, ref: str) -> np.ndarray | None:
        """The value of a tensor that is a Const; None of any other."""
        node = self.source(ref)
        return constant_of(node) if node.op == "Const" else None

    def of_op(self, prefix: str) -> Iterator[Node]:
        return (node for node in self.nodes.values() if node.op.startswith(prefix))


def constant_of(node: Node) -> np.ndarray:
    from tensorflow.python.framework import tensor_util

    return np.asarray(tensor_util.MakeNdarray(node.attributes["value"].tensor))


def _node(proto: Any, canonical: Callable[[str], str], functions: Mapping[str, Any]) -> Node:
    inputs = tuple(canonical(text) for text in proto.input if not text.startswith("^"))
    op, count = proto.op, len(inputs)
    called = functions.get(proto.attr["f"].func.name) if "f" in proto.attr else None
    if called is not None and "_implements" in called.attr:
        op, count = IMPLEMENTED.get(called.attr["_implements"].s, (op, count))
    return Node(proto.name, op, inputs[:count], proto.attr)


def _first_outputs(proto: Any) -> dict[str, int]:
    """The position of the first output of each named output argument of an operator."""
    from tensorflow.python.framework import op_def_registry

    positions, position = {}, 0
    definition = op_def_registry.get(proto.op)
    for argument in definition.output_arg if definition else ():
        positions[argument.name] = position
        if argument.number_attr:
            position += int(proto.attr[argument.number_attr].i)
        elif argument.type_list_attr:
            position += len(proto.attr[argument.type_list_attr].list.type)
        else:
            position += 1
    return positions
