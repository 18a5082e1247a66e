"""TensorFlow's CropAndResize as RoiAlign, exact at the border too.

RoiAlign with one sample per cell blends the same four neighbours when its cells are centred on TensorFlow's points:
point k of m lies at y1 * (H - 1) + k * step with step = (y2 - y1) * (H - 1) / (m - 1) (crop_and_resize_op.cc). It
differs beyond the border, where RoiAlign takes the nearest pixel and TensorFlow a fixed number. Whether a point lies
beyond is decided by its last bit (a box that ends at 1.0), so it is computed here in TensorFlow's order, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder


def crop_and_resize(
    builder: GraphBuilder, picture: str, boxes: str, index: str, size: tuple[int, int], outside: float
) -> str:
    """Add the operators; returns the name of float32 [n, height, width, C].

    `picture` [N, H, W, C] float32, `boxes` [n, 4] as y1, x1, y2, x2 where 0..1 is the first to the last pixel, `index`
    [n] int32: each box's picture; `outside` is the value beyond the border.
    """
    return _Emitter(builder).emit(picture, boxes, index, size, outside)


@dataclass(frozen=True)
class _Emitter:
    b: GraphBuilder

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        return self.b.op(op, *inputs, hint=f"crop/{op.lower()}", **attributes)

    def emit(self, picture: str, boxes: str, index: str, size: tuple[int, int], outside: float) -> str:
        planes = self.op("Transpose", picture, perm=[0, 3, 1, 2])
        edges = self.b.ops(
            "Split", boxes, self.b.integers(1, 1, 1, 1), axis=1, hints=("crop/y1", "crop/x1", "crop/y2", "crop/x2")
        )
        rows = self._axis(planes, 2, edges[0], edges[2], size[0])
        columns = self._axis(planes, 3, edges[1], edges[3], size[1])
        regions = self.op("Concat", columns.begin, rows.begin, columns.end, rows.end, axis=1)
        crops = self.op(
            "RoiAlign",
            planes,
            regions,
            self.op("Cast", index, to=TensorProto.INT64),
            mode="avg",
            sampling_ratio=1,
            output_height=size[0],
            output_width=size[1],
            coordinate_transformation_mode="half_pixel",
        )
        inside = self.op(
            "And",
            self.op("Unsqueeze", rows.inside, self.b.integers(1, 3)),
            self.op("Unsqueeze", columns.inside, self.b.integers(1, 2)),
        )
        return self.op("Transpose", self._bordered(crops, inside, outside), perm=[0, 2, 3, 1])

    def _bordered(self, crops: str, inside: str, outside: float) -> str:
        """The crops with the number `outside` where they are not inside."""
        if outside:
            return self.op("Where", inside, crops, self.b.constant(outside))
        return self.op("Mul", crops, self.op("Cast", inside, to=TensorProto.FLOAT))  # in place: half the time of Where

    def _axis(self, planes: str, axis: int, low: str, high: str, count: int) -> _Axis:
        """One axis of all regions; `low` and `high` are [n, 1]."""
        size = self.op("Cast", self.op("Shape", planes, start=axis, end=axis + 1), to=TensorProto.FLOAT)
        last = self.op("Sub", size, self.b.constant(1.0))
        if count > 1:
            step = self.op("Div", self.op("Mul", self.op("Sub", high, low), last), self.b.constant(float(count - 1)))
            first = self.op("Mul", low, last)
            points = self.op("Add", first, self.op("Mul", step, self.b.constant(np.arange(count)[np.newaxis])))
        else:
            first = self.op("Mul", self.op("Mul", self.op("Add", low, high), self.b.constant(0.5)), last)
            step, points = self.op("Mul", first, self.b.constant(0.0)), first
        begin = self.op("Add", self.op("Sub", first, self.op("Mul", step, self.b.constant(0.5))), self.b.constant(0.5))
        end = self.op("Add", begin, self.op("Mul", step, self.b.constant(float(count))))
        above = self.op("GreaterOrEqual", points, self.b.constant(0.0))
        return _Axis(begin, end, self.op("And", above, self.op("LessOrEqual", points, last)))


@dataclass(frozen=True)
class _Axis:
    """`begin`, `end` [n, 1] for RoiAlign, which takes half a pixel off; `inside` [n, count], True in the picture."""

    begin: str
    end: str
    inside: str
