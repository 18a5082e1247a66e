"""Detection heads → what Darknet holds after them (raw), or boxes and scores (decoded).

Decoded boxes are centre x, y, width, height relative to the network's input, in the order in which Darknet's
get_network_boxes walks them: head by head, cell by cell (rows first), anchor by anchor; pjreddie's region layer
anchor by anchor, cell by cell. Scores are objectness · class probability. Box formulas: get_yolo_box,
get_gaussian_yolo_box, get_region_box and get_detection_detections of the two programs.

With a fixed size all heads of a kind are decoded at once: xy = sigmoid(x)·a + b and wh = exp(w)·c, where a, b and c are
constants for each box.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from zoo.convert.from_darknet.context import Context
from zoo.convert.from_darknet.grid import Grid, MapHead, anchor_major, dynamic_grid, fixed_grid, scale_xy
from zoo.convert.from_darknet.tree import path_products, roots, tree_softmax
from zoo.darknet.layers import Detection, GaussianYolo, Head, Region, Yolo

MAX_BOXES = 1 << 22
TREE_THRESHOLD = 0.5  # the programs' default for hierarchies


def decode(context: Context, heads: Sequence[Head]) -> tuple[str, str, int, int]:
    """Boxes [N, B, 4] and scores [N, B, C] of all heads; with B and C."""
    classes = heads[0].classes
    for head in heads:
        if head.classes != classes:
            raise context.error(head, f"classes={head.classes}: expected as many as in the first head, {classes}")
    total = sum(count_boxes(head) for head in heads)
    if total > MAX_BOXES:
        raise context.error(heads[0], f"expected at most {MAX_BOXES} boxes, found {total}")
    groups = _groups(context, heads)
    if len(groups) == 1:
        return *_decode_group(context, groups[0], ("boxes", "scores")), total, classes
    hints = [(context.name(group[0], "boxes"), context.name(group[0], "scores")) for group in groups]
    pairs = [_decode_group(context, group, names) for group, names in zip(groups, hints, strict=True)]
    boxes = context.graph.op("Concat", *[pair[0] for pair in pairs], hint="boxes", axis=1)
    return boxes, context.graph.op("Concat", *[pair[1] for pair in pairs], hint="scores", axis=1), total, classes


def count_boxes(head: Head) -> int:
    if isinstance(head, Detection):
        return head.side * head.side * head.num
    return len(head.anchors) * head.output_shape[1] * head.output_shape[2]


def _kind(head: Head) -> tuple[object, ...]:
    """Heads with equal kinds are decoded together."""
    if isinstance(head, Yolo):
        return ("yolo", head.new_coords)
    if isinstance(head, GaussianYolo):
        return ("gaussian", head.yolo_point)
    return (head.type, head.index)


def _groups(context: Context, heads: Sequence[Head]) -> list[list[Head]]:
    """Neighbouring heads that are decoded together: those of one kind, where the size is fixed."""
    if context.options.dynamic_size:
        return [[head] for head in heads]
    return [list(group) for _, group in groupby(heads, _kind)]


def _decode_group(context: Context, heads: Sequence[Head], names: tuple[str, str]) -> tuple[str, str]:
    first = heads[0]
    if isinstance(first, Detection):
        return _decode_detection(context, first, names)
    return _decode_maps(context, [head for head in heads if isinstance(head, MapHead)], names)


def _decode_maps(context: Context, heads: list[MapHead], names: tuple[str, str]) -> tuple[str, str]:
    """Heads over maps, joined along the boxes: rows of one box each, split, computed."""
    graph, first = context.graph, heads[0]
    name = context.name(first)
    rows = [_rows(context, head) for head in heads]
    joined = graph.op("Concat", *rows, hint=f"{name}.rows", axis=1) if len(rows) > 1 else rows[0]
    grids = dynamic_grid(context, first) if context.options.dynamic_size else fixed_grid(context, heads)
    if isinstance(first, GaussianYolo):
        return _gaussian(context, first, joined, grids, names)
    xy, wh, objectness, classes = _split(context, name, joined, (2, 2, 1, first.classes))
    if not (isinstance(first, Yolo) and first.new_coords):
        xy = graph.op("Sigmoid", xy, hint=f"{name}.xy")
        wh = graph.op("Exp", wh, hint=f"{name}.wh")
        objectness = graph.op("Sigmoid", objectness, hint=f"{name}.objectness")
        classes = _classes(context, first, classes)
    else:
        wh = graph.op("Mul", wh, wh, hint=f"{name}.wh")
    boxes = graph.op("Concat", *_place(context, name, xy, wh, grids), hint=names[0], axis=2)
    if isinstance(first, Region) and first.tree:
        return boxes, _tree_scores(context, first, objectness, classes, names[1])
    if isinstance(first, Region) and first.classfix == -1:
        sure = graph.op("Less", objectness, graph.constant(0.5), hint=f"{name}.unsure")
        objectness = graph.op("Where", sure, graph.constant(0.0), objectness, hint=f"{name}.sure")
    return boxes, graph.op("Mul", objectness, classes, hint=names[1])


def _classes(context: Context, head: MapHead, value: str) -> str:
    """Class values as the layer leaves them; alexey's region without softmax leaves them as they come."""
    name, graph = context.name(head, "classes"), context.graph
    if not isinstance(head, Region):
        return graph.op("Sigmoid", value, hint=name)
    if head.tree:
        return tree_softmax(graph, head.tree, value, name, rank=3)
    if head.softmax:
        return graph.op("Softmax", value, hint=name, axis=2)
    return graph.op("Sigmoid", value, hint=name) if context.network.dialect == "pj" else value


