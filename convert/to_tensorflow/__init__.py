"""ONNX → TensorFlow: a `tf.Module`, a SavedModel, and a .tflite. Importing this imports TensorFlow."""

from zoo.convert.to_tensorflow.artifact import TensorFlowOptions, onnx_to_tensorflow
from zoo.convert.to_tensorflow.module import module_from_onnx
from zoo.convert.to_tensorflow.reexport import ReexportOptions, tensorflow_to_tensorflow

__all__ = [
    "ReexportOptions",
    "TensorFlowOptions",
    "module_from_onnx",
    "onnx_to_tensorflow",
    "tensorflow_to_tensorflow",
]
