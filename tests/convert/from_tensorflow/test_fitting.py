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
OPEN = [None, None, None, 3]
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
    assert told_of(tmp_path, preprocess) == told


def told_of(folder: Path, preprocess: Callable[[Any], Any], shape: Any = OPEN, dtype: Any = tf.uint8) -> dict[str, Any]:
    """Of a graph with one convolution behind `preprocess`."""
    graph = tf.Graph()
    with graph.as_default():
        picture = preprocess(tf1.placeholder(dtype, shape, "image_tensor"))
        convolved = tf.nn.conv2d(picture, np.ones((3, 3, picture.shape[-1], 4), np.float32), 2, "SAME")
        tf.identity(convolved, name="detection_scores")
    return told_of_graph(folder, graph)


def told_of_graph(folder: Path, graph: tf.Graph) -> dict[str, Any]:
    (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return fitting(load(find_source(folder / "graph.pb"), ""))


def floats(images: Any) -> Any:
    return tf.cast(images, tf.float32)


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [
        (floats, [1, 16, 16, 1]),
        (lambda images: tf.ensure_shape(floats(images), [1, 16, 16, 1]), [1, 16, 16, None]),
        (lambda images: tf.reshape(floats(images)[:, :80, :80], [1, 80, 80, 3]), OPEN),
        (lambda images: floats(images) - tf.reduce_mean(floats(images), [1, 2], keepdims=True), OPEN),
        (lambda images: tf.transpose(floats(images), [0, 3, 1, 2]), [1, 32, 64, 3]),
        (lambda images: kept_open(tf.pad(resized(images, 8, 16) / 0.0, [[0, 0], [0, 8], [0, 0], [0, 0]])), OPEN),
        (floats, [1, 40000, 40000, 3]),
        (lambda images: resized(resized(images, 40000, 40000), 9, 9), OPEN),
    ],
)
def test_what_shows_nothing_is_no_error(preprocess: Callable[[Any], Any], shape: Any, tmp_path: Path) -> None:
    """Another number of channels, sizes that the source does not take, even colours that vanish, channels first, no
    numbers, too much to run."""
    assert told_of(tmp_path, preprocess, shape) == {}


def test_nothing_is_told_without_a_convolution(tmp_path: Path) -> None:
    graph = tf.Graph()
    with graph.as_default():
        images = tf1.placeholder(tf.float32, [1, 8, 8, 3], "image_tensor")
        tf.identity(tf.reduce_mean(images, [1, 2]), name="detection_scores")
    assert told_of_graph(tmp_path, graph) == {}


def test_a_network_of_the_shape_that_is_shown_first(tmp_path: Path) -> None:
    """Pictures are stretched to 16 × 32 unless they are higher than wide."""

    def letterboxed(images: Any) -> Any:
        height = tf.shape(images)[1]
        width = tf.minimum(tf.shape(images)[2] * 16 // height, 32)
        inner = tf.raw_ops.ResizeBilinear(images=floats(images), size=tf.stack([16, width]))
        padded = tf.pad(inner, [[0, 0], [0, 0], [0, 32 - width], [0, 0]])
        return tf.reshape(padded, [1, 16, 32, 3])

    assert told_of(tmp_path, letterboxed) == PADDED | {"pad": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (0.5, {"pad": [127.5] * 3}),
        (1.0, {"pad": [255.0] * 3}),
        (-0.25, {"pad": [-63.75] * 3}),
        (116.25, {"pad": [116.25] * 3, "white": 255}),
    ],
)
def test_colours_of_a_source_that_takes_floats_are_told_as_bytes(
    level: float, told: dict[str, Any], tmp_path: Path
) -> None:
    """Its white is 1, unless it fills up with more than that. A colour may be darker than black."""

    def padded(images: Any) -> Any:
        return kept_open(tf.pad(resized(images, 8, 16) - level, [[0, 0], [0, 8], [0, 0], [0, 0]])) * 2.0

    assert told_of(tmp_path, padded, dtype=tf.float32) == PADDED | told


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