def _split(context: Context, name: str, value: str, sizes: tuple[int, ...], axis: int = 2) -> tuple[str, ...]:
    hints = [f"{name}.part"] * len(sizes)
    return context.graph.ops("Split", value, context.graph.integers(*sizes), hints=hints, axis=axis)


def _rows(context: Context, head: MapHead) -> str:
    """[N, A·(entries), H, W] → [N, boxes, entries]."""
    graph, name = context.graph, context.name(head)
    c, h, w = head.output_shape
    anchors, entries = len(head.anchors), c // len(head.anchors)
    cells = -1 if context.options.dynamic_size else h * w
    parted = context.reshape(context.image(head), (anchors, entries, cells), f"{name}.anchors")
    order = [0, 1, 3, 2] if anchor_major(context, head) else [0, 3, 1, 2]
    if anchors == 1 and not context.options.dynamic_size:
        parted = context.reshape(context.image(head), (entries, cells), f"{name}.anchors")
        return graph.op("Transpose", parted, hint=f"{name}.boxes", perm=[0, 2, 1])
    turned = graph.op("Transpose", parted, hint=f"{name}.cells", perm=order)
    boxes = -1 if context.options.dynamic_size else anchors * h * w
    return context.reshape(turned, (boxes, entries), f"{name}.boxes")


def _place(context: Context, name: str, xy: str, wh: str, grid: Grid) -> tuple[str, str]:
    graph = context.graph
    scaled = graph.op("Mul", xy, grid[0], hint=f"{name}.scaled")
    return graph.op("Add", scaled, grid[1], hint=f"{name}.centre"), graph.op("Mul", wh, grid[2], hint=f"{name}.size")


def _gaussian(context: Context, head: GaussianYolo, rows: str, grid: Grid, names: tuple[str, str]) -> tuple[str, str]:
    """Entries x, σx, y, σy, w, σw, h, σh; scores are lowered by the mean uncertainty."""
    graph, name = context.graph, context.name(head)
    coordinates, sure = _split(context, name, rows, (8, 1 + head.classes))
    pick = {key: graph.integers(*values) for key, values in (("xy", (0, 2)), ("wh", (4, 6)), ("sigma", (1, 3, 5, 7)))}
    parts = {key: graph.op("Gather", coordinates, index, hint=f"{name}.{key}", axis=2) for key, index in pick.items()}
    xy = graph.op("Sigmoid", parts["xy"], hint=f"{name}.point")
    wh = graph.op("Exp", parts["wh"], hint=f"{name}.exp")
    centre, size = _place(context, name, xy, wh, grid)
    if head.yolo_point != "center":
        half = graph.op("Mul", size, graph.constant(0.5), hint=f"{name}.half")
        step = "Add" if head.yolo_point == "left_top" else "Sub"
        centre = graph.op(step, centre, half, hint=f"{name}.moved")
    boxes = graph.op("Concat", centre, size, hint=names[0], axis=2)
    sigma = graph.op("Sigmoid", parts["sigma"], hint=f"{name}.uncertainty")
    mean = graph.op("ReduceMean", sigma, hint=f"{name}.mean", axes=[2], keepdims=1)
    trust = graph.op("Sub", graph.constant(1.0), mean, hint=f"{name}.trust")
    sure = graph.op("Sigmoid", sure, hint=f"{name}.sure")
    objectness, classes = _split(context, name, sure, (1, head.classes))
    trusted = graph.op("Mul", objectness, trust, hint=f"{name}.trusted")
    return boxes, graph.op("Mul", classes, trusted, hint=names[1])


