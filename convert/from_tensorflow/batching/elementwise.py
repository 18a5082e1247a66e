"""Rules for operators that work element by element, with broadcasting."""

from __future__ import annotations

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import Context
from zoo.convert.from_tensorflow.batching.value import Layout, Value, as_stacked, folded, stacked, widened
from zoo.convert.from_tensorflow.graph import Node

OPERATORS = [
    "Abs",
    "Add",
    "AddN",
    "AddV2",
    "BitwiseAnd",
    "Cast",
    "Ceil",
    "CheckNumerics",
    "ClipByValue",
    "Div",
    "DivNoNan",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "FloorDiv",
    "FloorMod",
    "Greater",
    "GreaterEqual",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessEqual",
    "Log",
    "Log1p",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Maximum",
    "Minimum",
    "Mod",
    "Mul",
    "Neg",
    "NotEqual",
    "OnesLike",
    "Pow",
    "RealDiv",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Rint",
    "Round",
    "Rsqrt",
    "SelectV2",
    "Selu",
    "Sigmoid",
    "Sign",
    "Softplus",
    "Sqrt",
    "Square",
    "SquaredDifference",
    "Sub",
    "Tanh",
    "TruncateDiv",
    "ZerosLike",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVars",
    "IsFinite",
]


def elementwise(context: Context, node: Node, values: list[Value]) -> list[Value]:
    batched = [value for value in values if not value.is_shared]
    first = batched[0]
    if _fold_alike(batched) and all(_fits_inside(value, first) for value in values if value.is_shared):
        return [
            folded(tensor, first.images, first.rows)
            for tensor in context.copy(node, [value.tensor for value in values])
        ]
    rank = max(value.rank for value in values)
    tensors = [value.tensor if value.is_shared else widened(as_stacked(value, first.images), rank) for value in values]
    return [stacked(tensor, first.images) for tensor in context.copy(node, tensors)]


def _fold_alike(values: list[Value]) -> bool:
    first = values[0]
    return all(
        value.layout is Layout.FOLDED and value.rows == first.rows is not None and value.rank == first.rank
        for value in values
    )


def _fits_inside(shared: Value, other: Value) -> bool:
    """True where broadcasting `shared` against one image's value does not touch the leading axis."""
    return shared.rank < other.rank or (shared.rank == other.rank and shared.inner[0] == 1)


def select(context: Context, node: Node, values: list[Value]) -> list[Value]:
    """TensorFlow 1's Select: a condition of rank 1 chooses whole rows."""
    images = next(value.images for value in values if not value.is_shared)
    condition, *branches = (as_stacked(value, images) for value in values)
    rank = max(branch.rank for branch in branches)
    chosen = condition.tensor
    for _ in range(rank - condition.rank):
        chosen = tf.expand_dims(chosen, -1)
    return [stacked(tf.where(chosen, *(branch.tensor for branch in branches)), images)]


RULES = {**dict.fromkeys(OPERATORS, elementwise), "Select": select}
