"""What a non-maximum suppression takes: from one class's boxes and scores back to the tables that all classes share.

A class takes one column of a table of scores, and all boxes or (where each class has boxes of its own) one column of a
table of them. A suppression of all classes together takes each box's best score. Before that, an image's padding rows
may be sliced off; the tables are found without that slice, and the number of rows it keeps is the table's `valid`.
Exporters of 2018 also take the rows of a class that meet a condition (a score above the threshold, an area) before they
suppress: the tables are found without that choice too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.convert.from_tensorflow.batching.value import NotBatched
from zoo.convert.from_tensorflow.graph import Node, SourceGraph

ROW_BY_ROW = {"Squeeze", "ExpandDims", "Reshape", "Cast", "Max", "ArgMax", "GatherV2"}
"""Operators that compute each box's row of a table from the same row of others."""


@dataclass(frozen=True)
class Table:
    """Rows for one image's boxes: the reference, without the slice to the `valid` first rows, and that number's."""

    ref: str
    valid: str | None = None
    by_class: bool = False  # axis 1 has one entry for each class
    dtype: int | None = None  # TensorFlow's number of the type that the rows are cast to, if they are


def table_of_class(graph: SourceGraph, ref: str) -> Table:
    """The table [A, q, …] or [A, …] from which a class takes its rows."""
    ref = unfiltered(graph, ref)
    node = graph.source(ref)
    if node.op == "Unpack" and node.integer("axis") == 1:
        table = _without_slice(graph, node.inputs[0])
        return Table(table.ref, table.valid, by_class=node.integer("num") > 1)
    return _without_slice(graph, ref)


def scores_of_class(graph: SourceGraph, ref: str) -> tuple[Table, int]:
    """The table [A, C] of which a class takes one column, and the column; [A] and 0 for the best score of all."""
    ref = unfiltered(graph, ref)
    node = graph.source(ref)
    if node.op == "Max" and _axis(graph, node.inputs[1]) in (1, -1):
        return Table(graph.origin(ref)), 0
    if node.op == "Reshape":
        node = graph.source(node.inputs[0])
    begin = graph.constant(node.inputs[1]) if node.op == "Slice" else None
    if begin is not None and begin.size == 2:
        return _without_slice(graph, node.inputs[0]), int(begin[1])
    raise NotBatched(f"the scores of a non-maximum suppression come from {node}, not from one column of a table")


def unfiltered(graph: SourceGraph, ref: str) -> str:
    """Look through the choice of rows that meet a condition: Gather(table, Where(condition))."""
    while _condition(graph, ref) is not None:
        ref = graph.source(ref).inputs[0]
    return graph.origin(ref)


def least_score(graph: SourceGraph, ref: str) -> float:
    """The number that a score must exceed to be among the chosen ones; the lowest one where none are chosen."""
    column = unfiltered(graph, ref)
    while (condition := _condition(graph, ref)) is not None:
        if condition.op == "Greater" and graph.origin(condition.inputs[0]) == column:
            least = graph.constant(condition.inputs[1])
            if least is None:
                raise NotBatched(f"{condition}: the least score is not constant")
            return float(least.item())
        ref = graph.source(ref).inputs[0]
    return float("-inf")


def _condition(graph: SourceGraph, ref: str) -> Node | None:
    """What rows must meet to be in a tensor; None where it is not the chosen rows of another one."""
    node = graph.source(ref)
    if node.op not in ("Gather", "GatherV2"):
        return None
    index = graph.source(node.inputs[1])
    while index.op in ("Cast", "Reshape", "Squeeze"):
        index = graph.source(index.inputs[0])
    return graph.source(index.inputs[0]) if index.op == "Where" else None


def slices_before(graph: SourceGraph, refs: Iterable[str]) -> dict[str, Table]:
    """The slices to the valid first rows that tables were computed from, row by row: where each is, and of what."""
    found: dict[str, Table] = {}
    pending, seen = list(refs), set[str]()
    while pending:
        ref = graph.origin(pending.pop())
        if ref in seen:
            continue
        seen.add(ref)
        table = _without_slice(graph, ref)
        if table.valid is not None:
            found[ref] = table
        elif graph.producer(ref).op in ROW_BY_ROW:
            pending += graph.producer(ref).inputs
    return found


def _without_slice(graph: SourceGraph, ref: str) -> Table:
    """Look through "the first `valid` rows": Reshape(Slice(table, 0, [valid, -1, …]), [-1, …])."""
    node = graph.source(ref)
    inner = graph.source(node.inputs[0]) if node.op == "Reshape" else node
    if inner.op == "Slice":
        begin, size = graph.constant(inner.inputs[1]), graph.source(inner.inputs[2])
        if begin is not None and not begin.any() and size.op == "Pack":
            rest = [graph.constant(part) for part in size.inputs[1:]]
            if all(part is not None and part.item() == -1 for part in rest):
                return Table(graph.origin(inner.inputs[0]), size.inputs[0])
    return Table(graph.origin(ref))


def _axis(graph: SourceGraph, ref: str) -> int | None:
    axis = graph.constant(ref)
    return int(axis.item()) if axis is not None and axis.size == 1 else None
