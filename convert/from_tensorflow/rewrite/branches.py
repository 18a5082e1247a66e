"""Takes conditions apart: both branches become one computation, in which only what differs is chosen.

Zoo graphs choose between two image sizes: the branches are the same operators on other numbers. So the two are walked
side by side: where both apply the same operator, it is applied once; where they part, both values are computed and
one is chosen, which needs equal shapes. Known are TensorFlow 2's If with two functions and TensorFlow 1's Switch and
Merge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import static
from zoo.convert.from_tensorflow.batching.value import NotBatched, Value, as_stacked
from zoo.convert.from_tensorflow.graph import Node

if TYPE_CHECKING:
    from zoo.convert.from_tensorflow.evaluate import Evaluator

LABELS = {"_class", "_output_shapes", "_XlaAlreadyClustered"}


@dataclass
class _Branches:
    """Two branches, each with the evaluator of the graph it lies in, and the condition that chooses `then`."""

    condition: Value
    otherwise: Evaluator
    then: Evaluator
    memo: dict[tuple[str, str], Value] = field(default_factory=dict)

    def value(self, otherwise: str, then: str) -> Value:
        a, b = _origin(self.otherwise, otherwise), _origin(self.then, then)
        if (a, b) not in self.memo:
            self.memo[a, b] = self._value(a, b)
        return self.memo[a, b]

    def _value(self, a: str, b: str) -> Value:
        if self.otherwise is self.then and a == b:
            return self.then.value(a)
        bound = self.otherwise.bound.get(a), self.then.bound.get(b)
        if bound[0] is not None and bound[0] is bound[1]:
            return bound[0]
        if None in bound and _is_same(self.otherwise.source.producer(a), self.then.source.producer(b)):
            try:
                return self._applied(a, b)
            except NotBatched:
                pass  # the operators are the same, but somewhere below them the branches cannot be joined
        return self._chosen(self.otherwise.value(a), self.then.value(b))

    def _applied(self, a: str, b: str) -> Value:
        one, other = self.otherwise.source.producer(a), self.then.source.producer(b)
        inputs = [self.value(x, y) for x, y in zip(one.inputs, other.inputs, strict=True)]
        outputs = self.then.apply(other, inputs)
        return outputs[int(b.rpartition(":")[2])]

    def _chosen(self, otherwise: Value, then: Value) -> Value:
        if then.inner != otherwise.inner or None in then.inner:
            raise NotBatched(f"a condition chooses between shapes {list(then.inner)} and {list(otherwise.inner)}")
        if then.is_shared and otherwise.is_shared and self.condition.is_shared:
            known = static(then.tensor), static(otherwise.tensor)
            if known[0] is not None and known[1] is not None and (known[0] == known[1]).all():
                return then
            return Value(tf.where(self.condition.tensor, then.tensor, otherwise.tensor))
        images = next(v.images for v in (then, otherwise, self.condition) if not v.is_shared)
        then, otherwise = as_stacked(then, images), as_stacked(otherwise, images)
        condition = self.condition.tensor
        if not self.condition.is_shared:
            condition = tf.reshape(condition, [-1] + [1] * then.rank)
        return then.with_tensor(tf.where(condition, then.tensor, otherwise.tensor))


def _origin(evaluator: Evaluator, ref: str) -> str:
    """Where a tensor comes from, through the Switch operators at the entry of a branch."""
    while True:
        ref = evaluator.source.origin(ref) if ref not in evaluator.bound else ref
        if ref in evaluator.bound or evaluator.source.producer(ref).op != "Switch":
            return ref
        ref = evaluator.source.producer(ref).inputs[0]


def _is_same(a: Node, b: Node) -> bool:
    """True where both apply the same operator (a constant: the same number is checked by value)."""
    if a.op != b.op or len(a.inputs) != len(b.inputs) or not a.inputs:
        return False
    keys = (set(a.attributes) | set(b.attributes)) - LABELS
    return all(a.attributes[key] == b.attributes[key] for key in keys)


def if_(evaluator: Evaluator, node: Node) -> list[Value]:
    condition = evaluator.value(node.inputs[0])
    given = [evaluator.value(ref) for ref in node.inputs[1:]]
    bodies = []
    for key in ("else_branch", "then_branch"):
        function = evaluator.source.function(node.attributes[key].func.name)
        bodies.append(evaluator.inside(function, dict(zip(function.arguments, given, strict=True))))
    known = static(condition.tensor) if condition.is_shared else None
    if known is not None:
        taken = bodies[bool(known)]
        return [taken.value(ref) for ref in taken.source.results]
    branches = _Branches(condition, bodies[0], bodies[1])
    return [branches.value(*refs) for refs in zip(bodies[0].source.results, bodies[1].source.results, strict=True)]


def merge(evaluator: Evaluator, node: Node) -> list[Value]:
    """The end of a TensorFlow 1 condition; its inputs are the results where it is false and where it is true."""
    condition = evaluator.value(_condition(evaluator, node))
    known = static(condition.tensor) if condition.is_shared else None
    if known is not None:
        return [evaluator.value(node.inputs[bool(known)])]
    return [_Branches(condition, evaluator, evaluator).value(*node.inputs)]


def _condition(evaluator: Evaluator, node: Node) -> str:
    """The condition of the nearest Switch before a Merge."""
    pending, seen = list(node.inputs), set()
    while pending:
        before = evaluator.source.producer(pending.pop(0))
        if before.op == "Switch":
            return before.inputs[1]
        if before.op in ("NextIteration", "Enter"):
            break
        if before.name not in seen:
            seen.add(before.name)
            pending += before.inputs
    raise NotBatched(f"{node}: it is not the end of a condition")


def switch(evaluator: Evaluator, node: Node) -> list[Value]:
    """Inside a branch: what the branch is given. A Switch of a loop is not known here."""
    if (
        evaluator.source.source(node.inputs[0]).op == "Merge"
        and evaluator.source.source(node.inputs[1]).op == "LoopCond"
    ):
        raise NotBatched(f"{node}: a value that a loop carries from round to round")
    value = evaluator.value(node.inputs[0])
    return [value, value]


HANDLERS = {"If": if_, "StatelessIf": if_, "Merge": merge, "Switch": switch}
