"""What a converter might get wrong about a real Darknet network: `tests.mutations.networks.darknet` as ONNX.

The nodes of a converted network are named after Darknet's layers (`006_maxpool`); numbers that the heads are decoded
with are found by what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.mutations.kinds import (
    Mutation,
    after,
    node_giving,
    on_attribute,
    on_constant,
    on_operator,
    one_weight,
    replace,
    swapped,
)
from zoo.verify.runtimes.protocol import Array

FIRST_HEAD = 2 * 8 * 8  # rows of the head 008; those of 014 follow
ROWS = FIRST_HEAD + 2 * 16 * 16


def on_operand(tensor: str, place: int, change: Callable[[Array], Array]) -> Mutation:
    """Change the constant that the node giving `tensor` takes as its input number `place`."""

    def mutate(model: onnx.ModelProto) -> None:
        name = node_giving(model, tensor).input[place]
        found = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        replace(model, name, change(np.array(numpy_helper.to_array(found))))

    return mutate


def before(tensor: str, operator: str, operand: Array | None = None, **attributes: Any) -> Mutation:
    """Let everything that takes `tensor` take the result of one more operator on it."""

    def mutate(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = ["mutated" if name == tensor else name for name in node.input]
        inputs = [tensor]
        if operand is not None:
            model.graph.initializer.append(numpy_helper.from_array(operand, "mutated_by"))
            inputs.append("mutated_by")
        added = helper.make_node(operator, inputs, ["mutated"], name="mutated", **attributes)
        givers = [place for place, node in enumerate(model.graph.node) if tensor in node.output]
        model.graph.node.insert(givers[0] + 1 if givers else 0, added)

    return mutate


def halfway(tensor: str, scale: float) -> Mutation:
    """What `tensor` holds goes through float16, times `scale`."""

    def mutate(model: onnx.ModelProto) -> None:
        before(tensor, "Mul", np.array(scale, np.float32))(model)
        place = next(number for number, node in enumerate(model.graph.node) if node.output[0] == "mutated")
        model.graph.node[place].output[0] = "scaled"
        cast = helper.make_node("Cast", ["scaled"], ["half"], to=onnx.TensorProto.FLOAT16)
        back = helper.make_node("Cast", ["half"], ["single"], to=onnx.TensorProto.FLOAT)
        model.graph.initializer.append(numpy_helper.from_array(np.array(1 / scale, np.float32), "unscaled_by"))
        last = helper.make_node("Mul", ["single", "unscaled_by"], ["mutated"])
        for node in (last, back, cast):
            model.graph.node.insert(place + 1, node)

    return mutate


def as_operator(tensor: str, operator: str) -> Mutation:
    """Another operator with the same attributes."""

    def mutate(model: onnx.ModelProto) -> None:
        node_giving(model, tensor).op_type = operator

    return mutate


def takes(tensor: str, place: int, other: str) -> Mutation:
    """The node takes another tensor as its input number `place`."""

    def mutate(model: onnx.ModelProto) -> None:
        node_giving(model, tensor).input[place] = other

    return mutate


def inputs_exchanged(tensor: str) -> Mutation:
    """The node takes its inputs in the other order."""

    def mutate(model: onnx.ModelProto) -> None:
        node = node_giving(model, tensor)
        node.input[:] = list(node.input)[::-1]

    return mutate


def without(tensor: str) -> Mutation:
    """The node gives its first input instead of what it computes."""

    def mutate(model: onnx.ModelProto) -> None:
        node = node_giving(model, tensor)
        del node.input[1:]
        node.op_type = "Identity"
        del node.attribute[:]

    return mutate


def rows_scaled(factor: float, columns: slice, first: bool = False) -> Mutation:
    """The numbers of one head's boxes times `factor`."""
    factors = np.ones((1, ROWS, 4), np.float32)
    factors[:, :FIRST_HEAD, columns] = factor if first else 1
    factors[:, FIRST_HEAD:, columns] = 1 if first else factor
    return after("boxes", ("Mul", [factors]))


def heads_exchanged(output: str) -> Mutation:
    order = np.roll(np.arange(ROWS), -FIRST_HEAD)
    return after(output, ("Gather", [order]), axis=1)


def outputs_exchanged(model: onnx.ModelProto) -> None:
    """What is called boxes are the scores, and the other way round."""
    names = {"boxes": "scores", "scores": "boxes"}
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in model.graph.output:
        output.name = names.get(output.name, output.name)


