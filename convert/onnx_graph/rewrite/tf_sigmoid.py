"""TensorFlow's sigmoid of scores, with its rounding near 1: exp(x) / (1 + exp(x)), and 1 from 16.62 on.

Detections are sorted by these numbers. ONNX Runtime's own Sigmoid is another approximation, off by up to three units in
the last place above 0.999 and by thousands of them below 1e-4: scores that are equal in TensorFlow differ, and the
other way round, and other boxes win. What is written here is equal bit by bit from 0.9999 up, where scores crowd, and
within a few units elsewhere (measured against TensorFlow 2.21; Eigen's scalar_logistic_op).
"""

from __future__ import annotations

from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder

SATURATED = 16.619047164916992  # where Eigen's result is 1
ONE = 20.0  # beyond this exp / (1 + exp) is 1 in float32; exp must not overflow


def tf_sigmoid(builder: GraphBuilder, values: str) -> str:
    """Add the operators; returns the name of float32 numbers of the same shape."""

    def op(op: str, *inputs: str, **attributes: object) -> str:
        return builder.op(op, *inputs, hint=f"sigmoid/{op.lower()}", **attributes)

    # Not Where: ONNX Runtime is slow to choose between a tensor and a number.
    ones = op("Cast", op("Greater", values, builder.constant(SATURATED)), to=TensorProto.FLOAT)
    power = op("Exp", op("Min", values, builder.constant(ONE)))
    return op("Max", op("Div", power, op("Add", power, builder.constant(1.0))), ones)
