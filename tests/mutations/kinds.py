"""One broken thing at a time, as a function on an ONNX detector: what a converter might get wrong without an error.

Each works on any model built as `tests.verify.tiny` builds it: nodes named after layers, `boxes` and `scores` out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from zoo.verify.runtimes.protocol import Array

Mutation = Callable[[onnx.ModelProto], None]


def constant(model: onnx.ModelProto, name: str) -> Array:
    """A writable copy of an initializer."""
    return np.array(numpy_helper.to_array(_initializer(model, name)))


def replace(model: onnx.ModelProto, name: str, array: Array) -> None:
    _initializer(model, name).CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def node_giving(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    node: onnx.NodeProto = next(node for node in model.graph.node if tensor in node.output)
    return node


def _initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    return found


def on_constant(name: str, change: Callable[[Array], Array]) -> Mutation:
    """Change an initializer."""
    return lambda model: replace(model, name, change(constant(model, name)))


def on_attribute(tensor: str, attribute: str, value: float | str | list[int]) -> Mutation:
    """Set an attribute of the node that gives `tensor`."""

    def mutate(model: onnx.ModelProto) -> None:
        node = node_giving(model, tensor)
        kept = [one for one in node.attribute if one.name != attribute]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(attribute, value)])

    return mutate


def on_operator(tensor: str, operator: str) -> Mutation:
    """Let another operator, with its default attributes, give `tensor`."""

    def mutate(model: onnx.ModelProto) -> None:
        node = node_giving(model, tensor)
        node.op_type = operator
        del node.attribute[:]

    return mutate


def after(output: str, *steps: tuple[str, list[Array]], axis: int | None = None) -> Mutation:
    """Append nodes (operator, further inputs) behind an output of the model, which keeps its name."""

    def mutate(model: onnx.ModelProto) -> None:
        node = node_giving(model, output)
        current = f"{output}_before"
        node.output[list(node.output).index(output)] = current
        for number, (operator, arrays) in enumerate(steps):
            names = [f"{output}_{number}_{place}" for place in range(len(arrays))]
            model.graph.initializer.extend(
                numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)
            )
            following = output if number == len(steps) - 1 else f"{output}_{number}"
            model.graph.node.append(helper.make_node(operator, [current, *names], [following], axis=axis))
            current = following

    return mutate


def one_weight(weights: Array) -> Array:
    weights.flat[np.abs(weights).argmax()] *= 1.01
    return weights


def swapped(first: int, second: int, axis: int = 0) -> Callable[[Array], Array]:
    """Exchange two slices of an array."""

    def change(array: Array) -> Array:
        order = np.arange(array.shape[axis])
        order[[first, second]] = second, first
        return array.take(order, axis)

    return change


def with_nan(array: Array) -> Array:
    array.flat[0] = np.nan
    return array


def drop_output(model: onnx.ModelProto) -> None:
    """The last output is no output any more."""
    del model.graph.output[-1]


def first_of_batch(model: onnx.ModelProto) -> None:
    """Every picture of the batch is taken for the first."""
    zero = numpy_helper.from_array(np.zeros(1, np.int64), "zero_index")
    model.graph.initializer.append(zero)
    for node in model.graph.node:
        node.input[:] = ["images_used" if name == "images" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Mul", ["images_none", "images_first"], ["images_used"]))
    ones = numpy_helper.from_array(np.zeros(1, np.float32), "nothing")
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    model.graph.initializer.extend([ones, one])
    model.graph.node.insert(0, helper.make_node("Gather", ["images", "zero_index"], ["images_first"], axis=0))
    model.graph.node.insert(0, helper.make_node("Add", ["images_zero", "one"], ["images_none"]))
    model.graph.node.insert(0, helper.make_node("Mul", ["images", "nothing"], ["images_zero"]))


def epsilon(weights: Array) -> Array:
    """Folded with 1e-6 where 1e-5 is right, at a variance of 0.1."""
    return weights * np.float32(np.sqrt((0.1 + 1e-5) / (0.1 + 1e-6)))


CLASSES = 3
REVERSED = np.arange(127, -1, -1)

# Name → (what is done, words of the explanation, the layer that bisect must name; None without outputs to look at).
MUTATIONS: dict[str, tuple[Mutation, str, int | None]] = {
    "one weight off by 1 %": (on_constant("w1", one_weight), "times the noise floor", 1),
    "two channels swapped": (on_constant("w1", swapped(2, 3)), "times the noise floor", 1),
    "red and blue swapped": (on_constant("w0", swapped(0, 2, 1)), "times the noise floor", 0),
    "kernel flipped": (on_constant("w1", lambda w: w[:, :, :, ::-1]), "times the noise floor", 1),
    "kernel transposed": (on_constant("w0", lambda w: w.transpose(0, 1, 3, 2)), "times the noise floor", 0),
    "bias dropped": (on_constant("b0", np.zeros_like), "times the noise floor", 0),
    "one bias dropped": (on_constant("b1", lambda b: b * (np.arange(8) != 5)), "times the noise floor", 1),
    "leaky slope": (on_attribute("l1", "alpha", 0.01), "times the noise floor", 1),
    "leaky is relu": (on_operator("l0", "Relu"), "", 0),
    "padding moved": (on_attribute("c1", "pads", [0, 0, 2, 2]), "times the noise floor", 1),
    "batch-norm epsilon": (on_constant("w0", epsilon), "times the noise floor", 0),
    "weights rounded to fp16": (
        on_constant("w2", lambda w: w.astype(np.float16).astype(np.float32)), "times the noise floor", 2
    ),
    "anchor order": (on_constant("anchors", lambda a: a[:, ::-1]), "output boxes", 3),
    "anchor scaling": (on_constant("anchors", lambda a: a * np.float32(416 / 320)), "output boxes", 3),
    "stride of the head": (on_constant("cells", lambda c: c * 2), "output boxes", 3),
    "grid transposed": (on_constant("grid", lambda g: g[..., ::-1]), "output boxes", 3),
    "x, y not opened": (on_operator("xy_open", "Identity"), "output boxes", 3),
    "softmax for sigmoid": (on_operator("class_open", "Softmax"), "output scores", 3),
    "another opening of the size": (on_operator("wh_open", "Softplus"), "output boxes", 3),
    "class offset by one": (after("scores", ("Gather", [np.roll(np.arange(CLASSES), 1)]), axis=2), "scores", 3),
    "boxes as y, x, h, w": (after("boxes", ("Gather", [np.array([1, 0, 3, 2])]), axis=2), "output boxes", 3),
    "boxes in another order": (after("boxes", ("Gather", [REVERSED]), axis=1), "output boxes", 3),
    "boxes as corners": (after("boxes", ("Sub", [np.array([[0.1, 0.1, 0, 0]], np.float32)])), "output boxes", 3),
    "scores constant": (after("scores", ("Mul", [np.zeros(1, np.float32)])), "output scores", 3),
    "scores clipped": (after("scores", ("Min", [np.array(0.5, np.float32)])), "output scores", 3),
    "NaN in a weight": (on_constant("w1", with_nan), "NaN or infinite", 1),
    "overflow": (on_constant("b2", lambda b: b * np.float32(1e5)), "", 2),
    "an output dropped": (drop_output, "lacks scores", None),
    "batch takes the first picture": (first_of_batch, "batch 3", 3),
}  # fmt: skip
