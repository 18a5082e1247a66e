"""ONNX to PyTorch: `model.py` that a person would have written, its weights, and a `.pt2`."""

from zoo.convert.to_torch.artifact import TorchOptions, onnx_to_torch
from zoo.convert.to_torch.module import module_from_onnx

__all__ = ["TorchOptions", "module_from_onnx", "onnx_to_torch"]
