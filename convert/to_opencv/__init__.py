"""ONNX to OpenCV: a file that `cv2.dnn.readNetFromONNX` loads and runs, and what a caller must know to use it.

Also Darknet to OpenCV 4's own reader: the cfg as that takes it, and the weights.
"""

from zoo.convert.to_opencv.artifact import OpenCVOptions, onnx_to_opencv
from zoo.convert.to_opencv.darknet_pair import darknet_to_classic

__all__ = ["OpenCVOptions", "darknet_to_classic", "onnx_to_opencv"]
