"""What the rewrites share: who makes a value, who uses it, and putting one value in the place of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from zoo.convert.onnx_graph.fold import without_dead_nodes
from zoo.convert.onnx_graph.graph import Graph, Node


def new_node(op: str, inputs: tuple[str, ...], output: str, **attributes: int) -> Node:
    """A node of a rewrite, called after the one value that it makes."""
    return Node(op, output, inputs, (output,), attributes, -1)


def makers(graph: Graph) -> dict[str, Node]:
    """The node that makes each value."""
    return {name: node for node in graph.nodes for name in node.outputs if name}


def uses(graph: Graph) -> Counter[str]:
    """How often each value is read, as an output of the graph too."""
    counted = Counter(name for node in graph.nodes for name in node.inputs if name)
    counted.update(name for node in graph.nodes for body in node.subgraphs() for name in body.outer_names())
    counted.update(value.name for value in graph.outputs)
    return counted


def with_aliases(graph: Graph, aliases: Mapping[str, str]) -> Graph:
    """The graph in which each key of `aliases` is read as its value. Outputs of the graph keep their names: a key that
    is an output has to stay, so it is left alone."""
    outputs = {value.name for value in graph.outputs}
    usable = {old: new for old, new in aliases.items() if old not in outputs}
    if not usable:
        return graph

    def final(name: str) -> str:
        while name in usable:
            name = usable[name]
        return name

    nodes = tuple(replace(node, inputs=tuple(final(name) for name in node.inputs)) for node in graph.nodes)
    return without_dead_nodes(replace(graph, nodes=nodes))


def unique(graph: Graph, name: str) -> str:
    """`name`, or with a number behind it where the graph has that already."""
    taken = {*makers(graph), *graph.initializers, *(value.name for value in graph.inputs)}
    number, chosen = 0, name
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    return chosen
