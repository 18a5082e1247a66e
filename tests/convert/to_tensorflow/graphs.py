"""Small ONNX models for the tests of the TensorFlow writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Shape = Sequence[int | str]


def noise(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: Sequence[str],
    weights: dict[str, Array] | None = None,
    *,
    opset: int = 18,
) -> onnx.ModelProto:
    """A model of float32 inputs; the outputs' types are left to ONNX's inference."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def detector(batch: int | str = "batch") -> onnx.ModelProto:
    """A toy of what a YOLO does: convolutions, a branch, a concatenation, an upsampling and a head of boxes."""
    rng = np.random.default_rng(7)

    def kernel(*shape: int) -> Array:
        """Scaled so that activations stay near 1: saturated sigmoids would hide errors."""
        scale = float(np.sqrt(np.prod(shape[1:])))
        return np.asarray(rng.normal(size=shape) / scale, np.float32)

    doubled = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], name="layer_0_convolutional", pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["c0"], ["a0"], name="layer_0_leaky", alpha=0.1),
        helper.make_node("Conv", ["a0", "w1"], ["c1"], name="layer_1_convolutional", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Resize", ["c1", "", "scales"], ["u1"], **doubled),
        helper.make_node("Concat", ["u1", "a0"], ["j"], axis=1),
        helper.make_node("Conv", ["j", "w2", "b2"], ["h"], name="layer_4_convolutional"),
        helper.make_node("Reshape", ["h", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 1, 3, 4, 2]),
        helper.make_node("Reshape", ["t", "join"], ["rows"]),
        helper.make_node("Sigmoid", ["rows"], ["boxes"]),
    ]
    weights: dict[str, Array] = {
        "w0": kernel(8, 3, 3, 3),
        "b0": rng.normal(size=8).astype(np.float32),
        "w1": kernel(8, 8, 3, 3),
        "w2": kernel(10, 16, 1, 1),
        "b2": rng.normal(size=10).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "split": np.array([0, 2, 5, 16, 16], np.int64),
        "join": np.array([0, -1, 5], np.int64),
    }
    return model(nodes, {"images": (batch, 3, 16, 16)}, ["boxes"], weights)
