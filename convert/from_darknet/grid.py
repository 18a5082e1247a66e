"""Where the boxes of a head lie: constants for each box with a fixed size, else computed from the input's size.

A box is xy · scale + offset and wh · size, relative to the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.convert.from_darknet.context import Context, Factors
from zoo.darknet.layers import GaussianYolo, Head, Region, Yolo

MapHead = Yolo | GaussianYolo | Region
Grid = tuple[str, str, str]  # scale, offset, size: each [1, boxes, 2] or what broadcasts to it


def anchor_major(context: Context, head: Head) -> bool:
    """pjreddie's region layer walks anchor by anchor, all others cell by cell."""
    return isinstance(head, Region) and context.network.dialect == "pj"


def scale_xy(head: MapHead) -> tuple[float, float]:
    """x · scale − shift, as the yolo layers stretch the position within a cell."""
    scale = 1.0 if isinstance(head, Region) else head.scale_x_y
    return scale, 0.5 * (scale - 1)


def _sizes(head: MapHead) -> Factors:
    """Anchor sizes [anchors, 2]; new_coords gives half the root of the ratio to them, so four times."""
    factor = 4.0 if isinstance(head, Yolo) and head.new_coords else 1.0
    return factor * np.asarray(head.anchors, np.float64)


def fixed_grid(context: Context, heads: Sequence[MapHead]) -> Grid:
    """The constants of every box of the heads, one after the other."""
    columns = zip(*(_grid(context, head) for head in heads), strict=True)
    scales, offsets, sizes = (np.concatenate(column)[None] for column in columns)
    return _constant(context, scales), _constant(context, offsets), _constant(context, sizes)


def _constant(context: Context, values: Factors) -> str:
    """A constant; one row where all rows are equal."""
    return context.graph.constant(values[:, :1] if (values == values[:, :1]).all() else values)


def _grid(context: Context, head: MapHead) -> tuple[Factors, Factors, Factors]:
    _, h, w = head.output_shape
    scale, shift = scale_xy(head)
    anchors, count = _sizes(head), len(head.anchors)
    cells = np.asarray((w, h), np.float64)
    col, row = np.meshgrid(np.arange(w, dtype=np.float64), np.arange(h, dtype=np.float64))
    origin = np.stack([col.ravel(), row.ravel()], axis=1)
    if anchor_major(context, head):
        offset, size = np.tile(origin, (count, 1)), np.repeat(anchors, h * w, axis=0)
    else:
        offset, size = np.repeat(origin, count, axis=0), np.tile(anchors, (h * w, 1))
    net = context.network.net
    unit = cells if isinstance(head, Region) else np.asarray((net.width, net.height), np.float64)
    return np.broadcast_to(scale / cells, offset.shape), (offset - shift) / cells, size / unit


def dynamic_grid(context: Context, head: MapHead) -> Grid:
    """The same for one head, computed in the graph."""
    graph, name = context.graph, context.name(head, "grid")
    major, count = anchor_major(context, head), len(head.anchors)
    columns, rows, cells = _side(context, context.image(head), name)
    origin = _origin(context, columns, rows, name)
    origin = graph.op("Unsqueeze", origin, graph.integers(0 if major else 1), hint=f"{name}.origin")
    repeats = graph.integers(*((count, 1, 1) if major else (1, count, 1)))
    tiled = graph.op("Tile", origin, repeats, hint=f"{name}.tiled")
    offset = graph.op("Reshape", tiled, graph.integers(1, -1, 2), hint=f"{name}.places")
    scale, shift = scale_xy(head)
    if shift:
        offset = graph.op("Sub", offset, graph.constant(shift), hint=f"{name}.shifted")
    offset = graph.op("Div", offset, cells, hint=f"{name}.offset")
    scales = graph.op("Div", graph.constant((scale, scale)), cells, hint=f"{name}.scale")
    unit = cells if isinstance(head, Region) else _side(context, context.input, f"{name}.input")[2]
    table = _sizes(head)[:, None] if major else _sizes(head)[None]
    sizes = graph.op("Div", graph.constant(table), unit, hint=f"{name}.anchors")
    zeros = graph.op("Mul", origin, graph.constant(0.0), hint=f"{name}.zeros")  # in the shape of all boxes
    sizes = graph.op("Add", sizes, zeros, hint=f"{name}.all_anchors")
    return scales, offset, graph.op("Reshape", sizes, graph.integers(1, -1, 2), hint=f"{name}.size")


def _side(context: Context, value: str, name: str) -> tuple[str, str, str]:
    """Width and height of a map as int64 [1] each, and both as float32 [2]."""
    graph = context.graph
    shape = graph.op("Shape", value, hint=f"{name}.shape")
    width, height = (
        graph.op("Slice", shape, graph.integers(axis), graph.integers(axis + 1), hint=f"{name}.side") for axis in (3, 2)
    )
    both = graph.op("Concat", width, height, hint=f"{name}.sides", axis=0)
    return width, height, graph.op("Cast", both, hint=f"{name}.cells", to=1)


def _origin(context: Context, columns: str, rows: str, name: str) -> str:
    """Column and row of every cell, float32 [cells, 2], rows first."""
    graph = context.graph
    one, whole = graph.integers(1), graph.op("Concat", rows, columns, hint=f"{name}.map", axis=0)
    lines = []
    for side, shape in ((columns, (one, columns)), (rows, (rows, one))):
        count = graph.op("Squeeze", side, hint=f"{name}.count")
        zero, step = graph.constant(0, np.int64), graph.constant(1, np.int64)
        steps = graph.op("Range", zero, count, step, hint=f"{name}.range")
        target = graph.op("Concat", *shape, hint=f"{name}.line_shape", axis=0)
        line = graph.op("Reshape", steps, target, hint=f"{name}.line")
        spread = graph.op("Expand", line, whole, hint=f"{name}.spread")
        lines.append(graph.op("Reshape", spread, graph.integers(-1, 1), hint=f"{name}.flat"))
    pairs = graph.op("Concat", *lines, hint=f"{name}.pairs", axis=1)
    return graph.op("Cast", pairs, hint=f"{name}.floats", to=1)
