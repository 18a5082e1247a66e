"""Sizes that TensorFlow's own shape inference loses in a graph whose batch is not known: Reshape(x, [N, -1, k]).

With two unknown sizes, N and -1, it knows neither. But where N is the leading size of the very tensor that x was
computed from, row by row, the -1 follows from the other sizes of x.
"""

from __future__ import annotations

import math
from typing import Any

from zoo.convert.from_tensorflow.batching.context import static

ROW_BY_ROW = {
    "AvgPool", "BiasAdd", "Cast", "Conv2D", "DepthwiseConv2dNative", "FakeQuantWithMinMaxVars", "FusedBatchNorm",
    "FusedBatchNormV3", "Identity", "MaxPool", "Relu", "Relu6", "Sigmoid",
}  # fmt: skip


def inferred_shape(tensor: Any, sizes: Any) -> list[int | None] | None:
    """The static shape of `tensor` reshaped to `sizes`, where it follows as above; else None."""
    given = tensor.shape
    if given.rank is None or given.rank < 2 or None in given.as_list()[1:] or sizes.op.type != "Pack":
        return None
    first, *rest = sizes.op.inputs
    known = [static(size) for size in rest]
    if static(first) is not None or any(size is None for size in known) or not _is_leading_size(first, tensor):
        return None
    wanted: list[int | None] = [None if size.item() == -1 else int(size.item()) for size in known if size is not None]
    if wanted.count(None) != 1:
        return None
    others = math.prod(size for size in wanted if size is not None)
    wanted[wanted.index(None)] = math.prod(given.as_list()[1:]) // others
    return [None, *wanted]


def _is_leading_size(size: Any, tensor: Any) -> bool:
    """True where the scalar `size` is the leading size of a tensor that shares its rows with `tensor`."""
    measured = _measured(size)
    return measured is not None and _root(measured) is _root(tensor)


def _measured(size: Any) -> Any:
    """The tensor whose leading size is taken: StridedSlice(Shape(t), 0), also through a list of t's sizes."""
    for _ in range(4):
        operation = size.op
        if operation.type != "StridedSlice" or static(operation.inputs[1]) is None or operation.inputs[1].shape != (1,):
            return None
        if static(operation.inputs[1]).item() != 0:  # type: ignore[union-attr]
            return None
        source = operation.inputs[0]
        while source.op.type in ("Cast", "Identity"):
            source = source.op.inputs[0]
        if source.op.type == "Shape":
            return source.op.inputs[0]
        if source.op.type != "Pack":
            return None
        size = source.op.inputs[0]
    return None


def _root(tensor: Any) -> Any:
    """The first tensor with the rows of `tensor`: everything after it works row by row."""
    while tensor.op.type in ROW_BY_ROW:
        tensor = tensor.op.inputs[0]
    return tensor
