"""Pooling, reorg, shortcut and the like against their definition, written out as loops or by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.verify.reference.small import normal
from zoo.verify.reference import spatial

Array = NDArray[np.floating[Any]]


def grid(channels: int, height: int, width: int) -> Array:
    """0, 1, 2, … in memory order."""
    return np.arange(channels * height * width, dtype=np.float64).reshape(1, channels, height, width)


def windows_by_loops(x: Array, size: int, stride: tuple[int, int], padding: int) -> list[list[list[float]]]:
    """For each output cell of the first map, the cells of its window that lie inside."""
    height, width = x.shape[2:]
    rows, columns = ((n + padding - size) // step + 1 for n, step in zip((height, width), stride, strict=True))
    inside = []
    for i, j in itertools.product(range(rows), range(columns)):
        top, left = i * stride[0] - padding // 2, j * stride[1] - padding // 2
        cells = itertools.product(range(top, top + size), range(left, left + size))
        inside.append([x[0, 0, a, b] for a, b in cells if 0 <= a < height and 0 <= b < width])
    return [inside[row * columns : (row + 1) * columns] for row in range(rows)]


POOLS = [(2, (2, 2), 1), (2, (1, 1), 1), (3, (1, 1), 2), (5, (1, 1), 4), (3, (2, 1), 0), (2, (2, 2), 0), (3, (2, 2), 3)]


@pytest.mark.parametrize(("size", "stride", "padding"), POOLS)
def test_pools(size: int, stride: tuple[int, int], padding: int) -> None:
    x = normal(np.random.default_rng(6), 1, 1, 5, 6)
    expected = windows_by_loops(x, size, stride, padding)
    greatest = [[max(cells) for cells in row] for row in expected]
    mean = [[sum(cells) / len(cells) for cells in row] for row in expected]
    assert spatial.max_pool(x, size, stride, padding)[0, 0] == pytest.approx(np.array(greatest))
    assert spatial.local_average_pool(x, size, stride, padding)[0, 0] == pytest.approx(np.array(mean))


def test_max_pool_size_2_stride_1_pads_right_and_below() -> None:
    assert spatial.max_pool(-grid(1, 2, 2), 2, (1, 1), 1).ravel().tolist() == [0, -1, -2, -3]


def test_max_pool_ignores_nan() -> None:
    assert spatial.max_pool(np.array([[[[np.nan, 2.0], [1.0, np.nan]]]]), 2, (2, 2), 0).item() == 2


def test_max_pool_over_channels_takes_every_nth() -> None:
    assert spatial.max_pool_channels(grid(5, 1, 1), 2).ravel().tolist() == [4, 3]


def test_average_pool_is_global() -> None:
    assert spatial.average_pool(grid(2, 2, 2)).tolist() == [[[[1.5]], [[5.5]]]]


def test_upsample_and_back() -> None:
    x = grid(2, 2, 3)
    large = spatial.upsample(x, 2, 0.5)
    assert large[0, 1, ::2].tolist() == [[3, 3, 3.5, 3.5, 4, 4], [4.5, 4.5, 5, 5, 5.5, 5.5]]
    assert (large[:, :, 1::2] == large[:, :, ::2]).all()
    assert (spatial.downsample(large, 2, 0.5) == x).all()  # four halves, summed, times a half


def reorg_by_loops(x: Array, block: tuple[int, int, int], stride: int, forward: bool) -> Array:
    """Darknet's index arithmetic over a `block` of (channels, height, width), on flat memory."""
    channels, height, width = block
    memory, output = x.ravel(), np.empty(x.size)
    kept = channels // stride**2
    for k, j, i in itertools.product(range(channels), range(height), range(width)):
        offset = k // kept
        column, row = i * stride + offset % stride, j * stride + offset // stride
        one = i + width * (j + height * k)
        other = column + width * stride * (row + height * stride * (k % kept))
        if forward:
            output[other] = memory[one]
        else:
            output[one] = memory[other]
    return output


