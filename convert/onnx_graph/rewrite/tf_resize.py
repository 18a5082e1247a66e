"""TensorFlow 1's bilinear resize of N, H, W, C pictures, with its rounding: `ResizeBilinear` without ONNX's Resize.

ONNX Runtime's Resize differs from TensorFlow's by up to 9e-5 of a grey level's range, enough to change detections. Here
the rows and columns to blend are taken with Gather and blended in TensorFlow's order (resize_bilinear_op.cc), in
float32: top = left + (right - left) * x, result = top + (bottom - top) * y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder


@dataclass(frozen=True)
class ResizeRule:
    """Which point of the source a pixel of the result is: TensorFlow's two flags."""

    align_corners: bool = False
    half_pixel_centers: bool = False


def tf_resize(
    builder: GraphBuilder, picture: str, size: tuple[int, int] | str, rule: ResizeRule, *, channels: int
) -> str:
    """Add the operators; returns the name of float32 [N, height, width, C]. `picture` [N, H, W, C] is float32 or uint8;
    `size` is (height, width) or the name of an int32 [2]."""
    emitter = _Emitter(builder, rule)
    shape = builder.op("Shape", picture, hint="resize/shape")
    for axis in (1, 2):
        position, index = emitter.positions(shape, axis, size)
        picture = builder.op("Gather", picture, index, axis=axis, hint="resize/taken")
        if axis == 1:
            vertical = builder.op("Unsqueeze", position, builder.integers(1, 2), hint="resize/y")
        else:
            wide = builder.op("Unsqueeze", position, builder.integers(1), hint="resize/x")
            # Repeated for each channel: ONNX Runtime broadcasts along the last axis slowly.
            horizontal = builder.op("Concat", *[wide] * channels, axis=1, hint="resize/x")
    picture = builder.op("Cast", picture, to=TensorProto.FLOAT, hint="resize/float")
    rows = emitter.blended(picture, horizontal, axis=2)
    return emitter.blended(rows, vertical, axis=1)


@dataclass(frozen=True)
class _Emitter:
    b: GraphBuilder
    rule: ResizeRule

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        return self.b.op(op, *inputs, hint=f"resize/{op.lower()}", **attributes)

    def positions(self, shape: str, axis: int, size: tuple[int, int] | str) -> tuple[str, str]:
        """Along one axis: the fractions [out] float32, and the lower and then the upper neighbours [2 * out] int64."""
        given = self.op("Squeeze", self.op("Slice", shape, self.b.integers(axis), self.b.integers(axis + 1)))
        source = self.op("Cast", given, to=TensorProto.FLOAT)
        point = self._points(source, axis, size)
        floor = self.op("Floor", point)
        last = self.op("Sub", source, self.b.constant(1.0))
        lower = self.op("Max", floor, self.b.constant(0.0))
        upper = self.op("Min", self.op("Ceil", point), last)
        index = self.op("Cast", self.op("Concat", lower, upper, axis=0), to=TensorProto.INT64)
        return self.op("Sub", point, floor), index

    def _points(self, source: str, axis: int, size: tuple[int, int] | str) -> str:
        """Where in the source each pixel of the result lies: [out] float32."""
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
            scale = self.op("Div", self.op("Sub", source, one), steps)
        else:
            scale = self.op("Div", source, wanted)
        if not self.rule.half_pixel_centers:
            return self.op("Mul", numbers, scale)
        half = self.b.constant(0.5)
        return self.op("Sub", self.op("Mul", self.op("Add", numbers, half), scale), half)

    def blended(self, picture: str, fraction: str, axis: int) -> str:
        """Blend the first half of the rows (or columns) with the second."""
        first, second = self.b.ops("Split", picture, axis=axis, hints=("resize/first", "resize/second"))
        return self.op("Add", first, self.op("Mul", self.op("Sub", second, first), fraction))
