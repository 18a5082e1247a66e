"""A tensor of the graph for many images at once, made from one that the source computes for a single image.

The source's loops (and whole graphs exported for batch 1) say what happens to one image. Here the same is computed for
all images at once; a `Value` says where the images are in its tensor:

    SHARED    nowhere: the value is the same for every image
    STACKED   along a leading axis of their own: shape [N, *shape of one image's value]
    FOLDED    inside the leading axis: shape [N * rows, …] where one image's value is [rows, …]; a value with rows 1
              is the ordinary case of a graph that was exported for batch 1

Layouts are only changed where an operator needs another one: convolutions take FOLDED, most others anything.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.base.errors import ConversionError

Dim = Any  # an int, a scalar int32 tensor, or None where it is not known


class NotBatched(ConversionError):
    """An operator cannot be computed for many images at once by the rules here."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint or "see docs/tensorflow.md for the structures that are known")


class Layout(enum.Enum):
    SHARED = "shared"
    STACKED = "stacked"
    FOLDED = "folded"


@dataclass(frozen=True, eq=False)
class Value:
    """`images` is the number of images, a scalar int32 tensor (None where SHARED); `rows` as in the module's text."""

    tensor: Any
    layout: Layout = Layout.SHARED
    images: Any = None
    rows: int | None = None

    @property
    def is_shared(self) -> bool:
        return self.layout is Layout.SHARED

    @property
    def inner(self) -> tuple[int | None, ...]:
        """The static shape of one image's value. Raises NotBatched where even the rank is unknown."""
        shape = self.tensor.shape
        if shape.rank is None:
            raise NotBatched(f"the rank of {self.tensor.name!r} is not known")
        sizes = tuple(shape.as_list())
        if self.layout is Layout.STACKED:
            return sizes[1:]
        return (self.rows, *sizes[1:]) if self.layout is Layout.FOLDED else sizes

    @property
    def rank(self) -> int:
        return len(self.inner)

    def with_tensor(self, tensor: Any) -> Value:
        return Value(tensor, self.layout, self.images, self.rows)


def stacked(tensor: Any, images: Any) -> Value:
    return Value(tensor, Layout.STACKED, images)


def folded(tensor: Any, images: Any, rows: int | None) -> Value:
    return Value(tensor, Layout.FOLDED, images, rows)


def sizes_of(tensor: Any) -> list[Dim]:
    """The sizes of a tensor: ints where known, else scalar int32 tensors."""
    static = tensor.shape.as_list()
    if None not in static:
        return list(static)
    running = tf.shape(tensor)
    return [size if size is not None else running[axis] for axis, size in enumerate(static)]


def reshaped(tensor: Any, sizes: list[Dim]) -> Any:
    """Reshape to `sizes`, of which at most one may be None (it follows from the others)."""
    if all(size is None or isinstance(size, int) for size in sizes):
        return tf.reshape(tensor, [-1 if size is None else size for size in sizes])
    return tf.reshape(tensor, tf.stack([-1 if size is None else size for size in sizes]))


def as_stacked(value: Value, images: Any) -> Value:
    """The same with an image axis of its own; a SHARED value is repeated for each image."""
    tensor = value.tensor
    if value.layout is Layout.STACKED:
        return value
    if value.layout is Layout.SHARED:
        multiples = tf.concat([tf.reshape(images, [1]), tf.ones([value.rank], tf.int32)], 0)
        return stacked(tf.tile(tf.expand_dims(tensor, 0), multiples), images)
    if value.rows == 1:
        return stacked(tf.expand_dims(tensor, 1), value.images)
    rest = sizes_of(tensor)[1:]
    if value.rows is not None and all(isinstance(size, int) for size in rest):
        return stacked(reshaped(tensor, [None, value.rows, *rest]), value.images)
    return stacked(reshaped(tensor, [value.images, value.rows, *rest]), value.images)


def as_folded(value: Value, images: Any) -> Value:
    """The same with the images inside the leading axis. Raises NotBatched for a scalar of each image."""
    if value.layout is Layout.FOLDED:
        return value
    if value.rank == 0:
        raise NotBatched(f"{value.tensor.name!r} is one number for each image and has no leading axis")
    value = as_stacked(value, images)
    rows = value.inner[0]
    if rows == 1:
        return folded(tf.squeeze(value.tensor, 1), value.images, 1)
    return folded(reshaped(value.tensor, [None, *sizes_of(value.tensor)[2:]]), value.images, rows)


def widened(value: Value, rank: int) -> Any:
    """The tensor of a STACKED value with axes of size 1 after the image axis, until one image's value has `rank`."""
    tensor = value.tensor
    for _ in range(rank - value.rank):
        tensor = tf.expand_dims(tensor, 1)
    return tensor
