"""How a source fits pictures, found by showing it some: of small graphs of every kind, and of exported detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.goldens.exports import Exports
from zoo.convert.from_tensorflow.fitting import fitting
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.source import find_source

tf1 = tf.compat.v1
MEAN, DEVIATION = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.4, 57.1, 57.4], np.float32)
FIXED = {"resize": "stretch", "coordinates": "asymmetric"}
PADDED = {"resize": "letterbox", "place": "corner", "coordinates": "asymmetric"}


def resized(images: Any, height: int, width: int, **rule: bool) -> Any:
    return tf.raw_ops.ResizeBilinear(images=tf.cast(images, tf.float32), size=[height, width], **rule)


def kept_open(tensor: Any) -> Any:
    """As from a loop over pictures: what pads the pictures is no padding of the first convolution."""
    return tf.reshape(tensor, [-1, 16, 16, 3])


def normalised_and_padded(images: Any) -> Any:
    return kept_open(tf.pad((resized(images, 8, 16) - MEAN) / DEVIATION, [[0, 0], [0, 8], [0, 0], [0, 0]]))


def padded_and_normalised(images: Any) -> Any:
    return kept_open(tf.pad(resized(images, 8, 16), [[0, 0], [0, 8], [0, 0], [0, 0]])) / 127.5 - 1


def turned_to_blue_first(images: Any) -> Any:
    """In the middle, on the colour whose (blue, green, red) are 30, 20, 10."""
    middle = resized(images, 8, 16, half_pixel_centers=True)[..., ::-1] - [30.0, 20.0, 10.0]
    return kept_open(tf.pad(middle, [[0, 0], [4, 4], [0, 0], [0, 0]]))


@pytest.mark.parametrize(
    ("preprocess", "told"),
    [
        (lambda images: resized(images, 9, 7), FIXED),
        (lambda images: resized(images, 9, 7, align_corners=True), FIXED | {"coordinates": "align_corners"}),
        (lambda images: tf.cast(images, tf.float32), {"resize": "stretch"}),
        (normalised_and_padded, PADDED | {"pad": [123.675, 116.28, 103.53]}),
        (padded_and_normalised, PADDED | {"pad": [0.0, 0.0, 0.0]}),
        (
            turned_to_blue_first,
            {"resize": "letterbox", "place": "centre", "pad": [10.0, 20.0, 30.0], "coordinates": "half_pixel"},
        ),
    ],
)
def test_of_a_small_graph(preprocess: Callable[[Any], Any], told: dict[str, Any], tmp_path: Path) -> None:
    graph = tf.Graph()
    with graph.as_default():
        images = tf1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        scores = tf.nn.conv2d(preprocess(images), np.ones((3, 3, 3, 4), np.float32), 2, "SAME")
        tf.identity(scores, name="detection_scores")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert fitting(load(find_source(tmp_path / "graph.pb"), "")) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("s_ssd_mobilenet_v1", FIXED),
        ("s_tf2_efficientdet", PADDED | {"pad": [123.675, 116.28, 103.53]}),
        ("s_tf2_centernet_mobilenet_v2_fpn", PADDED | {"pad": [0.0, 0.0, 0.0]}),
    ],
)
def test_of_an_exported_detector(name: str, told: dict[str, Any], exported: Exports) -> None:
    """CenterNet fills up before it normalises, EfficientDet behind that."""
    detector = exported.onnx(name).detector
    assert {key: detector[key] for key in told} == told
    assert {"place", "pad"} & set(detector) == {"place", "pad"} & set(told)
