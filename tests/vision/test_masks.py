"""Masks on the picture, and COCO's run lengths read back by the format's own rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from zoo.vision.draw import MASK, class_colour, draw_detections
from zoo.vision.masks import encode_mask, placed_mask
from zoo.vision.nms import Detections


def decode(counts: str, height: int, width: int) -> NDArray[np.bool_]:
    """COCO's rleFrString and rleDecode."""
    runs: list[int] = []
    at = 0
    while at < len(counts):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(counts[at]) - 48
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            at, shift = at + 1, shift + 5
            if not more and bits & 16:
                value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    flat = np.concatenate([np.full(run, number % 2 == 1) for number, run in enumerate(runs)])
    return flat.reshape((height, width), order="F")


def test_a_full_mask_covers_its_box() -> None:
    rows, columns, inside = placed_mask(np.ones((7, 7)), np.array([0.5, 0.5, 0.4, 0.2]), (100, 50))
    assert (columns.start, columns.stop, rows.start, rows.stop) == (30, 70, 20, 30)
    assert inside.all()


def test_half_a_mask_covers_half_its_box_also_beyond_the_picture() -> None:
    mask = np.zeros((8, 8))
    mask[:, 4:] = 1
    _, columns, inside = placed_mask(mask, np.array([0.5, 0.5, 0.8, 0.8]), (100, 100))
    assert columns.start == 10
    assert not inside[:, :35].any() and inside[:, 45:].all()
    _, columns, inside = placed_mask(mask, np.array([0.0, 0.5, 1.0, 1.0]), (100, 100))
    assert (columns.start, columns.stop) == (0, 50)
    assert inside[:, 5:].all()


def test_a_box_outside_the_picture_has_no_pixels() -> None:
    *_, inside = placed_mask(np.ones((5, 5)), np.array([2.0, 2.0, 0.1, 0.1]), (100, 100))
    assert inside.size == 0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(-0.2, 1.2)] * 2, *[st.floats(0.01, 1.5)] * 2),
)  # fmt: skip
def test_run_lengths_can_be_read_back(width: int, height: int, seed: int, box: tuple[float, ...]) -> None:
    mask = np.random.default_rng(seed).uniform(size=(6, 5))
    encoded = encode_mask(mask, np.array(box), (width, height))
    whole = np.zeros((height, width), bool)
    rows, columns, inside = placed_mask(mask, np.array(box), (width, height))
    whole[rows, columns] = inside
    assert encoded["size"] == [height, width]
    assert (decode(encoded["counts"], height, width) == whole).all()


def test_masks_are_drawn_in_the_colour_of_the_class() -> None:
    found = Detections(np.array([[0.5, 0.5, 0.8, 0.8]]), np.array([0.9]), np.array([0]), np.ones((1, 4, 4), np.float32))
    drawn = np.asarray(draw_detections(Image.new("RGB", (200, 200)), found, ["thing"]))
    assert drawn[100, 100] == pytest.approx(np.array(class_colour(0)) * MASK, abs=1)
    assert (drawn[5, 100] == 0).all()
