"""The statistics of a comparison, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.verify.tensors import Difference, compare


def test_statistics() -> None:
    truth = np.array([[3.0, -4.0], [0.0, 0.0]])
    found = np.array([[3.0, -4.5], [0.0, 0.1]], np.float32)
    d = compare(found, truth)
    assert d.max == 0.5
    assert d.mean == pytest.approx((0.5 + 0.1) / 4)
    assert d.rms == pytest.approx(math.sqrt((0.25 + 0.01) / 4))
    assert d.relative == pytest.approx(0.5 / 4)
    assert d.cosine == pytest.approx((9 + 18) / (5 * math.sqrt(9 + 20.25 + 0.01)))
    assert d.snr_db == pytest.approx(10 * math.log10(25 / 0.26))
    assert (d.index, d.expected, d.found) == ((0, 1), -4.0, -4.5)


def test_equal_tensors_have_no_error_and_no_ratio() -> None:
    truth = np.arange(6.0).reshape(1, 6)
    d = compare(truth.astype(np.float32), truth)
    assert (d.max, d.rms, d.p999) == (0, 0, 0)
    assert d.snr_db is None
    assert d.cosine == pytest.approx(1)


def test_p999_leaves_out_the_thousandth_part() -> None:
    truth = np.zeros(10_000)
    found = truth.copy()
    found[:5] = 1.0
    assert compare(found, truth).p999 == 0
    found[:50] = 1.0
    assert compare(found, truth).p999 == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_counted_and_never_compared(bad: float) -> None:
    """What overflows where the truth does, in the same direction, is no fault; it is no proof, either."""
    both = np.array([1.0, bad])
    assert compare(both, both).not_finite == int(np.isnan(bad))
    assert compare(-both, both).not_finite == 1
    assert compare(both, both).truth_not_finite == 1
    found = compare(both, np.array([1.0, 2.0]))
    assert (found.not_finite, found.index, found.expected, found.found) == (1, (1,), 2.0, None)
    assert compare(np.array([1.0, 2.0]), both).truth_not_finite == 1


def test_another_shape_or_type_is_a_problem_in_words() -> None:
    assert compare(np.zeros((1, 2)), np.zeros((2, 1))).problem == "shape 1×2, expected 2×1"
    assert "type" in compare(np.array(["a"]), np.array([1.0])).problem
    assert compare(np.zeros((1, 0)), np.zeros((1, 0))) == Difference(0)


def test_integers_are_compared_without_wrapping() -> None:
    assert compare(np.array([0], np.uint8), np.array([255], np.uint8)).max == 255
