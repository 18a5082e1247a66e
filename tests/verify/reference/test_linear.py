"""The layers with weights against their definition, written out as loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.verify.reference.small import normal
from zoo.verify.reference import linear

Array = NDArray[np.floating[Any]]


def convolve_by_loops(
    x: Array, kernel: Array, stride: tuple[int, int], padding: int, dilation: int, groups: int
) -> Array:
    """One output value after the other."""
    images, _, height, width = x.shape
    filters, each, size, _ = kernel.shape
    span = dilation * (size - 1) + 1
    shape = [(length + 2 * padding - span) // step + 1 for length, step in zip((height, width), stride, strict=True)]
    output = np.zeros((images, filters, *shape))
    for n, f, i, j in itertools.product(*map(range, output.shape)):
        for c, a, b in itertools.product(range(each), range(size), range(size)):
            row = i * stride[0] - padding + a * dilation
            column = j * stride[1] - padding + b * dilation
            if 0 <= row < height and 0 <= column < width:
                source = f // (filters // groups) * each + c
                output[n, f, i, j] += kernel[f, c, a, b] * x[n, source, row, column]
    return output


@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation", "groups"),
    [
        (1, (1, 1), 0, 1, 1),
        (3, (1, 1), 1, 1, 1),
        (3, (2, 2), 1, 1, 2),
        (3, (1, 2), 0, 1, 1),
        (2, (1, 1), 1, 1, 4),
        (3, (1, 1), 2, 2, 1),
        (3, (2, 1), 4, 4, 2),
    ],
)
def test_convolution(size: int, stride: tuple[int, int], padding: int, dilation: int, groups: int) -> None:
    random = np.random.default_rng(1)
    x, kernel = normal(random, 2, 4, 6, 7), normal(random, 8, 4 // groups, size, size)
    expected = convolve_by_loops(x, kernel, stride, padding, dilation, groups)
    found = linear.convolve(x, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    assert found == pytest.approx(expected, abs=1e-12)


def test_convolution_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    x, kernel = normal(random, 1, 3, 9, 9), normal(random, 5, 3, 3, 3)
    whole = linear.convolve(x, kernel, padding=1)
    monkeypatch.setattr(linear, "BLOCK", 1)
    assert linear.convolve(x, kernel, padding=1) == pytest.approx(whole, abs=1e-14)


def test_deconvolution_is_the_transpose_of_convolution() -> None:
    """⟨conv(a), b⟩ = ⟨a, deconv(b)⟩ for every a and b."""
    random = np.random.default_rng(3)
    kernel = normal(random, 4, 2, 3, 3)
    a, b = normal(random, 1, 2, 9, 9), normal(random, 1, 4, 5, 5)
    forward = linear.convolve(a, kernel, stride=(2, 2), padding=1)
    back = linear.deconvolve(b, kernel, stride=2, padding=1)
    assert back.shape == a.shape
    assert np.vdot(forward, b) == pytest.approx(np.vdot(a, back))


@pytest.mark.parametrize(("dialect", "deviation"), [("alexey", np.sqrt(4.0 + 1e-5)), ("pj", 2.0 + 1e-6)])
def test_batch_norm_has_the_epsilon_of_its_dialect(dialect: linear.Dialect, deviation: float) -> None:
    x = np.full((1, 1, 1, 1), 7.0)
    mean, variance, scale, bias = (np.array([value], np.float32) for value in (1, 4, 3, 0.5))
    found = linear.batch_norm(x, mean, variance, scale, bias, dialect)
    assert found.item() == pytest.approx((7 - 1) / deviation * 3 + 0.5, rel=1e-15)


def test_binary_convolution() -> None:
    kernel = np.array([1.0, -3.0, 0.0, 4.0]).reshape(1, 1, 2, 2)
    assert linear.binarize_kernel(kernel).ravel().tolist() == [2, -2, -2, 2]
    assert linear.binarize_input(np.array([0.1, 0.0, -5.0])).tolist() == [1, -1, -1]


def test_blur_keeps_a_constant_inside_and_has_zeros_outside() -> None:
    x = np.ones((1, 2, 4, 4))
    assert linear.blur(x, 1, (2, 2))[0, 0].tolist() == [[9 / 16, 12 / 16], [12 / 16, 1]]
    assert linear.blur(x, 2, (2, 2))[0, 1].tolist() == [[1, 1], [1, 1]]


def test_connected_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    x, kernel = normal(random, 3, 2, 2, 2), normal(random, 5, 8)
    monkeypatch.setattr(linear, "BLOCK", 20)
    assert linear.connect(x, kernel) == pytest.approx(np.einsum("ni,oi->no", x.reshape(3, 8), kernel))


def test_local_has_a_kernel_for_each_place() -> None:
    random = np.random.default_rng(5)
    x, kernel = normal(random, 2, 3, 5, 5), normal(random, 3, 3, 4, 3, 3, 3)
    found = linear.locally_connect(x, kernel, stride=2, padding=1)
    for i, j in itertools.product(range(3), range(3)):
        shared = linear.convolve(x, kernel[i, j], stride=(2, 2), padding=1)
        assert found[:, :, i, j] == pytest.approx(shared[:, :, i, j])
