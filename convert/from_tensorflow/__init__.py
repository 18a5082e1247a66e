"""TensorFlow detectors → ONNX: frozen graphs and SavedModels of the TF 1 and TF 2 model zoos, and one's own."""

from zoo.convert.from_tensorflow.convert import Converted, convert_with_report, tensorflow_to_onnx
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions

__all__ = ["Converted", "TensorFlowSourceOptions", "convert_with_report", "tensorflow_to_onnx"]
