"""Finds the multi-class non-maximum suppressions of a source graph, by structure.

The Object Detection API writes one suppression as some forty operators for *each* class, then joins, sorts, clips,
drops empty boxes, cuts off and pads. Here such a stage is found from its NonMaxSuppression operators: backwards to the
boxes and scores that all of them take (`nms_tables`), forwards to its results; each result is traced back to what it
is. What happens between is always the same computation (`multiclass_non_max_suppression` of the API, or
`class_agnostic_non_max_suppression`, which is the same with one class), with the parameters of the `Stage`; its batched
form is in `zoo.convert.onnx_graph.rewrite.batched_nms`.

Where the results end depends on the suppression: one that gives as many rows as it found is followed by a Pad; one that
gives a fixed number of rows (NonMaxSuppressionV4, for TPUs) by a Gather of the first rows. Boxes are clipped after the
suppression or, by exporters of 2018, before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from zoo.convert.from_tensorflow.batching.value import NotBatched
from zoo.convert.from_tensorflow.graph import Node, SourceGraph
from zoo.convert.from_tensorflow.rewrite.nms_tables import (
    Table,
    least_score,
    scores_of_class,
    slices_before,
    table_of_class,
    unfiltered,
)

FOLLOWED = {"Pad", "PadV2", "Slice", "Reshape", "Squeeze", "ExpandDims", "Cast", "StridedSlice"}
CLIPPING = {"Minimum", "Maximum"}
_EDGE, _SCALE = {"Unpack", "StridedSlice", "Squeeze"}, {"RealDiv", "Div", "Reciprocal"}
OF_WINDOW = {"Minimum": _EDGE, "Maximum": _EDGE, "Mul": _SCALE, "Sub": {"Pack"}}
"""For what is done to boxes before a suppression: which operators give the other side, a window's edge or scale."""
SCORES, CLASSES, BOXES, COUNT = "scores", "classes", "boxes", "count"


@dataclass(frozen=True)
class Stage:
    """One multi-class suppression. References are of one image's tensors, thresholds and limits as in the source.

    `results` maps the references that the rest of the graph uses to "boxes", "scores", "classes", "count" or "fieldK".
    `slices` are the slices of valid rows that the tables themselves were computed from, and what they were taken of.
    """

    boxes: Table
    scores: Table
    classes: int
    iou_threshold: float
    score_threshold: float
    limit_per_class: int
    limit: int
    window: str | None
    clips: bool
    changes_frame: bool
    clips_first: bool  # and changes the frame first, if it does, and drops what is empty then
    fields: tuple[Table, ...]
    results: Mapping[str, str]
    name: str
    slices: Mapping[str, Table]

    @property
    def valid(self) -> str | None:
        """The reference of the number of valid rows, if only some are."""
        return next((table.valid for table in (self.boxes, *self.slices.values()) if table.valid), None)


def find_stages(graph: SourceGraph) -> list[Stage]:
    """All stages, in the order of the graph. Raises NotBatched where a suppression is of a form that is not known."""
    groups: dict[str, list[Node]] = {}
    for node in graph.of_op("NonMaxSuppression"):
        groups.setdefault(scores_of_class(graph, node.inputs[1])[0].ref, []).append(node)
    return [_Tracer(graph, nodes).stage() for nodes in groups.values()]