FLOOR = "times the noise floor"
MUTATIONS: dict[str, tuple[Mutation, str, int | None]] = {
    "max pooling is average pooling": (as_operator("004_maxpool", "AveragePool"), FLOOR, 4),
    "pooling pads left instead of right": (on_attribute("006_maxpool", "pads", [1, 1, 0, 0]), FLOOR, 6),
    "SAME_LOWER for SAME_UPPER": (on_attribute("005_convolutional.conv", "pads", [2, 2, 0, 0]), FLOOR, 5),
    "strided padding moved": (on_attribute("001_convolutional.conv", "pads", [0, 0, 2, 2]), FLOOR, 1),
    "depthwise channels swapped": (on_constant("002_convolutional.kernel", swapped(0, 5)), FLOOR, 2),
    "mish is swish": (takes("001_convolutional", 1, "001_convolutional.sigmoid"), FLOOR, 1),
    "shortcut dropped": (without("003_shortcut"), FLOOR, 3),
    "shortcut subtracts": (on_operator("003_shortcut", "Sub"), FLOOR, 3),
    "route in the other order": (inputs_exchanged("012_route"), FLOOR, 12),
    "upsampling is linear": (on_attribute("011_upsample", "mode", "linear"), FLOOR, 11),
    "one weight of a head's convolution": (on_constant("013_convolutional.kernel", one_weight), FLOOR, 13),
    "anchors of one head": (rows_scaled(1.25, slice(2, 4)), "output boxes", 14),
    "stride of one head": (rows_scaled(2.0, slice(0, 2), first=True), "output boxes", 8),
    "scale_x_y left out": (on_operand("008_yolo.scaled", 1, np.ones_like), "output boxes", 14),
    "heads in the other order": (heads_exchanged("boxes"), "output boxes", 8),
    "scores of the heads in the other order": (heads_exchanged("scores"), "output scores", 8),
    "outputs exchanged": (outputs_exchanged, "its manifest", None),
    "red and blue exchanged": (before("images", "Gather", np.array([2, 1, 0]), axis=1), FLOOR, 0),
    "pictures not divided by 255": (before("images", "Mul", np.array(255, np.float32)), "output", 0),
    "pictures as -1..1": (before("images", "Add", np.array(-0.5, np.float32)), FLOOR, 0),
    "pictures transposed": (before("images", "Transpose", perm=[0, 1, 3, 2]), FLOOR, 0),
    "pictures upside down": (before("images", "Gather", np.arange(63, -1, -1), axis=2), FLOOR, 0),
    "fp16 between two layers": (halfway("005_convolutional", 1.0), FLOOR, 6),
    "fp16 overflows": (halfway("005_convolutional", 1e5), "", 6),
}  # fmt: skip

# On the network with its own suppression (--nms).
ERRORS, MOST = "unexplained", 300  # rows of the output
SUPPRESSION: dict[str, tuple[Mutation, str, int | None]] = {
    "score threshold": (on_operand("nms.sure", 1, lambda a: np.array(0.35, a.dtype)), ERRORS, None),
    "overlap of the suppression": (on_operand("nms.overlap", 1, lambda a: np.array(0.7, a.dtype)), ERRORS, None),
    "suppression without the distance": (without("nms.closeness"), ERRORS, None),
    "suppression over all classes": (without("nms.close"), ERRORS, None),
    "cap of the detections": (on_operand("nms.best", 1, lambda a: np.array([10], a.dtype)), ERRORS, None),
    "classes of the detections off by one": (
        after("detections", ("Add", [np.array([0, 0, 0, 0, 0, 1], np.float32)])), ERRORS, None
    ),
    "each detection twice": (after("detections", ("Gather", [np.arange(MOST) // 2]), axis=1), ERRORS, None),
    "worst detections first": (
        after("detections", ("Gather", [np.arange(MOST)[::-1].copy()]), axis=1), "do not come first", None
    ),
    "rows behind the detections filled up": (
        after("detections", ("Max", [np.array([*[-np.inf] * 5, 0.5], np.float32)])), "are not zero", None
    ),
    "corners as y, x, y, x": (after("detections", ("Gather", [np.array([1, 0, 3, 2, 4, 5])]), axis=2), ERRORS, None),
    "corners as centre and size": (
        after("detections", ("Mul", [np.array([1, 1, 0.5, 0.5, 1, 1], np.float32)])), ERRORS, None
    ),
}  # fmt: skip
