"""If, Loop and Scan, as tf.cond and tf.while_loop, or as plain code where the condition is known while converting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import plain
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_tensor, by_axis


@by_axis("If")
def if_(call: Call, condition: Input) -> list[Any]:
    branches: dict[bool, Graph] = {True: call.attribute("then_branch"), False: call.attribute("else_branch")}
    if isinstance(condition, np.ndarray):
        return [plain(tensor) for tensor in call.builder.body(branches[bool(condition.all())], [], call.scope)]
    results = tf.cond(
        tf.reshape(as_tensor(condition), []),
        lambda: call.builder.body(branches[True], [], call.scope),
        lambda: call.builder.body(branches[False], [], call.scope),
    )
    return _ranked(call, results)


def _ranked(call: Call, tensors: Sequence[tf.Tensor]) -> list[Any]:
    """Branches or rounds with different shapes leave TensorFlow no rank to know; ONNX's inference may."""
    for tensor, name in zip(tensors, call.node.outputs, strict=True):
        rank = call.graph.value(name).rank
        if tensor.shape.rank is None:
            if rank is None:
                raise call.error(f"the number of axes of {name!r} is not known", "export the model with typed values")
            tensor.set_shape([None] * rank)
    return [plain(tensor) for tensor in tensors]


@by_axis("Loop")
def loop(call: Call, *_: Input) -> list[Any]:
    """At most M rounds, while the condition holds; values that the body adds are stacked, one for each round."""
    body: Graph = call.attribute("body")
    limit = tf.reshape(call.tensor(0), []) if call.has(0) else tf.constant(np.iinfo(np.int64).max)
    going = tf.reshape(call.tensor(1), []) if call.has(1) else tf.constant(True)
    carried = [as_tensor(value) for value in call.inputs[2:]]

    def step(index: tf.Tensor, going: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
        results = call.builder.body(body, [index, going, *values], call.scope)
        return [tf.reshape(results[0], []), *results[1:]]

    start = [tf.constant(0, tf.int64), going, *carried]
    specs, results = _settled(step, start, lambda results: results[: len(carried) + 1], first=1)
    stacks = [tf.TensorArray(r.dtype, 0, True, element_shape=r.shape) for r in results[len(carried) + 1 :]]

    def round_(index: tf.Tensor, going: tf.Tensor, values: Any, stacks: Any) -> tuple[Any, ...]:
        going, *results = step(index, going, *values)
        written = [
            stack.write(tf.cast(index, tf.int32), r) for stack, r in zip(stacks, results[len(values) :], strict=True)
        ]
        return index + 1, going, results[: len(values)], written

    _, _, values, stacks = tf.while_loop(
        lambda index, going, *_: (index < limit) & going,
        round_,
        [start[0], going, carried, stacks],
        shape_invariants=[s.shape for s in specs[:2]]
        + [[s.shape for s in specs[2:]], [tf.TensorShape(None) for _ in stacks]],
    )
    return _ranked(call, [*values, *(stack.stack() for stack in stacks)])


def _settled(
    step: Callable[..., list[tf.Tensor]],
    start: Sequence[tf.Tensor],
    kept: Callable[[list[Any]], list[Any]],
    first: int,
) -> tuple[list[tf.TensorSpec], list[Any]]:
    """The shapes that hold in every round, and the body's results there: sizes that a round changes become unknown.

    `kept` picks from the body's results those that the next round takes, from its argument `first` on.
    """
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in start]
    while True:
        results = list(tf.compat.v1.wrap_function(step, specs).structured_outputs)
        wider = list(specs)
        for at, result in enumerate(kept(results), first):
            wider[at] = tf.TensorSpec(_common(specs[at].shape, result.shape), specs[at].dtype)
        if wider == specs:
            return specs, results
        specs = wider


def _common(a: tf.TensorShape, b: tf.TensorShape) -> tf.TensorShape:
    if a.rank is None or b.rank is None or a.rank != b.rank:
        return tf.TensorShape(None)
    return tf.TensorShape([x if x == y else None for x, y in zip(a, b, strict=True)])


@by_axis("Scan", since=9)
def scan(call: Call, *_: Input) -> list[Any]:
    """States go from round to round; each round takes one slice of the scanned inputs and adds one of the outputs."""
    body: Graph = call.attribute("body")
    count = call.attribute("num_scan_inputs")
    states = [as_tensor(value) for value in call.inputs[:-count]]
    scanned = [
        _forward(as_tensor(value), axis, backwards)
        for value, axis, backwards in zip(
            call.inputs[-count:],
            call.attribute("scan_input_axes") or [0] * count,
            call.attribute("scan_input_directions") or [0] * count,
            strict=True,
        )
    ]
    results = call.builder.body(body, [*states, *(tensor[0] for tensor in scanned)], call.scope)
    extra = results[len(states) :]

    def step(before: tuple[Any, Any], slices: Any) -> tuple[list[Any], list[Any]]:
        after = call.builder.body(body, [*before[0], *slices], call.scope)
        return after[: len(states)], after[len(states) :]

    zeros = [tf.zeros(tf.shape(result), result.dtype) for result in extra]
    rounds = tf.scan(step, scanned, (states, zeros))
    axes = call.attribute("scan_output_axes") or [0] * len(extra)
    directions = call.attribute("scan_output_directions") or [0] * len(extra)
    outputs = [_back(tensor, axis, way) for tensor, axis, way in zip(rounds[1], axes, directions, strict=True)]
    return [plain(tensor) for tensor in [*(state[-1] for state in rounds[0]), *outputs]]


def _forward(tensor: tf.Tensor, axis: int, backwards: int) -> tf.Tensor:
    axis %= len(tensor.shape)
    moved = tf.transpose(tensor, [axis, *(other for other in range(len(tensor.shape)) if other != axis)])
    return tf.reverse(moved, [0]) if backwards else moved


def _back(tensor: tf.Tensor, axis: int, backwards: int) -> tf.Tensor:
    rank = len(tensor.shape)
    tensor = tf.reverse(tensor, [0]) if backwards else tensor
    order = list(range(1, rank))
    order.insert(axis % rank, 0)
    return tf.transpose(tensor, order)
