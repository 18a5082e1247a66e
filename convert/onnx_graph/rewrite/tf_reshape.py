"""TensorFlow's Reshape of what may be empty, to sizes that are computed and may be 0.

ONNX reads a size of 0 as the input's own, unless told not to (`allowzero`), and then forbids -1 beside it. In
TensorFlow 0 is 0; and where some size is, -1 stands for what is left of the elements with every 0 left out, on both
sides: [0, 10] to [1, 0, -1, 2] is [1, 0, 5, 2] (TensorFlow's reshape_op.h).
"""

from __future__ import annotations

from onnx import TensorProto

from zoo.convert.onnx_graph.build import GraphBuilder


def tf_reshape(builder: GraphBuilder, values: str, sizes: str) -> str:
    """Add the operators; `sizes` are int32 or int64 [rank], at most one of them -1. Returns the result's name."""

    def op(op: str, *inputs: str, **attributes: object) -> str:
        return builder.op(op, *inputs, hint=f"reshape/{op.lower()}", **attributes)

    one = builder.integers(1)
    sizes = op("Cast", sizes, to=TensorProto.INT64)
    given = op("Abs", sizes)
    least = op("Sub", one, op("ReduceMin", given))  # of the input's sizes to count: 1 where some size is 0
    elements = op("ReduceProd", op("Max", op("Shape", values), least))
    rest = op("Div", elements, op("ReduceProd", op("Max", given, one)))
    exact = op("Where", op("Less", sizes, builder.integers(0)), rest, sizes)
    return op("Reshape", values, exact, allowzero=1)