@pytest.mark.parametrize("stride", [1, 2])
def test_reorg_scrambles_over_the_input_dimensions(stride: int) -> None:
    x = grid(8, 4, 6)
    down, up = spatial.reorg(x, stride, False), spatial.reorg(x, stride, True)
    assert down.shape == (1, 8 * stride**2, 4 // stride, 6 // stride)
    assert down.ravel().tolist() == reorg_by_loops(x, (8, 4, 6), stride, False).tolist()
    assert up.shape == (1, 8 // stride**2, 4 * stride, 6 * stride)
    assert up.ravel().tolist() == reorg_by_loops(x, (8, 4, 6), stride, True).tolist()


def test_reorg3d_is_space_to_depth_with_the_offset_major() -> None:
    x = grid(3, 4, 6)
    found = spatial.reorg3d(x, 2, False)
    expected = np.concatenate([x[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)], axis=1)
    assert (found == expected).all()
    y = grid(16, 2, 3)
    back = spatial.reorg3d(y, 2, True)
    assert back.shape == (1, 4, 4, 6)
    assert back.ravel().tolist() == reorg_by_loops(y, (4, 4, 6), 2, True).tolist()


def test_flatten_channels_reorders_memory_and_back() -> None:
    x = grid(2, 1, 3)
    flat = spatial.flatten_channels(x, False)
    assert flat.ravel().tolist() == [0, 3, 1, 4, 2, 5]
    assert (spatial.flatten_channels(flat, True) == x).all()


def test_crop_takes_the_centre_rounded_down() -> None:
    assert spatial.crop(grid(1, 4, 5), 1, 2, False).ravel().tolist() == [6, 7]
    assert spatial.crop(grid(1, 4, 5), 1, 2, True).ravel().tolist() == [11, 13]


def test_unit_channels() -> None:
    assert spatial.unit_channels(np.array([3.0, 4.0]).reshape(1, 2, 1, 1)).ravel() == pytest.approx([0.6, 0.8])


def test_local_response_never_adds_channel_size_half() -> None:
    """Window of size 3 over squares 1, 4, 9, 16: sums 1; 1 + 9; 1 + 9 − 1 + 16; 25 − 4."""
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    found = spatial.local_response(x, 3, 0.5, 0.75, 2.0).ravel()
    sums = np.array([1, 10, 25, 21])
    assert found == pytest.approx(x.ravel() * (2 + 0.5 * sums) ** -0.75)


def test_route_takes_the_group_of_each_input() -> None:
    found = spatial.route([grid(4, 1, 1), 10 + grid(2, 1, 1)], 2, 1)
    assert found.ravel().tolist() == [2, 3, 11]


def test_shortcut_adds_the_channels_that_both_have() -> None:
    x = grid(3, 1, 1)
    assert spatial.shortcut(x, [np.full((1, 2, 1, 1), 10.0)], None).ravel().tolist() == [10, 11, 2]
    assert spatial.shortcut(x, [np.full((1, 4, 1, 1), 10.0), x], None).ravel().tolist() == [10, 12, 14]
    assert x.ravel().tolist() == [0, 1, 2]


def test_weighted_shortcut() -> None:
    x, other = grid(2, 1, 1), np.full((1, 2, 1, 1), 10.0)
    assert spatial.shortcut(x, [other], np.array([[2.0], [0.5]])).ravel().tolist() == [5, 7]
    assert spatial.shortcut(x, [other], np.array([[2.0, 3.0], [0.5, 1.0]])).ravel().tolist() == [5, 13]


def test_weights_of_a_shortcut_as_deployed() -> None:
    weights = np.array([[3.0], [-1.0]])
    power = np.exp([0, -4])
    assert (spatial.normalize_shortcut(weights, "none") == weights).all()
    assert spatial.normalize_shortcut(weights, "relu").ravel() == pytest.approx(np.array([3, 0.001]) / 3.0011)
    assert spatial.normalize_shortcut(weights, "softmax").ravel() == pytest.approx(power / (power.sum() + 1e-4))


def test_shortcut_across_strides() -> None:
    """A larger map is subsampled, a smaller one scattered; alpha and beta act only where both have a cell."""
    x = np.ones((1, 1, 2, 2))
    assert spatial.shortcut_across_strides(x, grid(2, 4, 4), 2, 3).ravel().tolist() == [2, 8, 26, 32]
    large = np.ones((1, 2, 4, 4))
    found = spatial.shortcut_across_strides(large, 1 + grid(1, 2, 2), 2, 3)
    assert found[0, 0].tolist() == [[5, 1, 8, 1], [1, 1, 1, 1], [11, 1, 14, 1], [1, 1, 1, 1]]
    assert (found[0, 1] == 1).all()
