"""Multi-class non-maximum suppression over a whole batch with one NonMaxSuppression and one sort.

It gives what `multiclass_non_max_suppression` of the TF Object Detection API gives, in its order: within a class by
score, classes in order, sorted by score (equal scores: lower class first, then higher rank), clipped to the window,
boxes without area dropped, cut off at the limit, padded with zeros.

The API's usual score threshold of 1e-8 lets every box of every class take part, though few can reach the result. So a
higher threshold is computed first, from boxes that are certain to be selected: of each class the few best that overlap
no better one. Where `limit` of these score at least t, nothing below t can be in the result, and removing it changes
no decision above t. Where there are fewer, the threshold stays as it is: the result is the same in either case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder

CERTAIN = 4  # times `limit` boxes are looked at to find `limit` certain ones
MARGIN = 1e-3  # of overlap, by which a certain box must stay below the threshold: far above rounding
BELOW = 1 - 2.0**-22  # times a positive float gives one just below it
NOTHING = -1.0  # the score of what is no detection; results are those with scores from 0
SELECTED = "selected"  # how the NonMaxSuppression is called, behind "nms/"


@dataclass(frozen=True)
class NmsParameters:
    """`boxes_by_class`: boxes are [N, A, C, 4]; `clips` and `changes_frame` need a window; limits are of one image."""

    classes: int
    iou_threshold: float
    score_threshold: float
    limit_per_class: int
    limit: int
    boxes_by_class: bool = False
    clips: bool = False
    changes_frame: bool = False


@dataclass(frozen=True)
class NmsInputs:
    """Names: `boxes` [N, A, 4] or [N, A, C, 4] as ymin, xmin, ymax, xmax, `scores` [N, A, C], float32; `window` [N, 4]
    or ""; `valid` [N] int32, the number of leading boxes that count, or "". `rows` is A where it is known."""

    boxes: str
    scores: str
    window: str = ""
    valid: str = ""
    rows: int | None = None


@dataclass(frozen=True)
class Field:
    """A table [N, A, …] (with `by_class` [N, A, C, …]) of which the rows of the detections are wanted."""

    name: str
    rank: int
    by_class: bool = False
    is_float: bool = True


def batched_nms(
    builder: GraphBuilder, inputs: NmsInputs, parameters: NmsParameters, fields: tuple[Field, ...] = ()
) -> Mapping[str, str]:
    """Add the operators; returns the names of "boxes" [N, K, 4], "scores", "classes" [N, K] float32, "count" [N] int32,
    and "field0" … [N, K, …]. K is `parameters.limit`."""
    emitter = _Emitter(builder, inputs, parameters)
    return emitter.emit(fields)


class _Emitter:
    def __init__(self, builder: GraphBuilder, inputs: NmsInputs, parameters: NmsParameters) -> None:
        self.b, self.inputs, self.p = builder, inputs, parameters

    def op(self, op: str, *inputs: str, hint: str = "", **attributes: object) -> str:
        return self.b.op(op, *inputs, hint=f"nms/{hint or op.lower()}", **attributes)

    def emit(self, fields: tuple[Field, ...]) -> Mapping[str, str]:
        by_class = self.p.boxes_by_class
        scores = self.op("Transpose", self.inputs.scores, perm=[0, 2, 1], hint="scores_by_class")
        scores = self._only_valid(scores)
        boxes = self.inputs.boxes
        if by_class:
            boxes = self.op("Transpose", boxes, perm=[0, 2, 1, 3], hint="boxes_by_class")
        threshold = self._threshold(boxes, scores)
        groups, flat_scores = boxes, scores
        if by_class:  # a group is one class of one image, with boxes of its own
            groups = self.op("Reshape", self.op("Flatten", boxes, axis=2), self.b.integers(0, -1, 4), hint="groups")
            flat_scores = self.op("Unsqueeze", self.op("Flatten", scores, axis=2), self.b.integers(1), hint="groups")
        selected = self.op(
            "NonMaxSuppression",
            groups,
            flat_scores,
            self.b.integers(self.p.limit_per_class),
            self.b.constant([self.p.iou_threshold]),
            threshold,
            hint=SELECTED,
        )
        first, second, row = self.b.ops(
            "Split", selected, self.b.integers(1, 1, 1), axis=1, hints=("nms/first", "nms/second", "nms/row")
        )
        own_boxes = self.op("GatherND", groups, self.op("Concat", first, row, axis=1))
        own_scores = self.op("GatherND", flat_scores, selected)
        image, number = first, second
        if by_class:
            image, number = self._image(first), self.op("Mod", first, self.b.integers(self.p.classes), hint="class")
        image, number, row = (self._column(part) for part in (image, number, row))
        return self._best(own_boxes, own_scores, image, number, row, fields)

    def _image(self, group: str) -> str:
        """Divided as int32: TFLite has no division of int64."""
        count = self.b.constant([self.p.classes], np.int32)
        image = self.op("Div", self.op("Cast", group, to=TensorProto.INT32), count, hint="image")
        return self.op("Cast", image, to=TensorProto.INT64)

    def _column(self, name: str) -> str:
        return self.op("Squeeze", name, self.b.integers(1))

    def _only_valid(self, scores: str) -> str:
        """Scores [N, C, A] in which boxes beyond the valid ones cannot be selected."""
        if not self.inputs.valid:
            return scores
        rows = self.op("Shape", scores, start=2, end=3)
        zero, one = self.b.constant(0, np.int64), self.b.constant(1, np.int64)
        numbers = self.op("Range", zero, self.op("Squeeze", rows), one, hint="rows")
        valid = self.op("Unsqueeze", self.op("Cast", self.inputs.valid, to=TensorProto.INT64), self.b.integers(1, 2))
        lowest = self.b.constant(np.finfo(np.float32).min)
        return self.op("Where", self.op("Less", numbers, valid), scores, lowest, hint="valid_scores")

    def _threshold(self, boxes: str, scores: str) -> str:
        """The score that a box must exceed: [1], the source's or a higher one that changes nothing."""
        given = self.b.constant([max(self.p.score_threshold, float(np.finfo(np.float32).min))])
        looked_at = min(self.p.limit_per_class, -(-CERTAIN * self.p.limit // self.p.classes), self.inputs.rows or 0)
        if looked_at * self.p.classes < 2 * self.p.limit:
            return given
        best, rows = self.b.ops(
            "TopK", scores, self.b.integers(looked_at), axis=2, hints=("nms/best_scores", "nms/best_rows")
        )
        index = self.op("Unsqueeze", rows, self.b.integers(3))
        candidates = self.op("GatherND", boxes, index, batch_dims=2 if self.p.boxes_by_class else 1, hint="candidates")
        certain = self._is_apart(candidates, looked_at)
        if self.p.clips:
            low, high = self._bounds(self.op("Unsqueeze", self.inputs.window, self.b.integers(1, 2)), axis=3)
            inside = self._has_area(self._clipped(candidates, low, high), axis=3)
            certain = self.op("And", certain, self.op("Squeeze", inside, self.b.integers(3)))
        scores_of_certain = self.op("Flatten", self.op("Where", certain, best, self.b.constant(NOTHING)), axis=1)
        leading = self.b.ops(
            "TopK", scores_of_certain, self.b.integers(self.p.limit), axis=1, hints=("nms/certain", "nms/certain_rows")
        )[0]
        least = self.op("Reshape", self.op("ReduceMin", leading, keepdims=0), self.b.integers(1))
        return self.op("Max", self.op("Mul", least, self.b.constant(BELOW)), given, hint="threshold")

    def _is_apart(self, boxes: str, count: int) -> str:
        """[N, C, m]: True for boxes [N, C, m, 4], best first, that overlap none before them."""
        edges = self.b.ops("Split", boxes, self.b.integers(1, 1, 1, 1), axis=3, hints=[f"nms/{e}" for e in EDGES])
        turned = [self.op("Transpose", edge, perm=[0, 1, 3, 2]) for edge in edges]
        sides = []
        for low, high in ((0, 2), (1, 3)):
            begin = self.op("Max", edges[low], turned[low])
            end = self.op("Min", edges[high], turned[high])
            sides.append(self.op("Max", self.op("Sub", end, begin), self.b.constant(0.0)))
        shared = self.op("Mul", *sides, hint="intersection")
        area = self.op("Mul", *(self.op("Sub", edges[high], edges[low]) for low, high in ((0, 2), (1, 3))), hint="area")
        both = self.op("Add", area, self.op("Transpose", area, perm=[0, 1, 3, 2]))
        allowed = self.b.constant(max(self.p.iou_threshold - MARGIN, 0.0))
        overlaps = self.op("Greater", shared, self.op("Mul", self.op("Sub", both, shared), allowed), hint="overlaps")
        before = self.b.constant(np.tril(np.ones((count, count)), -1), np.float32)
        blocked = self.op(
            "ReduceMax", self.op("Mul", self.op("Cast", overlaps, to=TensorProto.FLOAT), before), axes=[3], keepdims=0
        )
        return self.op("Less", blocked, self.b.constant(0.5), hint="apart")

    def _bounds(self, window: str, axis: int) -> tuple[str, str]:
        """The lower and the upper limits of ymin, xmin, ymax, xmax from a window along the last axis."""
        low, high = self.b.ops("Split", window, self.b.integers(2, 2), axis=axis, hints=("nms/low", "nms/high"))
        return self.op("Concat", low, low, axis=axis), self.op("Concat", high, high, axis=axis)

    def _clipped(self, boxes: str, low: str, high: str) -> str:
        return self.op("Max", self.op("Min", boxes, high), low, hint="clipped")

    def _has_area(self, boxes: str, axis: int) -> str:
        edges = self.b.ops("Split", boxes, self.b.integers(1, 1, 1, 1), axis=axis, hints=[f"nms/{e}" for e in EDGES])
        height, width = self.op("Sub", edges[2], edges[0]), self.op("Sub", edges[3], edges[1])
        return self.op("Greater", self.op("Mul", height, width), self.b.constant(0.0), hint="has_area")

    def _best(
        self, boxes: str, scores: str, image: str, number: str, row: str, fields: tuple[Field, ...]
    ) -> Mapping[str, str]:
        """The results, from what was selected: boxes [M, 4], the other four [M]."""
        if self.p.clips:
            low, high = self._bounds(self.op("Gather", self.inputs.window, image), axis=1)
            boxes = self._clipped(boxes, low, high)
            inside = self.op("Squeeze", self._has_area(boxes, axis=1), self.b.integers(1))
            scores = self.op("Where", inside, scores, self.b.constant(NOTHING))
        scores, order, exists = self._order(scores, image)
        taken = self._padded(boxes, np.zeros((self.p.limit, 4), np.float32))
        results = {
            "boxes": self._frame(self.op("Gather", taken, order)),
            "scores": scores,
            "classes": self.op("Cast", self._taken(number, order), to=TensorProto.FLOAT),
        }
        zero = self.b.constant(0.0)
        whole = self.op("Unsqueeze", exists, self.b.integers(2))
        for name, condition in (("boxes", whole), ("scores", exists), ("classes", exists)):
            results[name] = self.op("Where", condition, results[name], zero, hint=name)
        amount = self.op("ReduceSum", self.op("Cast", exists, to=TensorProto.FLOAT), self.b.integers(1), keepdims=0)
        results["count"] = self.op("Cast", amount, to=TensorProto.INT32, hint="count")
        for position, field in enumerate(fields):
            results[f"field{position}"] = self._field(field, number, row, order, exists)
        return results

    def _order(self, scores: str, image: str) -> tuple[str, str, str]:
        """Of each image the best: scores, their positions in the padded selection, and which exist; all [N, K]."""
        limit = self.p.limit
        padded = self._padded(scores, np.full(limit, NOTHING, np.float32))
        owner = self._padded(image, np.full(limit, -1, np.int64))
        zero, one = self.b.constant(0, np.int64), self.b.constant(1, np.int64)
        images = self.op("Squeeze", self.op("Shape", self.inputs.scores, start=0, end=1))
        numbers = self.op("Unsqueeze", self.op("Range", zero, images, one), self.b.integers(1), hint="images")
        own = self.op("Where", self.op("Equal", owner, numbers), padded, self.b.constant(NOTHING), hint="by_image")
        values, order = self.b.ops("TopK", own, self.b.integers(limit), axis=1, hints=("nms/top", "nms/order"))
        return values, order, self.op("GreaterOrEqual", values, self.b.constant(0.0), hint="exists")

    def _padded(self, name: str, rows: np.ndarray) -> str:
        return self.op("Concat", name, self.b.constant(rows, rows.dtype.type), axis=0, hint="padded")

    def _taken(self, numbers: str, order: str) -> str:
        return self.op("Gather", self._padded(numbers, np.zeros(self.p.limit, np.int64)), order)

    def _frame(self, boxes: str) -> str:
        """Boxes [N, K, 4] relative to the window, where the source does that."""
        if not self.p.changes_frame:
            return boxes
        window = self.op("Unsqueeze", self.inputs.window, self.b.integers(1))
        corner, end = self.b.ops("Split", window, self.b.integers(2, 2), axis=2, hints=("nms/corner", "nms/end"))
        scale = self.op("Div", self.b.constant(1.0), self.op("Sub", end, corner))
        moved = self.op("Sub", boxes, self.op("Concat", corner, corner, axis=2))
        return self.op("Mul", moved, self.op("Concat", scale, scale, axis=2), hint="in_window")

    def _field(self, field: Field, number: str, row: str, order: str, exists: str) -> str:
        columns = [row, number] if field.by_class else [row]
        taken = [self.op("Unsqueeze", self._taken(column, order), self.b.integers(2)) for column in columns]
        index = self.op("Concat", *taken, axis=2) if len(taken) > 1 else taken[0]
        rows = self.op("GatherND", field.name, index, batch_dims=1)
        extra = field.rank - (3 if field.by_class else 2)
        condition = self.op("Unsqueeze", exists, self.b.integers(*range(2, 2 + extra))) if extra else exists
        zero = self.b.constant(0.0) if field.is_float else self.b.constant(0, np.int32)
        return self.op("Where", condition, rows, zero, hint="field")


EDGES = ("ymin", "xmin", "ymax", "xmax")
