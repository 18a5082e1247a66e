"""Drawn detections are legible: on the picture, in a colour of their own, over nothing that matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.vision.draw import _frame, _meet, _plate, class_colour, draw_detections, text_colour
from zoo.vision.nms import Detections

GREY = (128, 128, 128)


def detections(*rows: tuple[float, ...]) -> Detections:
    """From rows of centre x, y, width, height, score, class."""
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def test_a_frame_is_drawn_where_the_box_is_and_the_picture_is_not_changed() -> None:
    picture = Image.new("RGB", (200, 100), GREY)
    drawn = np.asarray(draw_detections(picture, detections((0.5, 0.5, 0.4, 0.4, 0.9, 0)), ["dog"]))
    assert picture.getcolors() == [(200 * 100, GREY)]
    colour = class_colour(0)
    assert tuple(drawn[50, 60]) == colour  # left
    assert tuple(drawn[50, 140]) == colour  # right
    assert tuple(drawn[70, 100]) == colour  # below
    assert (drawn[35:66, 65:136] == 128).all()  # the text is not over what was found
    assert (drawn[:, 150:] == 128).all()


def test_arrays_and_grey_pictures_are_drawn_on_too() -> None:
    one = detections((0.5, 0.5, 0.5, 0.5, 0.9, 1))
    from_array = draw_detections(np.full((60, 80, 3), 128, np.uint8), one, ["a", "b"])
    from_grey = draw_detections(Image.new("L", (80, 60), 128), one, ["a", "b"])
    assert from_array.tobytes() == from_grey.tobytes()
    assert from_array.mode == "RGB"


def test_no_detections_leave_the_picture_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    assert draw_detections(picture, detections(), []).tobytes() == picture.tobytes()


def test_a_class_without_a_label_is_shown_by_its_number() -> None:
    one = detections((0.5, 0.5, 0.5, 0.5, 0.9, 7))
    unnamed = draw_detections(Image.new("RGB", (300, 300)), one, ["a"])
    named = draw_detections(Image.new("RGB", (300, 300)), one, ["a", *"bcdefg", "class 7"])
    assert unnamed.tobytes() == named.tobytes()


def test_text_and_lines_grow_with_the_picture() -> None:
    one = detections((0.5, 0.5, 0.5, 0.3, 0.9, 0))
    counts = []
    for side in (300, 1200):
        drawn = np.asarray(draw_detections(Image.new("RGB", (side, side), GREY), one, ["dog"]))
        counts.append((drawn == class_colour(0)).all(axis=-1).mean())
    assert counts[1] == pytest.approx(counts[0], rel=0.3)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_a_picture_smaller_than_the_text_is_no_error(size: tuple[int, int]) -> None:
    assert draw_detections(Image.new("RGB", size), detections((0.5, 0.5, 1, 1, 0.9, 0)), ["dog"]).size == size


@given(st.tuples(*[st.floats(-0.5, 1.5)] * 4), st.tuples(st.integers(1, 900), st.integers(1, 900)))
@settings(deadline=None)
def test_frames_and_texts_stay_on_the_picture(box: tuple[float, ...], size: tuple[int, int]) -> None:
    frame = _frame(np.abs(np.array(box)), size)
    assert 0 <= frame[0] <= frame[2] < size[0]
    assert 0 <= frame[1] <= frame[3] < size[1]
    text = (min(70, size[0]), min(15, size[1]))
    plate = _plate(frame, text, size, [])
    assert plate[0] >= 0 and plate[1] >= 0 and plate[2] < size[0] and plate[3] < size[1]


def test_texts_of_neighbours_do_not_cover_each_other() -> None:
    frame, size = (20, 50, 90, 120), (200, 200)
    plates = [_plate(frame, (60, 15), size, [])]
    for _ in range(2):
        plates.append(_plate(frame, (60, 15), size, plates))
    assert not any(_meet(a, b) for a in plates for b in plates if a is not b)


def contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """WCAG 2.2, written out again."""
    values = []
    for colour in (a, b):
        srgb = np.array(colour) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        values.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(values) / min(values)


def test_text_contrasts_with_the_colour_of_every_class() -> None:
    """4.5 to 1 is the level AA of WCAG."""
    assert min(contrast(class_colour(label), text_colour(class_colour(label))) for label in range(600)) >= 4.5


def test_the_first_classes_have_colours_far_apart() -> None:
    colours = np.array([class_colour(label) for label in range(8)], float)
    distances = np.linalg.norm(colours[:, None] - colours, axis=-1)
    assert distances[~np.eye(8, dtype=bool)].min() > 60
