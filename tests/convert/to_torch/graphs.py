"""Small ONNX models for the tests of the PyTorch writer, and how its modules are compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.convert.judge import run_onnxruntime
from zoo.convert.to_torch import module_from_onnx

Array = np.ndarray


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), name=name, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: Sequence[str],
    opset: int = 17,
    constants: dict[str, Any] | None = None,
    **named: Any,
) -> onnx.ModelProto:
    """`inputs` are shapes of float32 tensors (with names for dynamic sizes), or arrays that give shape and type."""
    described = []
    for name, given in inputs.items():
        kind = helper.np_dtype_to_tensor_dtype(given.dtype) if isinstance(given, np.ndarray) else TensorProto.FLOAT
        shape = given.shape if isinstance(given, np.ndarray) else given
        described.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph(
        list(nodes),
        "g",
        described,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in ((constants or {}) | named).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(proto)
    del proto.graph.output[:]
    proto.graph.output.extend(inferred.graph.output)
    return proto


def run_torch(module: torch.nn.Module, *inputs: Array) -> list[Array]:
    with torch.inference_mode():
        return [output.numpy() for output in module(*(torch.from_numpy(np.array(array)) for array in inputs))]


def assert_same(proto: onnx.ModelProto, *inputs: Array, rtol: float = 1e-5, atol: float = 1e-5) -> torch.nn.Module:
    """The written module gives what ONNX Runtime gives: types and shapes exactly, numbers to float32 rounding."""
    module = module_from_onnx(proto)
    results = run_torch(module, *inputs)
    for expected, result in zip(run_onnxruntime(proto, *inputs), results, strict=True):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol, atol)
    return module


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def detector() -> onnx.ModelProto:
    """A small YOLO: dynamic batch, height and width, shape arithmetic as exporters write it, and NMS."""
    anchors, classes = 3, 4
    nodes = [
        node("Conv", ["images", "w0", "b0"], ["c0"], "000_convolutional", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c0", "s", "b", "m", "v"], ["n0"], "000_convolutional.norm"),
        node("LeakyRelu", ["n0"], ["a0"], "000_convolutional.leaky", alpha=0.1),
        node("Conv", ["a0", "w1"], ["c1"], "001_convolutional", pads=[0, 0, 1, 1]),
        node("Add", ["c1", "a0"], ["a1"], "002_shortcut"),
        node("Conv", ["a1", "w2"], ["head"], "003_convolutional"),
        node("Shape", ["head"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"]),
        node("Gather", ["shape", "two"], ["h"]),
        node("Gather", ["shape", "three"], ["w"]),
        *(node("Unsqueeze", [size, "axis"], [f"{size}1"]) for size in "nhw"),
        node("Concat", ["n1", "split_channels", "h1", "w1_"], ["wanted"], axis=0),
        node("Reshape", ["head", "wanted"], ["by_anchor"], "004_yolo.anchors"),
        node("Transpose", ["by_anchor"], ["last"], "004_yolo.last", perm=[0, 1, 3, 4, 2]),
        node("Sigmoid", ["last"], ["squashed"], "004_yolo.sigmoid"),
        node("Split", ["squashed", "parts"], ["xywh", "class_scores"], "004_yolo.parts", axis=4),
        node("Concat", ["n1", "minus_one", "four"], ["flat_boxes"], axis=0),
        node("Reshape", ["xywh", "flat_boxes"], ["boxes"]),
        node("Concat", ["n1", "minus_one", "number_of_classes"], ["flat_scores"], axis=0),
        node("Reshape", ["class_scores", "flat_scores"], ["scores"]),
        node("Transpose", ["scores"], ["by_class"], perm=[0, 2, 1]),
        node("NonMaxSuppression", ["boxes", "by_class", "most", "iou", "least"], ["selected"], center_point_box=1),
    ]
    for entry in nodes:
        for index, name in enumerate(entry.input):
            if name == "w1_":
                entry.input[index] = "w1x"
        for index, name in enumerate(entry.output):
            if name == "w1":
                entry.output[index] = "w1x"
    constants = {
        "w0": noise(8, 3, 3, 3),
        "b0": noise(8, seed=1),
        "s": 1 + noise(8, seed=2) / 9,
        "b": noise(8, seed=3),
        "m": noise(8, seed=4) / 9,
        "v": 1 + noise(8, seed=5) ** 2,
        "w1": noise(8, 8, 2, 2, seed=6) / 5,
        "w2": noise(anchors * (4 + classes), 8, 1, 1, seed=7) / 5,
        "zero": np.array(0),
        "two": np.array(2),
        "three": np.array(3),
        "axis": np.array([0]),
        "split_channels": np.array([anchors, 4 + classes]),
        "parts": np.array([4, classes]),
        "minus_one": np.array([-1]),
        "four": np.array([4]),
        "number_of_classes": np.array([classes]),
        "most": np.array([20]),
        "iou": np.array([0.45], np.float32),
        "least": np.array([0.7], np.float32),
    }
    return model(nodes, {"images": ["batch", 3, "height", "width"]}, ["boxes", "scores", "selected"], 17, constants)
