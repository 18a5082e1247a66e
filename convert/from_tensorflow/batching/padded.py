"""The size of a picture that was padded to a fixed one: the padding is that size less the picture's own.

Resizers that keep the aspect ratio pad to a square. TensorFlow's shape inference sees a padding that is computed, and
gives up; but K - size + size is K. With the size known the anchors are constants and the paddings are numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from zoo.convert.from_tensorflow.batching.context import static

CONSTANT = ("", 0)
PASSING = {"Cast", "Identity"}
Sum = Counter[tuple[str, int]]  # how often each size (tensor's name, axis) is in a sum; CONSTANT stands for 1


def padded_sizes(picture: Any, paddings: Any) -> list[int | None]:
    """The static sizes of `picture` [N, …] after `paddings` [rank of one image, 2], where they follow as above."""
    sizes = list(picture.shape.as_list())
    parts = _elements(paddings)
    if parts is None or len(parts) != 2 * (len(sizes) - 1):
        return [None] * len(sizes)
    result: list[int | None] = [sizes[0]]
    for axis, size in enumerate(sizes[1:], 1):
        total = Counter({_size(picture, axis): 1} if size is None else {CONSTANT: size})
        for part in parts[2 * axis - 2 : 2 * axis]:
            total = _plus(total, _sum(part))
        result.append(total[CONSTANT] if set(total) <= {CONSTANT} else None)
    return result


def _elements(tensor: Any) -> list[Any] | None:
    """The scalars that a tensor of sizes is packed of, in order."""
    kind, inputs = tensor.op.type, list(tensor.op.inputs)
    if kind in PASSING or kind == "Reshape":
        return _elements(inputs[0])
    if kind != "Pack":
        return None
    if all(part.shape.rank == 0 for part in inputs):
        return inputs
    rows = [_elements(part) for part in inputs]
    return None if None in rows else [part for row in rows for part in row or ()]


def _plus(a: Sum, b: Sum, sign: int = 1) -> Sum:
    total = Counter({key: a[key] + sign * b[key] for key in {*a, *b}})
    return Counter({key: count for key, count in total.items() if count})


def _sum(scalar: Any) -> Sum:
    """A scalar as a sum of sizes and a constant; what is neither stands for itself."""
    value = static(scalar)
    if value is not None:
        return Counter({CONSTANT: int(value)} if int(value) else {})
    kind, inputs = scalar.op.type, scalar.op.inputs
    if kind in PASSING:
        return _sum(inputs[0])
    if kind in ("Add", "AddV2", "Sub"):
        return _plus(_sum(inputs[0]), _sum(inputs[1]), -1 if kind == "Sub" else 1)
    return Counter({_measured(scalar): 1})


def _measured(scalar: Any) -> tuple[str, int]:
    """The tensor's name and the axis whose size the scalar is; its own name where it is no size."""
    kind, inputs = scalar.op.type, scalar.op.inputs
    if kind == "Unpack":
        return _entry(inputs[0], scalar.value_index) or (scalar.name, -1)
    if kind == "StridedSlice":
        begin = static(inputs[1])
        if begin is not None and begin.shape == (1,) and scalar.shape.rank == 0:
            return _entry(inputs[0], int(begin[0])) or (scalar.name, -1)
    return (scalar.name, -1)


def _entry(vector: Any, index: int) -> tuple[str, int] | None:
    """What the entry of a vector of sizes measures."""
    while vector.op.type in PASSING:
        vector = vector.op.inputs[0]
    if vector.op.type == "Shape":
        return _size(vector.op.inputs[0], index)
    if vector.op.type != "Pack":
        return None
    part = vector.op.inputs[index]
    while part.op.type in PASSING:
        part = part.op.inputs[0]
    return _measured(part)


def _size(tensor: Any, axis: int) -> tuple[str, int]:
    """The size of a tensor along an axis, for the parts of a picture as for the whole."""
    while tensor.op.type == "Unpack":
        axis += axis >= tensor.op.get_attr("axis") % (tensor.shape.rank + 1)
        tensor = tensor.op.inputs[0]
    return tensor.name, axis
