"""Builds a new TensorFlow graph from a source graph: only what its outputs need, without control flow, for many images.

The source is walked from its outputs backwards. Each operator is copied, or computed for many images at once by the
rules in `batching`; loops, branches and non-maximum suppressions are taken apart by the passes in `rewrite`, which
recognise them by structure. Whatever no rule knows raises NotBatched: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.convert.from_tensorflow.batching import elementwise, indexing, shaping, spatial
from zoo.convert.from_tensorflow.batching.context import Context
from zoo.convert.from_tensorflow.batching.value import NotBatched, Value
from zoo.convert.from_tensorflow.graph import PASSING, Node, SourceGraph
from zoo.convert.from_tensorflow.rewrite.nms_stage import Stage, find_stages

Rule = Callable[[Context, Node, list[Value]], list[Value]]
Handler = Callable[["Evaluator", Node], list[Value]]

RULES: Mapping[str, Rule] = {**elementwise.RULES, **spatial.RULES, **shaping.RULES, **indexing.RULES}
KNOWS_SHARED = indexing.ALSO_SHARED | {"Shape", "Reshape"}
REFUSED_KINDS = {"While", "StatelessWhile", "If", "StatelessIf", "Switch", "Enter", "Exit", "NextIteration"}


@dataclass(frozen=True)
class Suppression:
    """A batched non-maximum suppression that replaces a stage of the source: its inputs are tensors of the new graph.

    `boxes` [N, A, 4] or [N, A, q, 4], `scores` [N, A, C], `valid` [N] or None, `window` [N, 4] or None, `fields` each
    [N, A, …]. The placeholders `outputs` ("boxes", "scores", "classes", "count", "field0" …) stand for the results.
    """

    stage: Stage
    boxes: Any
    scores: Any
    valid: Any
    window: Any
    fields: tuple[Any, ...]
    outputs: Mapping[str, Any]


@dataclass
class Evaluator:
    """Values of one source graph. `bound` are the tensors that are given: the input, or the arguments of a function."""

    source: SourceGraph
    context: Context
    bound: dict[str, Value]
    suppressions: list[Suppression] = field(default_factory=list)
    memo: dict[str, Value] = field(default_factory=dict)
    nested: dict[Any, Any] = field(default_factory=dict)  # of the passes: what was taken apart already
    handlers: Mapping[str, Handler] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stage_outputs = {ref: stage for stage in find_stages(self.source) for ref in stage.results}

    def inside(self, function: SourceGraph, arguments: dict[str, Value]) -> Evaluator:
        """An evaluator of a function's body."""
        return Evaluator(function, self.context, arguments, self.suppressions, handlers=self.handlers)

    def value(self, ref: str) -> Value:
        """The value of a tensor of the source in the new graph."""
        if ref in self.bound:
            return self.bound[ref]
        if ref not in self.memo:
            node = self.source.producer(ref)
            if ref in self.stage_outputs:
                self.handlers["stage"](self, node)
            else:
                for output, value in enumerate(self._outputs(node)):
                    self.memo[f"{node.name}:{output}"] = value
            if ref not in self.memo:
                raise NotBatched(f"{node}: its output {ref} cannot be computed")
        return self.memo[ref]

    def _outputs(self, node: Node) -> list[Value]:
        if node.op in self.handlers:
            return self.handlers[node.op](self, node)
        if node.op in PASSING or node.op == "IdentityN":
            return [self.value(ref) for ref in node.inputs]
        return self.apply(node, [self.value(ref) for ref in node.inputs])

    def apply(self, node: Node, values: list[Value]) -> list[Value]:
        """The outputs of the operator of `node` on `values`."""
        shared = all(value.is_shared for value in values)
        if node.op in RULES and (not shared or node.op in KNOWS_SHARED):
            return RULES[node.op](self.context, node, values)
        if not shared or node.op in REFUSED_KINDS:
            raise NotBatched(f"{node}: there is no rule to compute it for many images at once")
        return [Value(tensor) for tensor in self.context.copy(node, [value.tensor for value in values])]
