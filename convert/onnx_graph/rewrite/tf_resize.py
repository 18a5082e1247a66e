"""TensorFlow 1's bilinear resize of N, H, W, C pictures, with its rounding: `ResizeBilinear` without ONNX's Resize.

ONNX Runtime's Resize differs from TensorFlow's by up to 9e-5 of a grey level's range, enough to change detections. Here
the rows and columns to blend are taken with Gather and blended in TensorFlow's order (resize_bilinear_op.cc), in
float32: top = left + (right - left) * x, result = top + (bottom - top) * y.

Between the two Gathers a picture of bytes is turned to W, C, H: columns are then taken in long runs, which three
channels are not, and bytes are turned quickly. What a graph computes from each pixel alone before it resizes (`Pixels`)
is computed after that, from the pixels taken: the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.pixels import Pixels


@dataclass(frozen=True)
class ResizeRule:
    """Which point of the source a pixel of the result is: TensorFlow's two flags."""

    align_corners: bool = False
    half_pixel_centers: bool = False


def tf_resize(builder: GraphBuilder, pixels: Pixels, size: tuple[int, int] | str, rule: ResizeRule) -> str:
    """Add the operators; returns the name of float32 [N, height, width, C]. The pixels' picture [N, H, W, C] is float32
    or uint8; `size` is (height, width) or the name of an int32 [2]."""
    emitter = _Emitter(builder, rule)
    shape = emitter.op("Shape", pixels.picture)
    rows, columns = (emitter.axis(shape, axis, size) for axis in (1, 2))
    turned = pixels.is_bytes
    x = emitter.op("Unsqueeze", columns.fraction, builder.integers(*((1, 2) if turned else (1,))))
    y = rows.fraction if turned else emitter.op("Unsqueeze", rows.fraction, builder.integers(1, 2))
    top, bottom = (emitter.row(pixels, index, columns, x) for index in (rows.lower, rows.upper))
    result = emitter.blended(top, bottom, y)
    return builder.op("Transpose", result, perm=[0, 3, 1, 2], hint="resize/resized") if turned else result


def tf_resize_features(builder: GraphBuilder, features: str, size: tuple[int, int] | str, rule: ResizeRule) -> str:
    """The same for float32 features [N, H, W, C] of many channels, as products with a matrix for each axis: a sixth of
    the time of taking and blending, and equal but for the last bit, which matters in pixels, not behind convolutions.

    The matrix [out, in] has at i, k what neighbour k weighs in pixel i: 1 - |point(i) - k|, where that is positive.
    """
    emitter = _Emitter(builder, rule)
    shape = emitter.op("Shape", features)
    rows, columns = (emitter.weights(shape, axis, size) for axis in (1, 2))
    whole_rows = emitter.op("Reshape", features, builder.integers(0, 0, -1))
    blended = emitter.op("MatMul", rows, whole_rows)
    across, deep = (emitter.op("Slice", shape, builder.integers(axis), builder.integers(axis + 1)) for axis in (2, 3))
    pixels = emitter.op("Reshape", blended, emitter.op("Concat", builder.integers(0, -1), across, deep, axis=0))
    return builder.op("MatMul", columns, pixels, hint="resize/resized")


def tf_nearest(builder: GraphBuilder, picture: str, size: tuple[int, int] | str, rule: ResizeRule) -> str:
    """The same for `ResizeNearestNeighbor` (resize_nearest_neighbor_op.cc): pixels are taken, whatever their type."""
    emitter = _Emitter(builder, rule)
    shape = emitter.op("Shape", picture)
    rows, columns = (emitter.nearest(shape, axis, size) for axis in (1, 2))
    taken = builder.op("Gather", picture, rows, axis=1, hint="resize/rows")
    return builder.op("Gather", taken, columns, axis=2, hint="resize/resized")


@dataclass(frozen=True)
class _Axis:
    """Names: of each pixel of the result, [out], the two neighbours in the source (int64) and how far the point is from
    the lower to the upper one (float32)."""

    lower: str
    upper: str
    fraction: str


