"""Small rewrites of nodes that targets read differently: each says one thing in the way that all of them understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from zoo.convert.onnx_graph.build import GraphBuilder

Shape = tuple[int | None, ...]
WINDOWED = {"Conv", "MaxPool", "AveragePool", "ConvTranspose"}


def attributes_of(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def with_explicit_pads(node: NodeProto, shapes: Mapping[str, Shape], builder: GraphBuilder) -> list[NodeProto]:
    """`auto_pad` as numbers, which OpenCV needs to pad right; where the size is not known, as a Pad that computes them.

    A convolution's kernel is the shape of its weights, which `shapes` must hold. ONNX's rule: the total padding is
    (ceil(size / stride) - 1) * stride + window - size, its odd pixel at the end for SAME_UPPER. An average leaves its
    padding out, so it cannot be padded beforehand.
    """
    given = attributes_of(node)
    mode = given.get("auto_pad", b"NOTSET")
    if node.op_type not in WINDOWED - {"ConvTranspose"} or mode not in (b"SAME_UPPER", b"SAME_LOWER", b"VALID"):
        return [node]
    kernel: Sequence[Any] = given.get("kernel_shape") or shapes[node.input[1]][2:]
    ones = [1] * len(kernel)
    strides, dilations = (list(given.get(key, ones)) for key in ("strides", "dilations"))
    windows = [dilation * (int(size) - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
    sizes = shapes.get(node.input[0], (None,) * (2 + len(kernel)))[2:]
    totals = [
        0 if mode == b"VALID" else _same_padding(window, stride, size)
        for window, stride, size in zip(windows, strides, sizes, strict=True)
    ]
    known = [total for total in totals if total is not None]
    if len(known) < len(totals):
        is_average = node.op_type == "AveragePool"
        return [node] if is_average else _padded(node, windows, strides, builder, upper=mode == b"SAME_UPPER")
    begin = [total - total // 2 if mode == b"SAME_LOWER" else total // 2 for total in known]
    end = [total - part for total, part in zip(known, begin, strict=True)]
    return [_changed(node, {**given, "auto_pad": None, "pads": begin + end})]


def _same_padding(window: int, stride: int, size: int | None) -> int | None:
    if stride == 1:
        return window - 1
    return None if size is None else max((-(-size // stride) - 1) * stride + window - size, 0)


def _padded(
    node: NodeProto, windows: Sequence[int], strides: Sequence[int], builder: GraphBuilder, *, upper: bool
) -> list[NodeProto]:
    """A Pad before the node, by the rule above on the size that a picture turns out to have."""
    made: list[NodeProto] = []

    def op(op: str, *inputs: str, hint: str, **attributes: Any) -> str:
        made.append(
            helper.make_node(op, inputs, [f"{node.output[0]}/{hint}"], name=f"{node.name}/{hint}", **attributes)
        )
        return str(made[-1].output[0])

    one, two, none = builder.integers(1), builder.integers(2), builder.integers(0, 0)
    stride, window = builder.integers(*strides), builder.integers(*windows)
    size = op("Shape", node.input[0], hint="size", start=2)
    last = op("Div", op("Sub", size, one, hint="less"), stride, hint="last")  # ceil(size / stride) - 1
    covered = op("Add", op("Mul", last, stride, hint="start"), window, hint="covered")
    total = op("Max", op("Sub", covered, size, hint="lacking"), builder.integers(0), hint="total")
    half = op("Div", total, two, hint="half")
    rest = op("Sub", total, half, hint="rest")
    sides = (none, half, none, rest) if upper else (none, rest, none, half)
    fill = builder.constant(np.finfo(np.float32).min if node.op_type == "MaxPool" else 0.0)
    padded = op("Pad", node.input[0], op("Concat", *sides, hint="pads", axis=0), fill, hint="padded")
    kept = _changed(node, {**attributes_of(node), "auto_pad": None})
    kept.input[0] = padded
    return [*made, kept]


def with_plain_nearest(node: NodeProto, constants: Mapping[str, np.ndarray]) -> NodeProto:
    """Nearest-neighbour enlargement by whole numbers, which all coordinate rules do alike, by the plainest rule; else
    TensorFlow's own rule for half pixels, which newer opsets deprecate, by its equal: floor((i + 0.5) * scale)."""
    given = attributes_of(node)
    if node.op_type != "Resize" or given.get("mode", b"nearest") != b"nearest":
        return node
    scales = constants.get(node.input[2]) if len(node.input) > 2 else None
    if scales is not None and scales.size and not (scales != np.round(scales)).any() and not (scales < 1).any():
        return _changed(node, {**given, "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"})
    if given.get("coordinate_transformation_mode") == b"tf_half_pixel_for_nn":
        rule = {"coordinate_transformation_mode": b"half_pixel", "nearest_mode": b"round_prefer_ceil"}
        return _changed(node, {**given, **rule})
    return node


def with_plain_mean(node: NodeProto, builder: GraphBuilder) -> list[NodeProto]:
    """The mean over a picture's positions, laid out as a line, so that it is taken in ONNX Runtime's plain layout.

    In the blocked layout (NCHWc), which takes pictures only, the sum has another order. Both are a few last digits off,
    but those of the plain one nearly as TensorFlow's are, and nets with squeeze and excitation amplify them: scores of
    an EfficientDet differ from TensorFlow's by 4.5e-3 with the blocked mean, by 1.8e-3 with an exact one, and by 5e-5
    with this one.
    """
    if node.op_type != "GlobalAveragePool":
        return [node]
    (source,), (result,) = node.input, node.output
    line, mean = f"{result}/line", f"{result}/mean"
    return [
        helper.make_node("Reshape", [source, builder.integers(0, 0, -1)], [line], name=line),
        helper.make_node("GlobalAveragePool", [line], [mean], name=mean),
        helper.make_node("Unsqueeze", [mean, builder.integers(3)], [result], name=node.name),
    ]


def _changed(node: NodeProto, attributes: Mapping[str, Any]) -> NodeProto:
    kept = {key: value for key, value in attributes.items() if value is not None}
    return helper.make_node(node.op_type, node.input, node.output, name=node.name, domain=node.domain, **kept)


def tidied(
    nodes: Sequence[NodeProto],
    shapes: Mapping[str, Shape],
    constants: Mapping[str, np.ndarray],
    builder: GraphBuilder,
) -> list[NodeProto]:
    """All rewrites of this module. `shapes` of values where known, `constants` by name where small; `builder` holds
    the constants that the rewrites add."""
    padded = [made for node in nodes for made in with_explicit_pads(node, shapes, builder)]
    return [made for node in padded for made in with_plain_mean(with_plain_nearest(node, constants), builder)]


def reading(node: NodeProto, renamed: Mapping[str, str]) -> NodeProto:
    """The node, where it reads a key of `renamed` (or what that leads to) now reading its value."""
    copy = NodeProto()
    copy.CopyFrom(node)
    for position, name in enumerate(node.input):
        while name in renamed and renamed[name] != name:
            name = renamed[name]
        copy.input[position] = name
    return copy
