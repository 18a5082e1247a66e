"""Drawn pictures are repeatable, and their truth is true."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.shapes import NAMES
from zoo.shapes.draw import (
    HIDDEN,
    LABELS,
    MOST_SHAPES,
    OUTLINES,
    _background,
    _hidden,
    _mask,
    _paint,
    _place,
    draw_scene,
)


def test_a_seed_is_a_picture() -> None:
    first, again, other = draw_scene(7), draw_scene(7), draw_scene(8)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.pixels, other.pixels)


def test_the_names_are_the_labels_in_order() -> None:
    assert tuple(NAMES.read_text().splitlines()) == LABELS


@pytest.mark.parametrize("size", [(160, 160), (96, 64), (200, 320)])
def test_shapes_lie_on_the_picture_and_hide_little_of_each_other(size: tuple[int, int]) -> None:
    for seed in range(12):
        scene = draw_scene(seed, *size)
        assert scene.pixels.shape == (size[1], size[0], 3)
        assert scene.pixels.dtype == np.uint8
        assert 1 <= len(scene.boxes) == len(scene.classes) <= MOST_SHAPES
        low, high = scene.boxes[:, :2] - scene.boxes[:, 2:] / 2, scene.boxes[:, :2] + scene.boxes[:, 2:] / 2
        assert low.min() >= -1e-12
        assert high.max() <= 1 + 1e-12
        corners = np.concatenate([low, high], axis=1)
        pairs = [(a, b) for number, a in enumerate(corners) for b in corners[:number]]
        assert all(_hidden(a, b) <= HIDDEN + 1e-9 for a, b in pairs)


def test_every_label_is_drawn_about_equally_often() -> None:
    counts = np.bincount(
        np.concatenate([draw_scene(seed, 32, 32).classes for seed in range(150)]), minlength=len(LABELS)
    )
    assert counts.min() > 0.6 * counts.mean()


@pytest.mark.parametrize("label", LABELS)
def test_a_box_is_what_its_shape_covers(label: str) -> None:
    """What is painted reaches the box on all four sides, to a pixel, and not beyond it."""
    random = np.random.default_rng(3)
    for _ in range(20):
        outlines = _place(random, OUTLINES[label], 200, 150)
        rows, columns, _ = np.nonzero(_mask(outlines, 200, 150))
        painted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        box = np.concatenate([outlines[0].min(axis=0), outlines[0].max(axis=0)])
        assert np.abs(painted - box).max() <= 1.25


def test_a_ring_has_a_hole_and_a_circle_has_none() -> None:
    centre = {}
    for label in ("ring", "circle"):
        outlines = [40 * outline + 50 for outline in OUTLINES[label]]
        centre[label] = _mask(outlines, 100, 100)[50, 50, 0]
    assert centre == {"ring": 0, "circle": 1}


def test_a_shape_stands_out_from_where_it_is_painted() -> None:
    """By 40 of the 441 between black and white, in the mean over the shape; and beside its box nothing changes."""
    random = np.random.default_rng(11)
    for number in range(60):
        before = _background(random, 100, 80)
        canvas = before.copy()
        outlines = _place(random, OUTLINES[LABELS[number % len(LABELS)]], 100, 80)
        box = np.concatenate([outlines[0].min(axis=0), outlines[0].max(axis=0)])
        _paint(random, canvas, outlines, box)
        covered = _mask(outlines, 100, 80)[..., 0] == 1
        assert np.linalg.norm((canvas - before)[covered].mean(axis=0)) > 40
        (left, top), (right, bottom) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
        canvas[top:bottom, left:right] = before[top:bottom, left:right]
        assert np.array_equal(canvas, before)