@dataclass(frozen=True)
class _Emitter:
    b: GraphBuilder
    rule: ResizeRule

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        return self.b.op(op, *inputs, hint=f"resize/{op.lower()}", **attributes)

    def axis(self, shape: str, axis: int, size: tuple[int, int] | str) -> _Axis:
        source = self._source(shape, axis)
        point = self._points(source, axis, size)
        floor = self.op("Floor", point)
        last = self.op("Sub", source, self.b.constant(1.0))
        lower = self.op("Max", floor, self.b.constant(0.0))
        upper = self.op("Min", self.op("Ceil", point), last)
        lower, upper = (self.op("Cast", neighbour, to=TensorProto.INT64) for neighbour in (lower, upper))
        return _Axis(lower, upper, self.op("Sub", point, floor))

    def weights(self, shape: str, axis: int, size: tuple[int, int] | str) -> str:
        """What each pixel of the source weighs in each of the result: [out, in] float32."""
        source, zero, one = self._source(shape, axis), self.b.constant(0.0), self.b.constant(1.0)
        last = self.op("Sub", source, one)
        point = self.op("Min", self.op("Max", self._points(source, axis, size), zero), last)
        distance = self.op("Sub", self.op("Unsqueeze", point, self.b.integers(1)), self.op("Range", zero, source, one))
        return self.op("Relu", self.op("Sub", one, self.op("Abs", distance)))

    def nearest(self, shape: str, axis: int, size: tuple[int, int] | str) -> str:
        """Of each pixel of the result, [out], the pixel of the source that it is: the one that its point lies in, or
        with `align_corners` the nearer one (of two as near the later one)."""
        source, half = self._source(shape, axis), self.b.constant(0.5)
        numbers, scale = self._scale(source, axis, size)
        if self.rule.half_pixel_centers:
            numbers = self.op("Add", numbers, half)
        point = self.op("Mul", numbers, scale)
        point = self.op("Floor", self.op("Add", point, half) if self.rule.align_corners else point)
        return self.op(
            "Cast", self.op("Min", point, self.op("Sub", source, self.b.constant(1.0))), to=TensorProto.INT64
        )

    def _source(self, shape: str, axis: int) -> str:
        """The size of the source: [] float32."""
        given = self.op("Squeeze", self.op("Slice", shape, self.b.integers(axis), self.b.integers(axis + 1)))
        return self.op("Cast", given, to=TensorProto.FLOAT)

    def _points(self, source: str, axis: int, size: tuple[int, int] | str) -> str:
        """Where in the source each pixel of the result lies: [out] float32."""
        numbers, scale = self._scale(source, axis, size)
        if not self.rule.half_pixel_centers:
            return self.op("Mul", numbers, scale)
        half = self.b.constant(0.5)
        return self.op("Sub", self.op("Mul", self.op("Add", numbers, half), scale), half)

    def _scale(self, source: str, axis: int, size: tuple[int, int] | str) -> tuple[str, str]:
        """The numbers of the result's pixels, [out] float32, and how many pixels of the source are one of the result,
        [] float32."""
        one = self.b.constant(1.0)
        if isinstance(size, str):
            wanted = self.op("Squeeze", self.op("Slice", size, self.b.integers(axis - 1), self.b.integers(axis)))
            wanted = self.op("Cast", wanted, to=TensorProto.FLOAT)
            numbers = self.op("Range", self.b.constant(0.0), wanted, one)
        else:
            wanted = self.b.constant(float(size[axis - 1]))
            numbers = self.b.constant(np.arange(size[axis - 1]))
        if self.rule.align_corners:
            steps = self.op("Max", self.op("Sub", wanted, one), one)
            return numbers, self.op("Div", self.op("Sub", source, one), steps)
        return numbers, self.op("Div", source, wanted)

    def row(self, pixels: Pixels, index: str, columns: _Axis, x: str) -> str:
        """For each row of the result one of its two neighbours, blended across; bytes as [N, width, C, height]."""
        taken = self.b.op("Gather", pixels.picture, index, axis=1, hint="resize/rows")
        if pixels.is_bytes:
            taken = self.op("Transpose", taken, perm=[0, 2, 3, 1])
        left, right = (self._columns(taken, side, pixels) for side in (columns.lower, columns.upper))
        return self.blended(left, right, x)

    def _columns(self, rows: str, index: str, pixels: Pixels) -> str:
        """Columns of these rows as float32, with the pixels' steps done."""
        axis = 1 if pixels.is_bytes else 2
        taken = self.b.op("Gather", rows, index, axis=axis, hint="resize/columns")
        taken = self.b.op("Cast", taken, to=TensorProto.FLOAT, hint="resize/float")
        for step in pixels.steps:
            constant = self.b.constant(step.constant[..., np.newaxis] if step.constant.ndim else step.constant)
            operands = (constant, taken) if step.is_first else (taken, constant)
            taken = self.b.op(step.op, *operands, hint=f"resize/pixel_{step.op.lower()}")
        return taken

    def blended(self, first: str, second: str, fraction: str) -> str:
        return self.op("Add", first, self.op("Mul", self.op("Sub", second, first), fraction))
