"""ONNX to PyTorch: `model.py` that a person would have written, its weights, and a `.pt2`."""

from zoo.convert.to_torch.module import module_from_onnx

__all__ = ["module_from_onnx"]
