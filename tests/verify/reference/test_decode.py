"""Raw heads → boxes and scores: one box computed by hand for each head, and the order of all of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.verify.reference.small import normal, small
from zoo.base.errors import VerificationError
from zoo.darknet import Network
from zoo.verify.reference.darknet import head_name
from zoo.verify.reference.decode import decode, probabilities

Array = NDArray[np.floating[Any]]

MAPS = (
    "[net]\nwidth=12\nheight=8\nchannels=3\n[maxpool]\nsize=4\nstride=4\npadding=0\n"
    "[convolutional]\nfilters={filters}\nactivation=linear\n{head}"
)
CLASS_TREE = "a -1\nb -1\nc 1\nd 1\n"  # a and b are roots, c and d are kinds of b


def maps(folder: Path, filters: int, head: str, dialect: Literal["alexey", "pj"] = "alexey") -> Network:
    """A network of 12 × 8 pixels whose head has a map of 3 × 2 cells."""
    return small(folder, MAPS.format(filters=filters, head=head), dialect)[0]


def decode_one(network: Network, head: Array, **options: float) -> tuple[Array, Array]:
    boxes, scores = decode(network, {head_name(network.layers[-1]): head}, **options)
    return boxes[0], scores[0]


@pytest.mark.parametrize("new_coords", [0, 1])
def test_yolo(tmp_path: Path, new_coords: int) -> None:
    """Cell row 1, column 2, anchor 1 of two: box 1 · 3 · 2 + 2 · 2 + 1 = 11 of 12."""
    head = f"[yolo]\nclasses=2\nmask=0,2\nanchors=1,2,3,4,5,6\nnum=3\nnew_coords={new_coords}\n"
    network = maps(tmp_path, 14, head)
    raw = normal(np.random.default_rng(0), 1, 14, 2, 3)
    boxes, scores = decode_one(network, raw)
    x, y, w, h, objectness, first, second = raw[0, 7:, 1, 2]
    width, height = (4 * w * w, 4 * h * h) if new_coords else (math.exp(w), math.exp(h))
    assert boxes.shape == (12, 4)
    assert boxes[11] == pytest.approx([(2 + x) / 3, (1 + y) / 2, width * 5 / 12, height * 6 / 8])
    assert scores[11] == pytest.approx([objectness * first, objectness * second])


@pytest.mark.parametrize(("point", "share"), [("center", 0), ("left_top", 0.5), ("right_bottom", -0.5)])
def test_gaussian_yolo(tmp_path: Path, point: str, share: float) -> None:
    head = f"[Gaussian_yolo]\nclasses=1\nmask=0\nanchors=5,6\nnum=1\nyolo_point={point}\n"
    raw = normal(np.random.default_rng(1), 1, 10, 2, 3)
    boxes, scores = decode_one(maps(tmp_path, 10, head), raw)
    x, sx, y, sy, w, sw, h, sh, objectness, label = raw[0, :, 1, 2]
    width, height = math.exp(w) * 5 / 12, math.exp(h) * 6 / 8
    assert boxes[5] == pytest.approx([(2 + x) / 3 + share * width, (1 + y) / 2 + share * height, width, height])
    assert scores[5].item() == pytest.approx(objectness * label * (1 - (sx + sy + sw + sh) / 4))


REGION = "[region]\nclasses=2\nnum=2\ncoords=4\nanchors=1,2,3,4\nsoftmax=1\n"


def test_region_of_alexey_is_ordered_by_place_and_has_raw_centres(tmp_path: Path) -> None:
    raw = normal(np.random.default_rng(2), 1, 14, 2, 3)
    boxes, scores = decode_one(maps(tmp_path, 14, REGION), raw)
    x, y, w, h, objectness, first, second = raw.reshape(2, 3, 2, 7)[1, 2, 1]
    centre = [(2 + 1 / (1 + math.exp(-x))) / 3, (1 + 1 / (1 + math.exp(-y))) / 2]
    assert boxes[11] == pytest.approx([*centre, math.exp(w) * 3 / 3, math.exp(h) * 4 / 2])
    assert scores[11] == pytest.approx([objectness * first, objectness * second])


def test_region_of_pj_is_ordered_by_anchor(tmp_path: Path) -> None:
    raw = normal(np.random.default_rng(3), 1, 14, 2, 3)
    boxes, scores = decode_one(maps(tmp_path, 14, REGION, "pj"), raw)
    x, y, w, h, objectness, first, second = raw[0, :7, 1, 2]
    assert boxes[5] == pytest.approx([(2 + x) / 3, (1 + y) / 2, math.exp(w) * 1 / 3, math.exp(h) * 2 / 2])
    assert scores[5] == pytest.approx([objectness * first, objectness * second])


def test_classfix_minus_1_drops_weak_objects(tmp_path: Path) -> None:
    network = maps(tmp_path, 14, f"{REGION}classfix=-1\n")
    raw = np.full((1, 14, 2, 3), 0.75)
    raw.reshape(2, 3, 2, 7)[0, 0, 0, 4] = 0.49
    _, scores = decode_one(network, raw)
    assert scores[0].tolist() == [0, 0]
    assert scores[1].tolist() == [0.75**2] * 2


# Objectness; probabilities of a, b (roots), c, d (kinds of b); the scores that A and P give.
TREE_CASES = [
    (0.9, (0.2, 0.8, 0.1, 0.9), (0, 0, 0, 0.72), (0, 0, 0, 0.9)),  # P: 0.8 · 0.72 is above 0.5
    (0.9, (0.3, 0.7, 0.1, 0.9), (0, 0, 0, 0.63), (0, 0.9, 0, 0)),  # P: 0.7 · 0.63 is not, so it stays at b
    (0.9, (0.4, 0.6, 0.5, 0.5), (0, 0.6, 0, 0), (0, 0.9, 0, 0)),
    (0.9, (0.5, 0.5, 0.9, 0.1), (0, 0, 0, 0), (0.9, 0, 0, 0)),  # nothing above 0.5: P takes the best root
    (0.2, (0.2, 0.8, 0.1, 0.9), (0, 0, 0, 0), (0, 0, 0, 0)),  # the objectness is below the threshold
]


@pytest.mark.parametrize(("objectness", "values", "alexey", "pj"), TREE_CASES)
def test_a_class_tree_gives_one_class(
    tmp_path: Path, objectness: float, values: tuple[float, ...], alexey: tuple[float, ...], pj: tuple[float, ...]
) -> None:
    (tmp_path / "small.tree").write_text(CLASS_TREE)
    head = "[region]\nclasses=4\nnum=1\ncoords=4\nanchors=1,2\nsoftmax=1\ntree=small.tree\n"
    cell = np.array([0, 0, 0, 0, objectness, *values])
    _, scores = decode_one(maps(tmp_path, 9, head), np.tile(cell, 6).reshape(1, 9, 2, 3))
    assert scores[4] == pytest.approx(alexey)
    _, scores = decode_one(maps(tmp_path, 9, head, "pj"), np.repeat(cell, 6).reshape(1, 9, 2, 3))
    assert scores[4] == pytest.approx(pj)


def test_detection(tmp_path: Path) -> None:
    """side 2, two boxes for each place, one class: 4 classes, 8 objectness, 8 boxes."""
    net = "[net]\nwidth=2\nheight=2\nchannels=3\n[connected]\noutput=44\nactivation=linear\n"
    network, _ = small(tmp_path, f"{net}[detection]\nclasses=1\ncoords=4\nside=2\nnum=2\nsqrt=1\n")
    raw = normal(np.random.default_rng(4), 1, 44)
    boxes, scores = decode_one(network, raw)
    x, y, w, h = raw[0, 12 + 4 * 5 : 12 + 4 * 6]  # place 2 (row 1, column 0), its second box
    assert boxes[5] == pytest.approx([x / 2, (1 + y) / 2, w * w, h * h])
    assert scores[5].item() == pytest.approx(raw[0, 2] * raw[0, 4 + 5])


def test_what_is_no_detector_and_what_is_no_classifier(tmp_path: Path) -> None:
    classifier, _ = small(tmp_path, "[net]\ninputs=3\n[softmax]\n")
    values = np.array([[0.1, 0.2, 0.7]])
    assert (probabilities(classifier, {"000_softmax": values}) == values).all()
    with pytest.raises(VerificationError, match="no detector"):
        decode(classifier, {"000_softmax": values})
    with pytest.raises(VerificationError, match="no classifier"):
        probabilities(maps(tmp_path, 14, REGION), {})