def _tree_scores(context: Context, head: Region, objectness: str, classes: str, hint: str) -> str:
    """One class for each box, as the programs choose it; zero for all others.

    alexey: the last class whose probability (product along its path) is above 0.5, with that probability, where the
    objectness is above the score threshold. pj: walks down from the roots while the product of the *absolute*
    probabilities along the path stays above 0.5 (at most one child can); the objectness is the score.
    """
    graph, name, tree = context.graph, context.name(head, "tree"), head.tree
    assert tree is not None
    probability = path_products(graph, tree, classes, f"{name}.probability", rank=3)
    pj = context.network.dialect == "pj"
    walked = path_products(graph, tree, probability, f"{name}.walked", rank=3) if pj else probability
    reached = graph.op("Greater", walked, graph.constant(TREE_THRESHOLD), hint=f"{name}.reached")
    numbers = graph.op("Cast", reached, hint=f"{name}.numbers", to=1)
    last = graph.op("ArgMax", numbers, hint=f"{name}.last", axis=2, select_last_index=1)
    everyone = graph.constant(np.arange(len(tree.parents)), np.int64)
    if pj:
        any_reached = graph.op("ReduceMax", numbers, hint=f"{name}.any", axes=[2], keepdims=1)
        none = graph.op("Less", any_reached, graph.constant(0.5), hint=f"{name}.none")
        first = len(roots(tree))
        tops = graph.op(
            "Slice", probability, graph.integers(0), graph.integers(first), graph.integers(2), hint=f"{name}.roots"
        )
        top = graph.op("ArgMax", tops, hint=f"{name}.top", axis=2)
        last = graph.op("Where", none, top, last, hint=f"{name}.chosen")
        chosen = graph.op("Equal", everyone, last, hint=f"{name}.is_chosen")
        return graph.op("Where", chosen, objectness, graph.constant(0.0), hint=hint)
    chosen = graph.op("Equal", everyone, last, hint=f"{name}.is_last")
    threshold = graph.constant(context.options.score_threshold)
    sure = graph.op("Greater", objectness, threshold, hint=f"{name}.sure")
    chosen = graph.op("And", graph.op("And", chosen, reached, hint=f"{name}.both"), sure, hint=f"{name}.shown")
    return graph.op("Where", chosen, probability, graph.constant(0.0), hint=hint)


def _detection_parts(context: Context, head: Detection) -> tuple[str, str, str]:
    """Classes [N, cells, C], objectness [N, cells, num], coordinates [N, cells·num, 4], softmax applied."""
    graph, name = context.graph, context.name(head)
    cells = head.side * head.side
    sizes = (cells * head.classes, cells * head.num, cells * head.num * 4)
    classes, objectness, coordinates = _split(context, name, context.vector(head), sizes, axis=1)
    classes = context.reshape(classes, (cells, head.classes), f"{name}.classes")
    if head.softmax:
        classes = graph.op("Softmax", classes, hint=f"{name}.softmax", axis=2)
    return classes, objectness, coordinates


def _decode_detection(context: Context, head: Detection, names: tuple[str, str]) -> tuple[str, str]:
    """x, y within the cell, width and height of the picture (roots of them with `sqrt`)."""
    graph, name = context.graph, context.name(head)
    side, num, cells = head.side, head.num, head.side * head.side
    classes, objectness, coordinates = _detection_parts(context, head)
    coordinates = context.reshape(coordinates, (cells * num, 4), f"{name}.coordinates")
    xy, wh = _split(context, name, coordinates, (2, 2))
    col, row = np.meshgrid(np.arange(side), np.arange(side))
    origin = np.repeat(np.stack([col.ravel(), row.ravel()], axis=1), num, axis=0)[None]
    moved = graph.op("Mul", xy, graph.constant(1 / side), hint=f"{name}.scaled")
    centre = graph.op("Add", moved, graph.constant(origin / side), hint=f"{name}.centre")
    size = graph.op("Mul", wh, wh, hint=f"{name}.size") if head.sqrt else wh
    boxes = graph.op("Concat", centre, size, hint=names[0], axis=2)
    objectness = context.reshape(objectness, (cells, num, 1), f"{name}.objectness")
    classes = context.reshape(classes, (cells, 1, head.classes), f"{name}.by_cell")
    scores = graph.op("Mul", objectness, classes, hint=f"{name}.products")
    return boxes, context.reshape(scores, (cells * num, head.classes), names[1])


