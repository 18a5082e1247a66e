"""Detections [N, K, 6] from boxes and scores: x1, y1, x2, y2, score, class; best first, the rest zeros.

Darknet suppresses within each class, best score first, a box whose overlap with a kept one is above the threshold.
`default` and `cornersnms` measure IoU: ONNX's NonMaxSuppression. `greedynms` measures IoU − (d²/c²)^0.6 and `diounms`
IoU − (d²/c²)^beta, with d the distance of the centres and c the diagonal of the hull. ONNX has no operator for it: the
best `CANDIDATES` (box, class) pairs are compared with each other, and a Loop repeats "kept is who is not suppressed
by a kept better one" until nothing changes, which is exactly the greedy result.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from zoo.convert.from_darknet.context import Context
from zoo.convert.onnx_graph.build import value_info

CANDIDATES = 1024


def suppress(context: Context, boxes: str, scores: str, count: int, classes: int, kind: str, beta: float) -> str:
    """Add the nodes; returns the value `detections`."""
    power = {"greedynms": 0.6, "diounms": beta}.get(kind)
    if power is None:
        return _by_iou(context, boxes, scores, count, classes)
    return _by_distance(context, boxes, scores, count, classes, power)


def _by_iou(context: Context, boxes: str, scores: str, count: int, classes: int) -> str:
    graph, options = context.graph, context.options
    by_class = graph.op("Transpose", scores, hint="nms.by_class", perm=[0, 2, 1])
    kept = graph.op(
        "NonMaxSuppression",
        boxes,
        by_class,
        graph.constant(np.array([count]), np.int64),
        graph.constant(np.array([options.iou_threshold])),
        graph.constant(np.array([options.score_threshold])),
        hint="nms.kept",
        center_point_box=1,
    )
    values = graph.op("GatherND", by_class, kept, hint="nms.values")
    shape = graph.op("Shape", by_class, hint="nms.shape")
    zeros = graph.op("ConstantOfShape", shape, hint="nms.zeros")
    survivors = graph.op("ScatterND", zeros, kept, values, hint="nms.survivors")
    flat = graph.op("Reshape", survivors, graph.integers(0, classes * count), hint="nms.flat")
    top, index = graph.ops(
        "TopK",
        flat,
        graph.integers(min(options.max_detections, classes * count)),
        hints=("nms.top", "nms.index"),
        axis=1,
    )
    number = graph.op("Div", index, graph.constant(count, np.int64), hint="nms.class")
    box = graph.op("Mod", index, graph.constant(count, np.int64), hint="nms.box")
    return _rows(context, boxes, top, number, box)


def _rows(context: Context, boxes: str, top: str, number: str, box: str) -> str:
    """Put the result together; a row without a score is zero."""
    graph = context.graph
    index = graph.op("Unsqueeze", box, graph.integers(2), hint="nms.box_index")
    chosen = graph.op("GatherND", boxes, index, hint="nms.chosen", batch_dims=1)
    corners = _corners(context, chosen)
    score = graph.op("Unsqueeze", top, graph.integers(2), hint="nms.score")
    label = graph.op("Cast", graph.op("Unsqueeze", number, graph.integers(2), hint="nms.label"), hint="nms.name", to=1)
    rows = graph.op("Concat", corners, score, label, hint="nms.rows", axis=2)
    present = graph.op("Greater", score, graph.constant(0.0), hint="nms.present")
    return graph.op("Where", present, rows, graph.constant(0.0), hint="detections")


def _corners(context: Context, boxes: str) -> str:
    graph = context.graph
    centre, size = graph.ops("Split", boxes, graph.integers(2, 2), hints=("nms.centre", "nms.size"), axis=2)
    half = graph.op("Mul", size, graph.constant(0.5), hint="nms.half")
    low = graph.op("Sub", centre, half, hint="nms.low")
    return graph.op("Concat", low, graph.op("Add", centre, half, hint="nms.high"), hint="nms.corners", axis=2)


def _by_distance(context: Context, boxes: str, scores: str, count: int, classes: int, power: float) -> str:
    graph, options = context.graph, context.options
    candidates = min(CANDIDATES, count * classes)
    sure = graph.op("Greater", scores, graph.constant(options.score_threshold), hint="nms.sure")
    shown = graph.op("Where", sure, scores, graph.constant(0.0), hint="nms.shown")
    flat = graph.op("Reshape", shown, graph.integers(0, classes * count), hint="nms.flat")
    hints = ("nms.candidate", "nms.candidate_index")
    top, index = graph.ops("TopK", flat, graph.integers(candidates), hints=hints, axis=1)
    box = graph.op("Div", index, graph.constant(classes, np.int64), hint="nms.candidate_box")
    number = graph.op("Mod", index, graph.constant(classes, np.int64), hint="nms.candidate_class")
    gathered = graph.op("Unsqueeze", box, graph.integers(2), hint="nms.gather")
    chosen = graph.op("GatherND", boxes, gathered, hint="nms.candidates", batch_dims=1)
    overlap = graph.op(
        "Greater", _closeness(context, chosen, power), graph.constant(options.iou_threshold), hint="nms.overlap"
    )
    rows = graph.op("Unsqueeze", number, graph.integers(2), hint="nms.rows_class")
    columns = graph.op("Unsqueeze", number, graph.integers(1), hint="nms.columns_class")
    same = graph.op("Equal", rows, columns, hint="nms.same_class")
    better = graph.constant(np.triu(np.ones((1, candidates, candidates), bool), 1), np.bool_)
    rivals = graph.op("And", graph.op("And", overlap, same, hint="nms.close"), better, hint="nms.rivals")
    matrix = graph.op("Cast", rivals, hint="nms.matrix", to=1)
    present = graph.op("Greater", top, graph.constant(0.0), hint="nms.possible")
    alive = graph.op("Cast", graph.op("Unsqueeze", present, graph.integers(1), hint="nms.row"), hint="nms.alive", to=1)
    kept = _repeat(context, alive, matrix, candidates)
    flags = graph.op("Squeeze", kept, graph.integers(1), hint="nms.flags")
    survivors = graph.op("Mul", top, flags, hint="nms.survivors")
    limit = graph.integers(min(options.max_detections, candidates))
    best, order = graph.ops("TopK", survivors, limit, hints=("nms.best", "nms.order"), axis=1)
    label = graph.op("GatherElements", number, order, hint="nms.class", axis=1)
    return _rows(context, boxes, best, label, graph.op("GatherElements", box, order, hint="nms.box", axis=1))


def _repeat(context: Context, alive: str, matrix: str, candidates: int) -> str:
    """kept ← alive and not (kept · matrix), until it stays the same."""
    graph = context.graph
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["kept", matrix], ["hits"]),
            helper.make_node("Less", ["hits", graph.constant(0.5)], ["free"]),
            helper.make_node("Cast", ["free"], ["spared"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [alive, "spared"], ["kept_next"]),
            helper.make_node("Sub", ["kept_next", "kept"], ["difference"]),
            helper.make_node("Abs", ["difference"], ["changes"]),
            helper.make_node("ReduceMax", ["changes"], ["most"], keepdims=0),
            helper.make_node("Greater", ["most", graph.constant(0.5)], ["again"]),
        ],
        "nms_round",
        [
            value_info("round", (), TensorProto.INT64),
            value_info("go", (), TensorProto.BOOL),
            value_info("kept", ("n", 1, candidates)),
        ],
        [value_info("again", (), TensorProto.BOOL), value_info("kept_next", ("n", 1, candidates))],
    )
    rounds = graph.constant(candidates, np.int64)
    return graph.op("Loop", rounds, graph.constant(True, np.bool_), alive, hint="nms.final", body=body)


def _closeness(context: Context, boxes: str, power: float) -> str:
    """IoU − (d²/c²)^power of every pair of [N, K, 4] boxes: [N, K, K]."""
    graph = context.graph
    parts = graph.ops("Split", boxes, graph.integers(1, 1, 1, 1), hints=["nms.coordinate"] * 4, axis=2)
    others = [graph.op("Transpose", part, hint="nms.other", perm=[0, 2, 1]) for part in parts]
    half = graph.constant(0.5)
    sides, hulls, distances = [], [], []
    for axis in (0, 1):
        edges = []
        for values in (parts, others):
            reach = graph.op("Mul", values[axis + 2], half, hint="nms.reach")
            low = graph.op("Sub", values[axis], reach, hint="nms.from")
            edges.append((low, graph.op("Add", values[axis], reach, hint="nms.to")))
        (low, high), (other_low, other_high) = edges
        inner = graph.op(
            "Sub",
            graph.op("Min", high, other_high, hint="nms.inner_high"),
            graph.op("Max", low, other_low, hint="nms.inner_low"),
            hint="nms.inner",
        )
        outer = graph.op(
            "Sub",
            graph.op("Max", high, other_high, hint="nms.outer_high"),
            graph.op("Min", low, other_low, hint="nms.outer_low"),
            hint="nms.outer",
        )
        apart = graph.op("Sub", parts[axis], others[axis], hint="nms.apart")
        sides.append(graph.op("Relu", inner, hint="nms.side"))
        hulls.append(graph.op("Mul", outer, outer, hint="nms.hull"))
        distances.append(graph.op("Mul", apart, apart, hint="nms.distance"))
    shared = graph.op("Mul", *sides, hint="nms.shared")
    area = graph.op("Mul", parts[2], parts[3], hint="nms.area")
    other_area = graph.op("Mul", others[2], others[3], hint="nms.other_area")
    union = graph.op("Sub", graph.op("Add", area, other_area, hint="nms.areas"), shared, hint="nms.union")
    tiny = graph.constant(np.finfo(np.float32).tiny)  # a pair of empty boxes has IoU 0 and distance term 0
    iou = graph.op("Div", shared, graph.op("Max", union, tiny, hint="nms.safe_union"), hint="nms.iou")
    diagonal = graph.op("Max", graph.op("Add", *hulls, hint="nms.diagonal"), tiny, hint="nms.safe_diagonal")
    ratio = graph.op("Div", graph.op("Add", *distances, hint="nms.squared"), diagonal, hint="nms.ratio")
    penalty = graph.op("Pow", ratio, graph.constant(power), hint="nms.penalty")
    return graph.op("Sub", iou, penalty, hint="nms.closeness")
