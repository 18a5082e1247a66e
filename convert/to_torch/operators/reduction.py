"""Reductions along axes, and what runs along one: arg-max, cumulative sums."""

from __future__ import annotations

from typing import Any

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use

# Operator → template of the reduction of {0} over {1}.
TEMPLATES = {
    "ReduceL1": "{0}.abs().sum({1})",
    "ReduceL2": "torch.linalg.vector_norm({0}, {1})",
    "ReduceLogSum": "{0}.sum({1}).log()",
    "ReduceLogSumExp": "{0}.logsumexp({1})",
    "ReduceMax": "{0}.amax({1})",
    "ReduceMean": "{0}.mean({1})",
    "ReduceMin": "{0}.amin({1})",
    "ReduceSum": "{0}.sum({1})",
    "ReduceSumSquare": "{0}.square().sum({1})",
}
# What a reduction without axes and with noop_with_empty_axes does to each element.
ELEMENTWISE = {
    "ReduceL1": "torch.abs({0})",
    "ReduceL2": "torch.abs({0})",
    "ReduceLogSum": "torch.log({0})",
    "ReduceSumSquare": "torch.square({0})",
}
WITH_DTYPE = {"ReduceSum", "ReduceL1", "ReduceSumSquare"}  # torch sums int32 as int64 unless told


@operator(*TEMPLATES, "ReduceProd")
def reduce_axes(use: Use) -> Code:
    op = use.node.op
    if use.has(1) and isinstance(use.held(1), Code) and not use.writer.has_known_size(use.node.input(1)):
        if op == "ReduceProd" or use.attribute("noop_with_empty_axes", 0):
            use.refuse("the number of its axes must be known")
        return _reduced(use, op, use.dims_of(1), bool(use.attribute("keepdims", 1)))
    axes = use.integers(1, "axes", ())
    if not axes and use.attribute("noop_with_empty_axes", 0):
        return code(ELEMENTWISE.get(op, "{0}"), use.tensor(0))
    keep = bool(use.attribute("keepdims", 1))
    if op == "ReduceProd":
        return use.helper("prod", use.tensor(0), tuple(axes), keep)
    if use.maybe_rank(0) == 0:
        return code(ELEMENTWISE.get(op, "{0}"), use.tensor(0))
    if op in ("ReduceMax", "ReduceMin") and _may_be_empty(use):
        return use.helper("extreme", use.tensor(0), tuple(axes), keep, op == "ReduceMax")
    return _reduced(use, op, tuple(axes) or tuple(range(use.rank(0))), keep)


def _reduced(use: Use, op: str, axes: tuple[Any, ...] | Code, keep: bool) -> Code:
    tensor = use.tensor(0)
    whole = use.is_integer() and op in ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")
    if whole:
        tensor = code("{}.double()", tensor)
    arguments = code("dim={}, keepdim={}", axes, keep)
    if use.is_integer() and op in WITH_DTYPE:
        arguments = code("{}, dtype={}.dtype", arguments, use.tensor(0))
    result = code(TEMPLATES[op], tensor, arguments)
    return code("{}.to({}.dtype)", result, use.tensor(0)) if whole else result


def _may_be_empty(use: Use) -> bool:
    """A dimension of size 0 is reduced to the smallest or largest number, which torch refuses to invent."""
    return 0 in (use.writer.value(use.node.input(0)).shape or ())


@operator("ArgMax", "ArgMin")
def arg_extreme(use: Use) -> Code:
    name = {"ArgMax": "argmax", "ArgMin": "argmin"}[use.node.op]
    axis, keep = use.attribute("axis", 0), bool(use.attribute("keepdims", 1))
    if use.attribute("select_last_index", 0):
        return use.helper("last_index", use.tensor(0), axis, keep, use.node.op == "ArgMax")
    return call(f"{use.tensor(0)}.{name}", dim=axis, keepdim=keep)


@operator("CumSum", since=11)
def cumulative_sum(use: Use) -> Code:
    (axis,) = use.sizes(1)
    exclusive, reverse = bool(use.attribute("exclusive", 0)), bool(use.attribute("reverse", 0))
    if not exclusive and not reverse:
        named = {"dtype": code("{}.dtype", use.tensor(0))} if use.is_integer() else {}
        return call(f"{use.tensor(0)}.cumsum", axis, **named)
    return use.helper("cumulative_sum", use.tensor(0), axis, exclusive, reverse)


@operator("CumProd", since=26)
def cumulative_product(use: Use) -> Code:
    (axis,) = use.sizes(1)
    exclusive, reverse = bool(use.attribute("exclusive", 0)), bool(use.attribute("reverse", 0))
    return use.helper("cumulative_product", use.tensor(0), axis, exclusive, reverse)
