"""ONNX → TensorFlow: a `tf.Module`, a SavedModel, and a .tflite made from it."""

from zoo.convert.to_tensorflow.module import module_from_onnx

__all__ = ["module_from_onnx"]
