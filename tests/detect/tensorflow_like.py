"""An ONNX file with the contract of a TensorFlow Mask R-CNN, which always sees the same two things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUTPUTS = {
    "detection_boxes": np.array([[[0.2, 0.1, 0.8, 0.6], [0, 0, 1, 1]]], np.float32),
    "detection_scores": np.array([[0.9, 0.1]], np.float32),
    "detection_classes": np.array([[3, 1]], np.float32),
    "detection_masks": np.ones((1, 2, 15, 15), np.float32),
    "num_detections": np.array([2], np.float32),
}


def write_mask_model(path: Path) -> None:
    """`image_tensor` uint8 [batch, height, width, 3] in; the outputs above, whatever the picture is."""
    picture = helper.make_tensor_value_info("image_tensor", TensorProto.UINT8, ["batch", "height", "width", 3])
    # The outputs hang on the picture, times zero: a graph whose input is unused is simplified away.
    nodes = [
        helper.make_node("Cast", ["image_tensor"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"{name}_fixed", "nothing"], [name]) for name in OUTPUTS),
    ]
    constants = [numpy_helper.from_array(array, f"{name}_fixed") for name, array in OUTPUTS.items()]
    constants.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in OUTPUTS.items()]
    graph = helper.make_graph(nodes, "masks", [picture], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