class _Tracer:
    """Reads one stage from its suppressions, one for each class."""

    def __init__(self, graph: SourceGraph, nodes: list[Node]) -> None:
        self.graph = graph
        self.nodes = sorted(nodes, key=lambda node: scores_of_class(graph, node.inputs[1])[1])
        self.names = {node.name for node in nodes}
        self.is_padded = nodes[0].op == "NonMaxSuppressionV4" and nodes[0].flag("pad_to_max_output_size", True)
        self.clips = self.changes_frame = False
        self.window: str | None = None
        self.is_before = True
        self.boxes = self._boxes()
        self.clips_first = self.clips
        self.is_before = False

    def stage(self) -> Stage:
        first = self.nodes[0]
        columns = [scores_of_class(self.graph, node.inputs[1])[1] for node in self.nodes]
        if columns != list(range(len(columns))):
            raise NotBatched(f"{first}: its stage suppresses the classes {columns}, not all in order")
        if any(self._threshold(node, 5, "soft_nms_sigma", 0.0) for node in self.nodes):
            raise NotBatched(f"{first}: soft suppression changes scores, which ONNX's NonMaxSuppression cannot")
        results: dict[str, str] = {}
        fields: list[Table] = []
        limits = set()
        limit_per_class = self._limit(first.inputs[2])
        for end in self._ends():
            kind, table = self._trace(end.inputs[0])
            if table is not None:
                kind = f"field{len(fields)}"
                fields.append(table)
            results[f"{end.name}:0"] = kind
            limits.add(self._rows(end, limit_per_class))
            results |= dict.fromkeys(self._counts(end), COUNT)
        if len(limits) != 1:
            raise NotBatched(
                f"{first}: the results of its stage are padded to {sorted(limits)} rows, expected one number"
            )
        scores = scores_of_class(self.graph, first.inputs[1])[0]
        lowest = self._threshold(first, 4, "score_threshold", float("-inf"))
        return Stage(
            boxes=self.boxes,
            scores=scores,
            classes=len(self.nodes),
            iou_threshold=self._threshold(first, 3, "iou_threshold", 0.5),
            score_threshold=max(lowest, least_score(self.graph, first.inputs[1])),
            limit_per_class=limit_per_class,
            limit=limits.pop(),
            window=self.window,
            clips=self.clips,
            changes_frame=self.changes_frame,
            clips_first=self.clips_first,
            fields=tuple(fields),
            results=results,
            name=first.name,
            slices=slices_before(self.graph, [self.boxes.ref, scores.ref, *(table.ref for table in fields)]),
        )

    def _boxes(self) -> Table:
        """The table of the boxes, and in the fields of `self` what is done to them before the suppression."""
        ref = unfiltered(self.graph, self.nodes[0].inputs[0])
        while True:
            node = self.graph.source(ref)
            if node.op == "ConcatV2" and self._joins_coordinates(node):
                ref = self._through_coordinates(node.inputs[0], record=True)
            elif node.op == "Sub" and self.changes_frame:
                ref = self._through_coordinates(ref, record=True)
            else:
                return table_of_class(self.graph, ref)
            ref = unfiltered(self.graph, ref)

    def _ends(self) -> list[Node]:
        """The operators that give the results: those that the suppressions lead to, and nothing beyond them."""
        pending, seen, ends = list(self.nodes), set(self.names), []
        while pending:
            node = pending.pop()
            if self._is_end(node):
                ends.append(node)
                continue
            for user in self._users(node):
                if user.name not in seen:
                    seen.add(user.name)
                    pending.append(user)
        own = {end.name for end in ends if self._is_own(end)}
        return [self.graph.nodes[name] for name in self.graph.nodes if name in own]

    def _is_end(self, node: Node) -> bool:
        if not self.is_padded:
            return node.op in ("Pad", "PadV2")
        return node.op in ("GatherV2", "Gather") and self.graph.source(node.inputs[1]).op == "Range"

    def _is_own(self, end: Node) -> bool:
        """True where the rows (not only their number) come from this stage, not from a later one."""
        try:
            self._trace(end.inputs[0], record=False)
        except NotBatched:
            return False
        return True

    def _users(self, node: Node) -> Iterator[Node]:
        for output in range(8 if node.op in ("Split", "Unpack") else 3):
            yield from self.graph.users.get(f"{node.name}:{output}", ())

    def _trace(self, ref: str, record: bool = True) -> tuple[str, Table | None]:
        """What a result is: its kind, or the table whose rows it holds. It must lead back to this stage."""
        kind, is_sorted, dtype = "", False, None
        for _ in range(100):
            node = self.graph.source(ref)
            if node.op.startswith("NonMaxSuppression"):
                if node.name in self.names and kind:
                    return kind, None
                break
            if node.op in ("GatherV2", "Gather"):
                suppression = self._suppression(node.inputs[1])
                if suppression is not None:
                    if suppression not in self.names:
                        break
                    return (kind, None) if kind else self._gathered(node.inputs[0], dtype)
                is_sorted = is_sorted or self._is_own_sort(node.inputs[1])
                ref = node.inputs[0]
            elif node.op == "ConcatV2" and self._joins_coordinates(node):
                ref = self._through_coordinates(node.inputs[0], record)
            elif node.op in FOLLOWED or node.op == "ConcatV2":
                dtype = node.attributes["DstT"].type if node.op == "Cast" and dtype is None else dtype
                ref = node.inputs[0]
            elif node.op in ("Select", "SelectV2"):
                kind, ref = kind or SCORES, node.inputs[1]
            elif node.op in ("ZerosLike", "AddV2", "Add"):
                kind, ref = kind or CLASSES, node.inputs[0]
            elif node.op in ("Sub", "Mul"):
                ref = self._through_coordinates(ref, record)
            elif node.op == "Const" and is_sorted:
                return CLASSES, None  # the number of the first class, for as many rows as it can have
            else:
                break
        raise NotBatched(f"{self.nodes[0]}: a result of its stage comes from {self.graph.source(ref)}")

    def _is_own_sort(self, ref: str) -> bool:
        """True for the order of the scores of this stage."""
        node = self.graph.source(ref)
        if node.op not in ("TopKV2", "TopK"):
            return False
        try:
            return self._trace(node.inputs[0], record=False)[0] == SCORES
        except NotBatched:
            return False

    def _joins_coordinates(self, node: Node) -> bool:
        axis = self.graph.constant(node.inputs[-1])
        return axis is not None and axis.item() in (1, -1) and len(node.inputs) == 5

    def _suppression(self, ref: str) -> str | None:
        """The suppression that gives these indices, padded or not; None where they come from elsewhere."""
        node = self.graph.source(ref)
        while node.op in ("ConcatV2", "Slice", "StridedSlice", "Reshape"):
            node = self.graph.source(node.inputs[0])
        return node.name if node.op.startswith("NonMaxSuppression") else None

    def _gathered(self, ref: str, dtype: int | None) -> tuple[str, Table | None]:
        """A table indexed by a suppression: this class's boxes, its scores, or another field, cast to `dtype`."""
        first = self.nodes[0]
        origins = {self.graph.origin(first.inputs[0]): BOXES, self.graph.origin(first.inputs[1]): SCORES}
        kind = origins.get(self.graph.origin(ref))
        return (kind, None) if kind else ("", replace(table_of_class(self.graph, ref), dtype=dtype))

    def _through_coordinates(self, ref: str, record: bool) -> str:
        """From one coordinate of clipped or moved boxes back to the boxes."""
        for _ in range(12):
            node = self.graph.source(ref)
            if node.op in ("Split", "Unpack"):
                return node.inputs[1] if node.op == "Split" else node.inputs[0]
            if node.op in CLIPPING:
                own, other = self._sides(node)
                if record:
                    self.clips, self.window = True, self._window(other)
                ref = own
            elif node.op in ("Mul", "Sub"):
                own, _ = self._sides(node)
                if record:
                    self.changes_frame = True
                ref = own
                if node.op == "Sub":
                    return own
            else:
                break
        raise NotBatched(f"{self.nodes[0]}: the coordinates of its boxes pass through {self.graph.source(ref)}")

    def _sides(self, node: Node) -> tuple[str, str]:
        """The input of a binary operator that comes from the boxes, and the other one."""
        a, b = node.inputs
        if self.is_before:
            sides = [self.graph.source(ref).op in OF_WINDOW[node.op] for ref in (a, b)]
            if sides[0] == sides[1]:
                raise NotBatched(f"{self.nodes[0]}: its boxes come from {node}, which is no clipping to a window")
            return (b, a) if sides[0] else (a, b)
        return (b, a) if self._comes_from_window(a) else (a, b)

    def _comes_from_window(self, ref: str) -> bool:
        """True for a coordinate of the clip window, or the reciprocal of its size: neither comes from a suppression."""
        pending, seen = [ref], set[str]()
        while pending:
            node = self.graph.source(pending.pop())
            if node.name in self.names:
                return False
            if node.name not in seen and len(seen) < 3000:
                seen.add(node.name)
                pending += node.inputs if node.op not in ("TensorArrayReadV3", "Merge") else []
        return True

    def _window(self, ref: str) -> str:
        """The window [ymin, xmin, ymax, xmax] that a coordinate is taken from."""
        node = self.graph.source(ref)
        while node.op in ("Squeeze", "Reshape", "ExpandDims"):
            ref = node.inputs[0]
            node = self.graph.source(ref)
        if node.op in ("StridedSlice", "Unpack"):
            return self.graph.origin(node.inputs[0])
        if node.op == "Split":
            return self.graph.origin(node.inputs[1])
        raise NotBatched(f"{self.nodes[0]}: its clip window comes from {node}")

    def _rows(self, end: Node, limit_per_class: int) -> int:
        """The number of rows that the results have."""
        if self.is_padded:
            limit = self.graph.source(end.inputs[1]).inputs[1]
            return min(self._limit(limit), len(self.nodes) * limit_per_class)
        return self._padded_rows(end)

    def _padded_rows(self, pad: Node) -> int:
        """K of the paddings [[0, K - rows], …]."""
        node = self.graph.source(pad.inputs[1])
        axis = node.integer("axis")
        for position in (axis, 1 - axis):  # packed of the axes' pairs, or of all beginnings and all ends
            if node.op == "Pack":
                node = self.graph.source(node.inputs[position])
        total = self.graph.constant(node.inputs[0]) if node.op == "Sub" else None
        if total is None:
            raise NotBatched(f"{pad}: the number of rows it pads to is not constant")
        return int(total.item())

    def _counts(self, end: Node) -> Iterator[str]:
        """The references that hold the number of rows that are detections."""
        if self.is_padded:  # the smaller one of the rows' number and the detections' number
            limit = self.graph.source(end.inputs[1]).inputs[1]
            users = self.graph.users[limit]
            yield from (f"{user.name}:0" for user in users if user.op in ("Select", "SelectV2"))
            return
        ref = end.inputs[0]
        node = self.graph.source(ref)
        if node.op == "Slice":
            ref = node.inputs[0]
            node = self.graph.source(ref)
        for shape in self.graph.users.get(ref, ()):
            if shape.op == "Shape":
                yield from (
                    f"{user.name}:0"
                    for user in self._users(shape)
                    if user.op == "StridedSlice" and _is_first(self.graph, user)
                )
        if node.op in ("GatherV2", "Gather"):
            index = self.graph.source(node.inputs[1])
            if index.op == "Range" and self.graph.constant(index.inputs[1]) is None:
                yield self.graph.origin(index.inputs[1])

    def _threshold(self, node: Node, position: int, attribute: str, default: float) -> float:
        if position < len(node.inputs):
            value = self.graph.constant(node.inputs[position])
            if value is None:
                raise NotBatched(f"{node}: its {attribute} is not constant")
            return float(value.item())
        return float(node.attributes[attribute].f) if attribute in node.attributes else default

    def _limit(self, ref: str) -> int:
        """The most boxes of one class: a constant, or the minimum of a constant and the number of boxes."""
        node = self.graph.source(ref)
        for part in (ref, *node.inputs) if node.op == "Minimum" else (ref,):
            value = self.graph.constant(part)
            if value is not None:
                return int(value.item())
        raise NotBatched(f"{self.nodes[0]}: its number of boxes is not constant")


def _is_first(graph: SourceGraph, slicing: Node) -> bool:
    begin = graph.constant(slicing.inputs[1])
    return begin is not None and begin.size == 1 and begin.item() == 0 and slicing.integer("shrink_axis_mask") == 1
