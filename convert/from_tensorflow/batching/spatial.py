"""Rules for operators that already work on a batch of pictures (N, H, W, C): they take the images inside axis 0."""

from __future__ import annotations

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import Context, constant
from zoo.convert.from_tensorflow.batching.padded import padded_sizes
from zoo.convert.from_tensorflow.batching.value import (
    NotBatched,
    Value,
    as_folded,
    as_stacked,
    folded,
    sizes_of,
    stacked,
    widened,
)
from zoo.convert.from_tensorflow.graph import Node

OPERATORS = [
    "AvgPool",
    "BiasAdd",
    "Conv2D",
    "DepthToSpace",
    "DepthwiseConv2dNative",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "MaxPool",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "SpaceToDepth",
    "LRN",
]


def spatial(context: Context, node: Node, values: list[Value]) -> list[Value]:
    picture, *rest = values
    if not all(value.is_shared for value in rest):
        raise NotBatched(f"{node}: its weights depend on the image")
    picture = as_folded(picture, picture.images)
    outputs = context.copy(node, [picture.tensor, *(value.tensor for value in rest)])
    return [folded(outputs[0], picture.images, picture.rows), *(Value(tensor) for tensor in outputs[1:])]


def matrix_product(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """MatMul: rows of images against shared weights."""
    left, right = values
    if left.is_shared or not right.is_shared or node.flag("transpose_a"):
        raise NotBatched(f"{node}: only a product with shared weights can be batched")
    left = as_folded(left, left.images)
    return [folded(tensor, left.images, left.rows) for tensor in context.copy(node, [left.tensor, right.tensor])]


def batched_matrix_product(context: Context, node: Node, values: list[Value]) -> list[Value]:
    images = next(value.images for value in values if not value.is_shared)
    rank = max(value.rank for value in values)
    tensors = [value.tensor if value.is_shared else widened(as_stacked(value, images), rank) for value in values]
    return [stacked(tensor, images) for tensor in context.copy(node, tensors)]


def crop_and_resize(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """Boxes of image n take their crops from the pictures of image n: their index grows by n * pictures."""
    images = next(value.images for value in values if not value.is_shared)
    picture, boxes, index, size = values
    pictures = picture.inner[0]
    if pictures is None:
        raise NotBatched(f"{node}: the number of pictures is not known")
    picture = as_folded(picture, images)
    index, boxes = as_stacked(index, images), as_folded(boxes, images)
    own = index.tensor + tf.expand_dims(tf.range(images) * pictures, 1)
    tensors = [picture.tensor, boxes.tensor, tf.reshape(own, [-1]), tf.constant(constant(size, node, "size"))]
    return [folded(tensor, images, boxes.rows) for tensor in context.copy(node, tensors)]


def pad(context: Context, node: Node, values: list[Value]) -> list[Value]:
    picture, paddings, *fill = values
    if picture.is_shared or not paddings.is_shared:
        raise NotBatched(f"{node}: its amount of padding differs from image to image")
    tensor = as_stacked(picture, picture.images).tensor
    none = tf.zeros([1, 2], paddings.tensor.dtype)
    tensors = [tensor, tf.concat([none, paddings.tensor], 0), *(value.tensor for value in fill)]
    (result,) = context.copy(node, tensors)
    result.set_shape(padded_sizes(tensor, paddings.tensor))
    return [stacked(result, picture.images)]


def gather_nd(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """The number of the image becomes the first of the indices."""
    images = next(value.images for value in values if not value.is_shared)
    table, index = (as_stacked(value, images).tensor for value in values)
    sizes = sizes_of(index)
    numbers = tf.reshape(tf.range(images), [-1] + [1] * (len(sizes) - 1))
    numbers = tf.tile(numbers, tf.stack([1, *sizes[1:-1], 1]))
    whole = tf.concat([tf.cast(numbers, index.dtype), index], -1)
    return [stacked(result, images) for result in context.copy(node, [table, whole])]


RULES = {
    **dict.fromkeys(OPERATORS, spatial),
    "MatMul": matrix_product,
    "BatchMatMul": batched_matrix_product,
    "BatchMatMulV2": batched_matrix_product,
    "CropAndResize": crop_and_resize,
    "Pad": pad,
    "PadV2": pad,
    "MirrorPad": pad,
    "GatherNd": gather_nd,
}
