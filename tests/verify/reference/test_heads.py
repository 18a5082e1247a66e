"""What the output layers hold: which values a function is applied to, and which stay raw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.verify.reference.small import normal
from zoo.verify.reference import heads
from zoo.verify.reference.activations import logistic

Array = NDArray[np.floating[Any]]


def noise(*shape: int) -> Array:
    return normal(np.random.default_rng(7), *shape)


def test_softmax_layer_by_groups_tree_and_temperature() -> None:
    x = noise(2, 6, 1, 1)
    flat = x.reshape(2, 6)
    whole = np.exp(flat / 2) / np.exp(flat / 2).sum(axis=1, keepdims=True)
    assert heads.softmax_layer(x, 1, 2.0, []) == pytest.approx(whole)
    halves = heads.softmax_layer(x, 2, 1.0, [])
    assert halves.reshape(2, 2, 3).sum(axis=2) == pytest.approx(np.ones((2, 2)))
    tree = heads.softmax_layer(x, 1, 1.0, [1, 2, 3])
    assert np.add.reduceat(tree, [0, 1, 3], axis=1) == pytest.approx(np.ones((2, 3)))


def test_yolo_leaves_width_and_height_raw() -> None:
    x = noise(1, 2 * 7, 2, 3)
    found = heads.yolo(x, 2, 1.2, False).reshape(2, 7, 2, 3)
    raw = x.reshape(2, 7, 2, 3)
    assert found[:, :2] == pytest.approx(logistic(raw[:, :2]) * 1.2 - 0.1)
    assert (found[:, 2:4] == raw[:, 2:4]).all()
    assert (found[:, 4:] == logistic(raw[:, 4:])).all()


def test_yolo_with_new_coords_only_stretches_x_and_y() -> None:
    x = noise(1, 7, 2, 3)
    found = heads.yolo(x, 1, 2.0, True)
    assert found[:, :2] == pytest.approx(x[:, :2] * 2 - 0.5)
    assert (found[:, 2:] == x[:, 2:]).all()


def test_gaussian_yolo_leaves_the_means_of_width_and_height_raw() -> None:
    x = noise(1, 11, 2, 3)
    found = heads.gaussian_yolo(x, 1, 1.2)
    assert found[:, [0, 2]] == pytest.approx(logistic(x[:, [0, 2]]) * 1.2 - 0.1)
    assert (found[:, [4, 6]] == x[:, [4, 6]]).all()
    others = [1, 3, 5, 7, 8, 9, 10]
    assert (found[:, others] == logistic(x[:, others])).all()


def test_region_flat_has_the_anchors_of_a_cell_together() -> None:
    x = noise(1, 2 * 8, 2, 3)
    found = heads.region_flat(x, 2, True, []).reshape(2, 3, 2, 8)
    raw = x.reshape(2, 8, 2, 3)
    assert (found[1, 2, 1, :4] == raw[1, :4, 1, 2]).all()
    assert found[1, 2, 1, 4] == logistic(raw[1, 4:5, 1, 2])[0]
    assert found[..., 5:].sum(axis=-1) == pytest.approx(np.ones((2, 3, 2)))
    plain = heads.region_flat(x, 2, False, []).reshape(2, 3, 2, 8)
    assert (plain[1, 2, 1, 5:] == raw[1, 5:, 1, 2]).all()


def test_region_maps_stay_maps() -> None:
    x = noise(1, 2 * 8, 2, 3)
    raw = x.reshape(2, 8, 2, 3)
    found = heads.region_maps(x, 2, True, []).reshape(2, 8, 2, 3)
    assert (found[:, [0, 1, 4]] == logistic(raw[:, [0, 1, 4]])).all()
    assert (found[:, 2:4] == raw[:, 2:4]).all()
    assert found[:, 5:].sum(axis=1) == pytest.approx(np.ones((2, 2, 3)))
    plain = heads.region_maps(x, 2, False, []).reshape(2, 8, 2, 3)
    assert (plain[:, 5:] == logistic(raw[:, 5:])).all()


@pytest.mark.parametrize("rule", [heads.region_flat, heads.region_maps])
def test_region_with_a_tree_has_a_softmax_for_each_group(rule: Any) -> None:
    found = rule(noise(1, 8, 1, 1), 1, True, [1, 2]).ravel()
    assert found[5] == 1
    assert found[6:].sum() == pytest.approx(1)


def test_detection_has_a_softmax_for_each_place_if_asked() -> None:
    x = noise(1, 4 * (3 + 2 * 5), 1, 1)
    found = heads.detection(x, 4, 3, True)
    assert found[0, :12].reshape(4, 3).sum(axis=1) == pytest.approx(np.ones(4))
    assert (found[0, 12:] == x[0, 12:, 0, 0]).all()
    assert (heads.detection(x, 4, 3, False) == x.reshape(1, -1)).all()


def test_heads_do_not_change_their_input() -> None:
    x = noise(1, 11, 2, 3)
    before = x.copy()
    heads.yolo(x, 1, 1.1, False)
    heads.gaussian_yolo(x, 1, 1.1)
    heads.region_flat(x, 1, True, [])
    heads.region_maps(x, 1, True, [])
    heads.detection(x, 1, 3, True)
    assert (x == before).all()
