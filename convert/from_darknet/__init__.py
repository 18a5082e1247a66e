"""Darknet cfg + weights → ONNX. `darknet_to_onnx` writes an artifact; `build_model` gives the model in memory."""

from zoo.convert.from_darknet.convert import darknet_to_onnx
from zoo.convert.from_darknet.model import build_model
from zoo.convert.from_darknet.options import DarknetOptions

__all__ = ["DarknetOptions", "build_model", "darknet_to_onnx"]
