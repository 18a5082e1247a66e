"""Which rewrites make a graph fit for which OpenCV, and in which order; what none can help is refused by name."""

from __future__ import annotations

from collections.abc import Callable

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.rewrite.sizes import with_fixed_sizes
from zoo.convert.to_opencv.emit import reinferred
from zoo.convert.to_opencv.rewrite.activations import with_mish
from zoo.convert.to_opencv.rewrite.operators import with_reshapes, with_slices, without_and
from zoo.convert.to_opencv.rewrite.outputs import with_useful_outputs
from zoo.convert.to_opencv.rewrite.padding import with_explicit_pads
from zoo.convert.to_opencv.rewrite.pictures import (
    with_blob_input,
    without_idle_blends,
    without_idle_gathers,
    without_idle_nodes,
    without_idle_transposes,
)
from zoo.convert.to_opencv.rewrite.selection import with_settled_selections
from zoo.convert.to_opencv.rewrite.vectors import with_rows_for_vectors

Rewrite = Callable[[Graph], Graph]

# Applied again and again until nothing changes: each may open the way for another.
REPEATED: tuple[Rewrite, ...] = (
    without_idle_nodes,
    without_idle_blends,
    without_idle_gathers,
    without_idle_transposes,
    with_settled_selections,
)
# Applied once, for every version: so that a file runs in as many as it can.
ONCE: tuple[Rewrite, ...] = (
    with_explicit_pads,
    with_mish,
    without_and,
    with_rows_for_vectors,
    with_slices,
    with_reshapes,
)
NEVER = ("If", "Loop", "Scan", "Compress")
# OpenCV's major version → operators that end its reader. Everything else OpenCV itself is asked about.
REFUSED: dict[int, tuple[str, ...]] = {
    4: (*NEVER, "NonMaxSuppression", "RoiAlign", "GatherND", "Range", "NonZero"),
    5: NEVER,
}


def fit(graph: Graph, major: int, batch: int | None, size: tuple[int, int] | None) -> Graph:
    """The graph for OpenCV `major`, its inputs of fixed size. Raises ConversionError naming the node that blocks it."""
    graph = _settled(with_fixed_sizes(with_useful_outputs(graph), "OpenCV", size, batch), ())
    graph = _settled(reinferred(with_blob_input(graph)), REPEATED)
    for rewrite in ONCE:
        graph = rewrite(graph)
    for node in graph.nodes:
        if node.op in REFUSED[major] or node.op.startswith("Sequence"):
            raise ConversionError(
                f"{graph.source}: {node}: OpenCV {major} has no {node.op}",
                hint="write it for OpenCV 5: --opencv 5" if node.op not in NEVER else "export it with a fixed size",
            )
    return reinferred(graph)


def _settled(graph: Graph, rewrites: tuple[Rewrite, ...]) -> Graph:
    """Shapes inferred and constants folded, and the rewrites applied, until the number of nodes stays the same."""
    while True:
        before = len(graph.nodes)
        graph = simplified(reinferred(graph))
        for rewrite in rewrites:
            graph = rewrite(graph)
        if len(graph.nodes) == before:
            return graph
