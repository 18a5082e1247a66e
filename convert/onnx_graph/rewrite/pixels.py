"""Finds what a graph computes from each pixel of a picture alone: the type of bytes, a scale, a mean for each channel.

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
    values on the way, of that shape too."""

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
    found = before_steps(value, makers, constants)
    node = makers.get(found.picture)
    if node is None or not _is_from_bytes(node, bytes_in):
        return Pixels(value)
    return Pixels(node.input[0], True, found.steps, (*found.between, found.picture))


def before_steps(value: str, makers: Mapping[str, NodeProto], constants: Mapping[str, np.ndarray]) -> Pixels:
    """The value [N, H, W, C] furthest back from which nothing but steps leads to this one: itself, where none does."""
    steps: list[Step] = []
    passed: list[str] = []
    name, is_inner, found = value, False, Pixels(value)
    while True:
        if not is_inner:
            found = Pixels(name, False, tuple(steps[::-1]), tuple(passed))
            passed.append(name)
        if (node := makers.get(name)) is None:
            return found
        step = _step(node, constants)
        if step is not None:
            steps.append(step)
        elif _moves_axis(node, "Unsqueeze" if is_inner else "Squeeze", constants):
            is_inner = not is_inner
        elif not _is_whole(node, constants, is_inner):
            return found
        name = node.input[1] if step and step.is_first else node.input[0]


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


def _is_whole(node: NodeProto, constants: Mapping[str, np.ndarray], is_inner: bool) -> bool:
    """True for a Split into one part, and a Slice that takes everything in order; of an inner axis the first is all."""
    if node.op_type == "Split":
        return len(node.output) == 1
    if node.op_type != "Slice":
        return False
    begin, end, axes, step = (constants.get(name) for name in (*node.input[1:], "", "")[:4])
    if begin is None or end is None or (axes is None and len(node.input) > 3) or (step is None and len(node.input) > 4):
        return False
    is_one = np.isin(np.arange(end.size) if axes is None else axes, INNER) if is_inner else np.zeros(end.shape, bool)
    is_all = not begin.any() and bool(((end >= ALL) | (is_one & (end >= 1))).all())
    return is_all and (step is None or bool((step == 1).all()))
