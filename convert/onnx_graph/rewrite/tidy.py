"""Small rewrites of nodes that targets read differently: each says one thing in the way that all of them understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper

Shape = tuple[int | None, ...]
WINDOWED = {"Conv", "MaxPool", "AveragePool", "ConvTranspose"}


def attributes_of(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def with_explicit_pads(node: NodeProto, shapes: Mapping[str, Shape]) -> NodeProto:
    """`auto_pad` as numbers, which OpenCV needs to pad right: where the size is known, or the stride is 1.

    A convolution's kernel is the shape of its weights, which `shapes` must hold. ONNX's rule: the total padding is
    (ceil(size / stride) - 1) * stride + window - size, its odd pixel at the end for SAME_UPPER.
    """
    given = attributes_of(node)
    mode = given.get("auto_pad", b"NOTSET")
    if node.op_type not in WINDOWED - {"ConvTranspose"} or mode not in (b"SAME_UPPER", b"SAME_LOWER", b"VALID"):
        return node
    kernel: Sequence[Any] = given.get("kernel_shape") or shapes[node.input[1]][2:]
    kernel = [int(size) for size in kernel]
    ones = [1] * len(kernel)
    strides, dilations = (list(given.get(key, ones)) for key in ("strides", "dilations"))
    sizes = shapes.get(node.input[0], (None,) * (2 + len(kernel)))[2:]
    begin, end = [], []
    for window, stride, dilation, size in zip(kernel, strides, dilations, sizes, strict=True):
        total = 0 if mode == b"VALID" else _same_padding(dilation * (window - 1) + 1, stride, size)
        if total is None:
            return node
        less = total // 2
        begin.append(less if mode != b"SAME_LOWER" else total - less)
        end.append(total - begin[-1])
    return _changed(node, {**given, "auto_pad": None, "pads": begin + end})


def _same_padding(window: int, stride: int, size: int | None) -> int | None:
    if stride == 1:
        return window - 1
    return None if size is None else max((-(-size // stride) - 1) * stride + window - size, 0)


def with_plain_nearest(node: NodeProto, constants: Mapping[str, np.ndarray]) -> NodeProto:
    """Nearest-neighbour enlargement by whole numbers, which all coordinate rules do alike, by the plainest rule."""
    given = attributes_of(node)
    if node.op_type != "Resize" or given.get("mode", b"nearest") != b"nearest" or len(node.input) < 3:
        return node
    scales = constants.get(node.input[2])
    if scales is None or not scales.size or (scales != np.round(scales)).any() or (scales < 1).any():
        return node
    return _changed(node, {**given, "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"})


def _changed(node: NodeProto, attributes: Mapping[str, Any]) -> NodeProto:
    kept = {key: value for key, value in attributes.items() if value is not None}
    return helper.make_node(node.op_type, node.input, node.output, name=node.name, domain=node.domain, **kept)


def tidied(
    nodes: Sequence[NodeProto], shapes: Mapping[str, Shape], constants: Mapping[str, np.ndarray]
) -> list[NodeProto]:
    """All rewrites of this module. `shapes` of values where known, `constants` by name where small."""
    return [with_plain_nearest(with_explicit_pads(node, shapes), constants) for node in nodes]