def raw(context: Context, head: Head) -> str:
    """What Darknet holds after the layer, named NNN_type, in the layer's shape."""
    if isinstance(head, Detection):
        return _raw_detection(context, head)
    if isinstance(head, Region) and context.network.dialect == "alexey":
        return _raw_flattened_region(context, head)
    assert isinstance(head, MapHead)
    graph, name = context.graph, context.name(head)
    c, h, w = head.output_shape
    count = len(head.anchors)
    places = -1 if context.options.dynamic_size else h * w
    value = context.reshape(context.image(head), (count, c // count, places), f"{name}.anchors")
    joined = graph.op("Concat", *_raw_parts(context, head, value), hint=f"{name}.entries", axis=2)
    if not context.options.dynamic_size:
        return context.reshape(joined, (c, h, w), name)
    shape = graph.op("Shape", context.image(head), hint=f"{name}.shape")
    return graph.op("Reshape", joined, shape, hint=name)


def _raw_parts(context: Context, head: MapHead, value: str) -> list[str]:
    """The entries of each anchor, activated as the layer does: axis 2 of [N, anchors, entries, places]."""
    graph, name = context.graph, context.name(head)
    if isinstance(head, GaussianYolo):
        return _raw_gaussian(context, head, value)
    xy, wh, objectness, classes = _split(context, name, value, (2, 2, 1, head.classes))
    if isinstance(head, Yolo) and head.new_coords:
        return [_stretched(context, head, xy), wh, objectness, classes]
    xy = _stretched(context, head, graph.op("Sigmoid", xy, hint=f"{name}.xy"))
    objectness = graph.op("Sigmoid", objectness, hint=f"{name}.objectness")
    if isinstance(head, Region) and head.tree:
        turned = graph.op("Transpose", classes, hint=f"{name}.turned", perm=[0, 1, 3, 2])
        turned = tree_softmax(graph, head.tree, turned, f"{name}.tree", rank=4)
        return [xy, wh, objectness, graph.op("Transpose", turned, hint=f"{name}.classes", perm=[0, 1, 3, 2])]
    if isinstance(head, Region) and head.softmax:
        return [xy, wh, objectness, graph.op("Softmax", classes, hint=f"{name}.classes", axis=2)]
    return [xy, wh, objectness, graph.op("Sigmoid", classes, hint=f"{name}.classes")]


def _stretched(context: Context, head: MapHead, xy: str) -> str:
    scale, shift = scale_xy(head)
    if scale == 1:
        return xy
    graph, name = context.graph, context.name(head)
    scaled = graph.op("Mul", xy, graph.constant(scale), hint=f"{name}.scaled")
    return graph.op("Sub", scaled, graph.constant(shift), hint=f"{name}.stretched")


def _raw_gaussian(context: Context, head: GaussianYolo, value: str) -> list[str]:
    graph, name = context.graph, context.name(head)
    x, sx, y, sy, w, sw, h, sh, rest = _split(context, name, value, (1,) * 8 + (1 + head.classes,))

    def sigmoid(part: str) -> str:
        return graph.op("Sigmoid", part, hint=f"{name}.sigmoid")

    points = [_stretched(context, head, sigmoid(point)) for point in (x, y)]
    return [points[0], sigmoid(sx), points[1], sigmoid(sy), w, sigmoid(sw), h, sigmoid(sh), sigmoid(rest)]


def _raw_flattened_region(context: Context, head: Region) -> str:
    """alexey: (cell, anchor, entry) in memory; x, y stay raw, objectness is a sigmoid."""
    graph, name = context.graph, context.name(head)
    rows = _rows(context, head)
    box, objectness, classes = _split(context, name, rows, (4, 1, head.classes))
    objectness = graph.op("Sigmoid", objectness, hint=f"{name}.objectness")
    joined = graph.op("Concat", box, objectness, _classes(context, head, classes), hint=f"{name}.entries", axis=2)
    if not context.options.dynamic_size:
        return context.reshape(joined, head.output_shape, name)
    shape = graph.op("Shape", context.image(head), hint=f"{name}.shape")
    return graph.op("Reshape", joined, shape, hint=name)


def _raw_detection(context: Context, head: Detection) -> str:
    name, cells = context.name(head), head.side * head.side
    if not head.softmax:
        return context.mark_vector(context.graph.op("Identity", context.vector(head), hint=name))
    classes, objectness, coordinates = _detection_parts(context, head)
    flat = context.reshape(classes, (cells * head.classes,), f"{name}.flat")
    return context.mark_vector(context.graph.op("Concat", flat, objectness, coordinates, hint=name, axis=1))
