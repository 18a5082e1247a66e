"""What a converter might get wrong about a TensorFlow detector: the small SSD of `tests.mutations.networks` as ONNX.

Its nodes are named after those of the source; what the conversion adds has names of its own (`resize/…`, `nms/…`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper

from tests.mutations.darknet_kinds import before, halfway, on_operand
from tests.mutations.kinds import Mutation, after, drop_output, node_giving, on_operator, replace
from zoo.verify.runtimes.protocol import Array

BACKBONE = "FeatureExtractor/MobilenetV1/MobilenetV1"
FLOOR = "times the noise floor"
ERRORS = "unexplained"


def convolutions(model: onnx.ModelProto) -> list[str]:
    """The names of all of them."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def on_convolution(name: str, place: int, change: Callable[[Array], Array]) -> Mutation:
    """Change the kernel (1) or the bias (2) of one convolution."""

    def mutate(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.name == name)
        found = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[place])
        alone = onnx.TensorProto()
        alone.CopyFrom(found)
        alone.name = node.input[place] = f"{name}/mutated"  # equal kernels share one tensor
        model.graph.initializer.append(alone)
        replace(model, alone.name, change(np.array(numpy_helper.to_array(found))))

    return mutate


def largest_off(weights: Array) -> Array:
    """The largest number off by a tenth."""
    weights.flat[np.abs(weights).argmax()] *= 1.1
    return weights


def rolled(weights: Array) -> Array:
    """Every filter is taken for the next one."""
    return np.roll(weights, 1, 0)


def epsilon(weights: Array) -> Array:
    """Folded with an epsilon of 1e-5 where 1e-3 is right, at a variance of 0.05."""
    return weights * np.float32(np.sqrt((0.05 + 1e-3) / (0.05 + 1e-5)))


def padding_before(name: str) -> Mutation:
    """SAME_LOWER for SAME_UPPER: the odd row and column of padding before instead of behind."""

    def mutate(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.name == name)
        pads = next(one for one in node.attribute if one.name == "pads")
        top, left, bottom, right = pads.ints
        pads.ints[:] = [bottom, right, top, left]

    return mutate


def leaky_for_relu6(name: str) -> Mutation:
    def mutate(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.name == name)
        node.op_type = "LeakyRelu"
        del node.input[1:]

    return mutate


def softmax(model: onnx.ModelProto) -> None:
    node = node_giving(model, "sigmoid/div")
    node.op_type = "Softmax"
    node.input[:] = ["Postprocessor/scale_logits:0"]


def constant(value: float) -> Callable[[Array], Array]:
    return lambda array: np.full_like(array, value)


def scaled(factor: float) -> Callable[[Array], Array]:
    return lambda array: array * np.array(factor, array.dtype)


def first_of_batch(model: onnx.ModelProto) -> None:
    """Every picture of the batch gets the boxes of the first."""
    after("detection_boxes", ("Gather", [np.zeros(3, np.int64)]), axis=0)(model)


FIRST, DEPTHWISE = f"{BACKBONE}/Conv2d_0/Conv2D", f"{BACKBONE}/Conv2d_3_depthwise/depthwise"
POINTWISE = f"{BACKBONE}/Conv2d_5_pointwise/Conv2D"
HEAD = "BoxPredictor_2/ClassPredictor/BiasAdd"
TWICE = np.arange(100) // 2

# Name → (what is done, words of the explanation, how the name of the TF node begins that bisect must name; None where
# the fault is no layer's, "" where the model does not get so far).
MUTATIONS: dict[str, tuple[Mutation, str, str | None]] = {
    "tf: one weight off by a tenth": (
        on_convolution(POINTWISE, 1, largest_off), FLOOR, f"{BACKBONE}/Conv2d_5_pointwise"
    ),
    "tf: channels exchanged": (on_convolution(DEPTHWISE, 1, rolled), FLOOR, f"{BACKBONE}/Conv2d_3_depthwise"),
    "tf: bias dropped": (on_convolution(HEAD, 2, np.zeros_like), FLOOR, "BoxPredictor_2/ClassPredictor"),
    "tf: batch-norm epsilon": (on_convolution(FIRST, 1, epsilon), FLOOR, f"{BACKBONE}/Conv2d_0"),
    "tf: SAME_LOWER for SAME_UPPER": (padding_before(FIRST), FLOOR, f"{BACKBONE}/Conv2d_0"),
    "tf: leaky for relu6": (leaky_for_relu6(f"{BACKBONE}/Conv2d_0/Relu6"), FLOOR, f"{BACKBONE}/Conv2d_0/Relu6"),
    "tf: resize rounds to the nearest": (on_operator("resize/floor", "Round"), FLOOR, ""),
    "tf: resize with half-pixel centres": (before("resize/mul", "Add", np.array(0.3, np.float32)), FLOOR, ""),
    "tf: normalised by another scale": (on_operand("resize/pixel_mul", 0, scaled(0.5)), FLOOR, ""),
    "tf: mean not subtracted": (before("resize/resized", "Add", np.array(1, np.float32)), FLOOR, ""),
    "tf: BGR for RGB": (before("image_tensor", "Gather", np.array([2, 1, 0]), axis=3), FLOOR, ""),
    "tf: picture transposed": (before("resize/resized", "Transpose", perm=[0, 2, 1, 3]), FLOOR, ""),
    "tf: softmax for sigmoid": (softmax, FLOOR, None),
    "tf: fp16 between two layers": (halfway(f"{BACKBONE}/Conv2d_5_pointwise/Relu6:0", 1.0), FLOOR, BACKBONE),
    "tf: raw boxes of half the height": (
        after("raw_detection_boxes", ("Mul", [np.array([1, 1, 0.5, 1], np.float32)])), "raw_detection_boxes", None
    ),
    "tf: boxes as x, y, x, y": (
        after("detection_boxes", ("Gather", [np.array([1, 0, 3, 2])]), axis=2), ERRORS, None
    ),
    "tf: boxes of another row": (
        after("detection_boxes", ("Gather", [np.roll(np.arange(100), 1)]), axis=1), ERRORS, None
    ),
    "tf: boxes in pixels": (after("detection_boxes", ("Mul", [np.array(300, np.float32)])), ERRORS, None),
    "tf: classes from 0": (after("detection_classes", ("Add", [np.array(-1, np.float32)])), ERRORS, None),
    "tf: scores of all classes constant": (
        after("detection_multiclass_scores", ("Mul", [np.array(0, np.float32)])), "multiclass", None
    ),
    "tf: scores off by a hundredth": (after("detection_scores", ("Mul", [np.array(0.99, np.float32)])), "off by", None),
    "tf: scores constant": (after("detection_scores", ("Mul", [np.array(0, np.float32)])), "off by", None),
    "tf: each detection twice": (
        after("detection_boxes", ("Gather", [TWICE]), axis=1), ERRORS, None
    ),
    "tf: half of the detections": (
        after("num_detections", ("Mul", [np.array(0.5, np.float32)])), "behind the 50", None
    ),
    "tf: more detections than rows": (after("num_detections", ("Mul", [np.array(3, np.float32)])), "of 100 rows", None),
    "tf: overlap of the suppression": (on_operand("nms/selected", 3, constant(0.8)), "", None),
    "tf: NaN in a weight": (on_convolution(FIRST, 1, constant(np.nan)), "NaN", f"{BACKBONE}/Conv2d_0"),
    "tf: an output dropped": (drop_output, "lacks raw_detection_scores", None),
    "tf: every picture is the first": (first_of_batch, "batch 3", None),
}  # fmt: skip
