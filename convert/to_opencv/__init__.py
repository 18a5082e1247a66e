"""ONNX to OpenCV: a file that `cv2.dnn.readNetFromONNX` loads and runs, and what a caller must know to use it."""

from zoo.convert.to_opencv.artifact import OpenCVOptions, onnx_to_opencv

__all__ = ["OpenCVOptions", "onnx_to_opencv"]
