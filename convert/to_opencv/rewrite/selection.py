"""Suppressions inside of a graph: as many rows as there can be, whatever is found.

NonMaxSuppression gives a row for each box that it selects. OpenCV 5.0.0 runs what follows wrongly where that number is
not the same every time: of no row at all GatherND ends the process (SIGFPE), and where there are more rows than on the
first run, a later Gather throws. Its NonMaxSuppression, Concat and Slice do well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.onnx_graph.rewrite.batched_nms import NOTHING, SELECTED
from zoo.convert.to_opencv.rewrite.edit import new_node, unique

Rows = NDArray[np.int64]


def with_settled_selections(graph: Graph) -> Graph:
    """Each selection [M, 3] is filled up to the largest that it can be, with rows of the score that `batched_nms` has
    for no detection. Suppressions of other graphs, which know no such score, stay as they are."""
    for node in graph.nodes:
        if node.op == "NonMaxSuppression" and node.name.startswith(f"nms/{SELECTED}"):
            graph = _settled(graph, node)
    return graph


def _settled(graph: Graph, node: Node) -> Graph:
    scores, (selected,), limit = node.inputs[1], node.outputs, graph.initializers.get(node.input(2))
    shape = graph.value(scores).shape or ()
    readers = [reader for reader in graph.nodes if reader.op == "GatherND" and reader.inputs == (scores, selected)]
    if limit is None or len(readers) != 1 or not all(isinstance(size, int) for size in shape):
        return graph
    groups, classes, rows = (int(size or 0) for size in shape)
    most = groups * classes * min(int(limit.ravel()[0]), rows)
    taken, nodes, constants = _filled(graph, selected, "settled", np.zeros((most, 3), np.int64))
    # The scores get a column more, which says that there is nothing, and are read where the filling points there.
    scored, more_nodes, more = _filled(graph, selected, "scored", np.tile(np.array([0, 0, rows]), (most, 1)))
    longer, nothing = (unique(graph, f"{selected}_{part}") for part in ("scores", "nothing"))
    constants |= more | {nothing: np.full((groups, classes, 1), NOTHING, np.float32)}
    nodes += [*more_nodes, new_node("Concat", (scores, nothing), longer, axis=2)]
    read = [_reading(old, {selected: taken}) for old in graph.nodes]
    read[graph.nodes.index(readers[0])] = replace(readers[0], inputs=(longer, scored))
    place = graph.nodes.index(node) + 1
    return replace(
        graph, nodes=(*read[:place], *nodes, *read[place:]), initializers={**graph.initializers, **constants}
    )


def _filled(graph: Graph, rows: str, name: str, filling: Rows) -> tuple[str, list[Node], dict[str, NDArray[Any]]]:
    """As many rows as there are in the filling: those given, then some of these. The Reshape changes nothing, but says
    how many there are to whoever infers shapes."""
    result, long, cut = (unique(graph, f"{rows}_{name}{part}") for part in ("", "_long", "_cut"))
    fill, begin, end, shape = (unique(graph, f"{rows}_{name}_{part}") for part in ("fill", "begin", "end", "shape"))
    constants = {
        fill: filling,
        begin: np.array([0]),
        end: np.array([len(filling)]),
        shape: np.array(filling.shape),
    }
    nodes = [
        new_node("Concat", (rows, fill), long, axis=0),
        new_node("Slice", (long, begin, end, begin), cut),
        new_node("Reshape", (cut, shape), result),
    ]
    return result, nodes, constants


def _reading(node: Node, instead: Mapping[str, str]) -> Node:
    return replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
