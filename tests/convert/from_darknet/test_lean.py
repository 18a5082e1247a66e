"""The graph holds no node too many, counted by hand for YOLOv4; and no shape arithmetic where the size is fixed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from zoo.convert.from_darknet import DarknetOptions
from zoo.convert.from_darknet.model import build
from zoo.darknet import Network, Weights, read_network
from zoo.darknet.weights import Header, tensors_of

# One convolution each; leaky is 1 node, linear 0, mish 6: sigmoid, 2 − s, s·(2 − s), 2 − p, p / (2 − p), x·tanh.
# (Softplus → Tanh → Mul would be 3, and four times as slow in ONNX Runtime.)
YOLOV4 = {"Conv": 110, "LeakyRelu": 35, "mish": 6 * 72, "Add": 23, "Concat": 10, "MaxPool": 3, "Resize": 2}
# Each of the 3 heads as rows of boxes: Reshape, Transpose, Reshape. Then once for all: Concat; Split; Sigmoid, Mul and
# Add for x and y; Exp and Mul for width and height; Concat to boxes; Sigmoid twice and Mul for the scores.
DECODING = 3 * 3 + 1 + 1 + 3 + 2 + 1 + 3


def weightless(network: Network) -> Weights:
    """Zeros where the weights would be: node counts do not depend on them."""
    zero = np.zeros(1, np.float32)
    layers = []
    for layer in network.layers:
        views = {tensor.name: np.broadcast_to(zero, tensor.stored) for tensor in tensors_of(layer, network.dialect)}
        layers.append(views)
    return Weights(network.path, Header(0, 2, 5, 0, 20, False), tuple(layers))


def nodes(data: Path, case: str, **options: bool) -> Counter[str]:
    network = read_network(data / "goldens" / "darknet" / case / "net.cfg")
    model = build(network, weightless(network), DarknetOptions(**options))  # type: ignore[arg-type]
    return Counter(node.op_type for node in model.nodes)


def test_yolov4_has_as_many_nodes_as_counted_by_hand(data: Path) -> None:
    found = nodes(data, "alexey_yolov4_96x96")
    expected = sum(YOLOV4.values()) + DECODING
    assert abs(sum(found.values()) - expected) <= 0.05 * expected, found
    assert found["Conv"] == YOLOV4["Conv"]
    assert found["LeakyRelu"] == YOLOV4["LeakyRelu"]


@pytest.mark.parametrize(
    "case", ["alexey_yolov4_96x96", "alexey_yolov3_96x96", "alexey_yolov7_96x96", "pj_yolov2_96x96"]
)
def test_no_shape_arithmetic_with_a_fixed_size(data: Path, case: str) -> None:
    found = nodes(data, case)
    assert not {"Shape", "Gather", "Range", "Expand", "Unsqueeze", "Cast", "Identity", "BatchNormalization"} & set(
        found
    )
    assert found["Transpose"] <= 3


def test_yolov3_is_a_convolution_and_its_activation(data: Path) -> None:
    found = nodes(data, "alexey_yolov3_96x96")
    assert (found["Conv"], found["LeakyRelu"], found["Add"] - 1) == (75, 72, 23)
    assert sum(found.values()) == 75 + 72 + 23 + 2 + 2 + DECODING
