"""Finds what a graph computes from each pixel of a uint8 picture alone: the type, a scale, a mean for each channel.

Such steps give the same numbers before and after pixels are taken from the picture, and cost less where fewer numbers
or bytes are left to move. Found by walking from a value back to the picture; nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto

from zoo.convert.onnx_graph.rewrite.tidy import attributes_of

ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
ALL = 1_000_000  # a Slice that ends beyond this takes everything
INNER = [1]  # the axis that comes and goes in graphs that handle one image at a time


@dataclass(frozen=True)
class Step:
    """One operator with a constant, float32 [] or [C], as its first or its second operand."""

    op: str
    constant: np.ndarray
    is_first: bool


@dataclass(frozen=True)
class Pixels:
    """A picture [N, H, W, C], and the steps that lead from it (as float32) to a value of the same shape. `between` are
    values on the way, of that shape too. A feature map, or what else is not bytes, has no steps."""

    picture: str
    is_bytes: bool = False
    steps: tuple[Step, ...] = ()
    between: tuple[str, ...] = ()


def pixels_of(
    value: str, makers: Mapping[str, NodeProto], constants: Mapping[str, np.ndarray], bytes_in: Set[str]
) -> Pixels:
    """How the value [N, H, W, C] comes from one of the uint8 pictures `bytes_in`; itself, where it does not.

    `makers` are the nodes by what they make.
    """
    steps: list[Step] = []
    between: list[str] = []
    name, is_inner = value, False
    while name in makers:
        node = makers[name]
        if not is_inner:
            between.append(name)
        if not is_inner and _is_from_bytes(node, bytes_in):
            return Pixels(node.input[0], True, tuple(steps[::-1]), tuple(between))
        step = _step(node, constants)
        if step is not None:
            steps.append(step)
            name = node.input[1] if step.is_first else node.input[0]
            continue
        if _moves_axis(node, "Unsqueeze" if is_inner else "Squeeze", constants):
            is_inner = not is_inner
        elif not _is_whole(node, constants):
            break
        name = node.input[0]
    return Pixels(value)


def _is_from_bytes(node: NodeProto, bytes_in: Set[str]) -> bool:
    return node.op_type == "Cast" and node.input[0] in bytes_in and attributes_of(node)["to"] == TensorProto.FLOAT


def _step(node: NodeProto, constants: Mapping[str, np.ndarray]) -> Step | None:
    """The node as a step, where its constant is one number, or one for each element of the last axis."""
    if node.op_type not in ARITHMETIC:
        return None
    for place, name in enumerate(node.input):
        constant = constants.get(name)
        if constant is not None and constant.dtype == np.float32 and constant.size == (constant.shape or (1,))[-1]:
            return Step(node.op_type, constant.reshape(-1) if constant.size > 1 else constant.reshape(()), place == 0)
    return None


def _moves_axis(node: NodeProto, op: str, constants: Mapping[str, np.ndarray]) -> bool:
    """True for Squeeze or Unsqueeze of the axis behind the images'."""
    axes = constants.get(node.input[1]) if node.op_type == op and len(node.input) > 1 else None
    return axes is not None and axes.tolist() == INNER


def _is_whole(node: NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
    """True for a Split into one part, and a Slice that takes everything in order."""
    if node.op_type == "Split":
        return len(node.output) == 1
    if node.op_type != "Slice":
        return False
    begin, end, step = (constants.get(node.input[place]) if place < len(node.input) else None for place in (1, 2, 4))
    if begin is None or end is None or (step is None and len(node.input) > 4):
        return False
    return not begin.any() and bool((end >= ALL).all()) and (step is None or bool((step == 1).all()))
