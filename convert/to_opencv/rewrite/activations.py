"""mish as x · tanh(softplus(x)), which OpenCV computes in one pass, fused with the convolution before it.

Our Darknet writer spells it out in operators that ONNX Runtime is quick at (convert/from_darknet/activations.py);
OpenCV passes over the data once for each of them, and is quicker than its own Darknet reader only with the form it
knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.convert.onnx_graph.fold import without_dead_nodes
from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_opencv.rewrite.edit import makers, unique

# What a value is computed as: an operator over such forms, a constant, or by name the value that all of it starts from.
Form = tuple["str | Form | float", ...] | str | float
SIGMOID: Form = ("Sigmoid", "x")
NUMERATOR: Form = ("Mul", SIGMOID, ("Sub", 2.0, SIGMOID))
MISH: Form = ("Mul", "x", ("Div", NUMERATOR, ("Sub", 2.0, NUMERATOR)))


def with_mish(graph: Graph) -> Graph:
    """Each mish that is spelled out, as Softplus, Tanh and Mul: the same to the last bits of float32."""
    made, nodes = makers(graph), []
    for node in graph.nodes:
        x, result = node.input(0), node.outputs[0]
        if node.op == "Mul" and _is(MISH, result, x, graph, made):
            softplus, tanh = (unique(graph, f"{result}_{part}") for part in ("softplus", "tanh"))
            nodes.append(Node("Softplus", softplus, (x,), (softplus,), {}, -1))
            nodes.append(Node("Tanh", tanh, (softplus,), (tanh,), {}, -1))
            node = replace(node, inputs=(x, tanh))
        nodes.append(node)
    return without_dead_nodes(replace(graph, nodes=tuple(nodes)))


def _is(form: Form, name: str, x: str, graph: Graph, made: Mapping[str, Node]) -> bool:
    """Whether the value `name` is computed from `x` as `form` says."""
    if isinstance(form, str):
        return name == x
    if isinstance(form, float):
        constant = graph.initializers.get(name)
        return constant is not None and bool((constant == form).all())
    node = made.get(name)
    operator, *parts = form
    return (
        node is not None
        and (node.op, len(node.inputs)) == (operator, len(parts))
        and all(_is(part, value, x, graph, made) for part, value in zip(parts, node.inputs, strict=True))
    )
