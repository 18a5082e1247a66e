"""The detector that zoo ships: as good as it claims, by way of its conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.convert.from_darknet.convert import darknet_to_onnx
from zoo.darknet import read_network, read_weights
from zoo.shapes import CFG, NAMES, SAMPLE, WEIGHTS
from zoo.shapes.anchors import drawn_sizes
from zoo.shapes.draw import LABELS
from zoo.shapes.evaluate import evaluate, onnx_detector
from zoo.shapes.sample import sample_scene
from zoo.vision.nms import box_iou, detect
from zoo.vision.preprocess import load_picture, preprocess


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return darknet_to_onnx(CFG, WEIGHTS, tmp_path_factory.mktemp("shapes-tiny")).model


@pytest.mark.slow
def test_mean_average_precision_on_pictures_it_has_not_seen(model: Path) -> None:
    precision = evaluate(onnx_detector(model), pictures=300)
    assert precision.shapes > 1000
    assert precision.mean >= 0.9
    assert min(precision.by_label.values()) >= 0.85


def test_every_shape_of_the_sample_picture_is_found_and_nothing_else(model: Path) -> None:
    """By the way that a user's picture goes: decoded, stretched by Darknet's rule, detected, mapped back."""
    truth = sample_scene()
    images, placement = preprocess(load_picture(SAMPLE), 160, 160, "stretch")
    (boxes,), (scores,) = onnx_detector(model)(images)
    found = detect(placement.undo(boxes), scores, kind="greedynms")
    assert sorted(found.classes) == sorted(truth.classes)
    for box, label in zip(truth.boxes, truth.classes, strict=True):
        assert box_iou(box, found.boxes[found.classes == label]).max() > 0.6


def test_the_sample_picture_is_the_one_its_seed_draws() -> None:
    """But for rounding: another NumPy or Pillow may put a pixel on the other side of a half."""
    with Image.open(SAMPLE) as picture:
        difference = np.abs(np.asarray(picture, float) - sample_scene().pixels)
    assert np.mean(difference > 0) < 0.001


def test_the_files_belong_together_and_are_small() -> None:
    network = read_network(CFG, weights=WEIGHTS)
    assert network.dialect == "alexey"
    assert not network.warnings
    read_weights(WEIGHTS, network)
    assert {head.classes for head in network.heads} == {len(LABELS)} == {len(NAMES.read_text().split())}
    assert WEIGHTS.stat().st_size + SAMPLE.stat().st_size < 700_000


def test_the_anchors_suit_the_drawn_shapes() -> None:
    """The best of them overlaps a shape, laid on its centre, by 0.85 in the mean; so said the clustering."""
    anchors = np.array([anchor for head in read_network(CFG).heads for anchor in head.anchors])
    sizes = drawn_sizes(60)
    shared = np.minimum(sizes[:, None], anchors).prod(axis=2)
    overlaps = shared / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared)
    assert overlaps.max(axis=1).mean() > 0.83
