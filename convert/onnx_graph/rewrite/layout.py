"""Rewrites of a joined graph's layouts: what was translated in parts turns pictures back and forth where parts meet.

A turn is a Transpose between N, H, W, C, in which TensorFlow computes, and N, C, H, W, in which ONNX does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto, helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.pixels import Pixels, Step, before_steps
from zoo.convert.onnx_graph.rewrite.tidy import attributes_of, reading

TO_PLANES = [0, 3, 1, 2]
NEUTRAL = {"Sub": 0.0, "Mul": 1.0, "Div": 1.0}


def settled_layout(
    nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray], builder: GraphBuilder
) -> list[NodeProto]:
    """All rewrites of this module. `constants` by name where small; `builder` holds those that the rewrites add."""
    return without_opposite_turns(with_steps_in_planes(nodes, constants, builder))


def with_steps_in_planes(
    nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray], builder: GraphBuilder
) -> list[NodeProto]:
    """A mean or scale for each channel, applied to planes: along rows of three channels ONNX Runtime takes ten times as
    long, nanoseconds for each number. The same numbers, as each is computed from one pixel alone."""
    makers = {name: node for node in nodes for name in node.output}
    made: list[NodeProto] = []
    same_shape: dict[str, str] = {}
    for node in nodes:
        found = before_steps(node.input[0], makers, constants) if _turn(node) == TO_PLANES else Pixels("")
        if any(step.constant.ndim for step in found.steps):
            made += _turned_first(node, found, builder)
            same_shape |= dict.fromkeys(found.between, found.picture)
        else:
            made.append(node)
    return [reading(node, same_shape) if node.op_type == "Shape" else node for node in made]


def _turned_first(turn: NodeProto, found: Pixels, builder: GraphBuilder) -> list[NodeProto]:
    """The turn of `found`'s picture, then those of its steps that change it, the last with the name of the result."""
    (result,) = turn.output
    steps = [step for step in found.steps if not _is_idle(step)]
    names = [f"{result}/planes{position}" for position in range(len(steps))] + [result]
    made = [helper.make_node("Transpose", [found.picture], [names[0]], name=names[0], perm=TO_PLANES)]
    for step, source, name in zip(steps, names, names[1:], strict=False):
        of_planes = step.constant[:, np.newaxis, np.newaxis] if step.constant.ndim else step.constant
        operands = [source, builder.constant(of_planes)]
        made.append(helper.make_node(step.op, operands[::-1] if step.is_first else operands, [name], name=name))
    return made


def _is_idle(step: Step) -> bool:
    """True for a mean of 0 or a scale of 1, which come with networks that have other normalisations."""
    return not step.is_first and step.op in NEUTRAL and bool((step.constant == NEUTRAL[step.op]).all())


def without_opposite_turns(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """What is turned and turned back is read before it was turned."""
    turns = {node.output[0]: node for node in nodes if _turn(node)}
    idle = {}
    for name, node in turns.items():
        before = turns.get(node.input[0])
        if before is not None and [_turn(before)[axis] for axis in _turn(node)] == sorted(_turn(node)):
            idle[name] = before.input[0]
    return [reading(node, idle) for node in nodes]


def _turn(node: NodeProto) -> list[int]:
    """The permutation of a Transpose; nothing of another node."""
    return list(attributes_of(node).get("perm", [])) if node.op_type == "Transpose" else []
