"""The remembered order of axes never changes the values: every chain of moves agrees with NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, aligned, in_order, joined, logical, reshaped, transposed, unsqueezed

ORDERS = st.permutations(range(4))


def laid(array: np.ndarray, order: tuple[int, ...]) -> Laid:
    return Laid(tf.constant(array.transpose(order)), order)


@settings(deadline=None, max_examples=60)
@given(order=ORDERS, perm=ORDERS)
def test_transposed_then_logical_is_numpys_transpose(order: list[int], perm: list[int]) -> None:
    array = np.arange(2 * 3 * 1 * 5).reshape(2, 3, 1, 5)
    value = transposed(laid(array, tuple(order)), perm)
    assert value.shape == array.transpose(perm).shape
    assert np.array_equal(logical(value), array.transpose(perm))


@settings(deadline=None, max_examples=60)
@given(
    order=ORDERS, target=st.sampled_from([(2, 6, 4, 3), (12, 12), (2, 2, 3, 4, 3), (2, 72), (1, 2, 6, 4, 1, 3), (144,)])
)
def test_reshaped_is_numpys_reshape_in_every_order(order: list[int], target: tuple[int, ...]) -> None:
    array = np.arange(144).reshape(2, 6, 4, 3)
    value = reshaped(laid(array, tuple(order)), target, list(target))
    assert np.array_equal(logical(value), array.reshape(target))


@settings(deadline=None, max_examples=40)
@given(order=ORDERS, axes=st.sets(st.integers(0, 5), min_size=2, max_size=2))
def test_unsqueezed_is_numpys_expand_dims(order: list[int], axes: set[int]) -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert np.array_equal(
        logical(unsqueezed(laid(array, tuple(order)), sorted(axes))), np.expand_dims(array, tuple(axes))
    )


@pytest.mark.parametrize("shape", [(3, 1, 1), (4, 5), (5,), (), (2, 3, 1, 1), (1, 1, 1, 5)])
@pytest.mark.parametrize("is_constant", [True, False])
def test_aligned_values_broadcast_as_in_numpy(shape: tuple[int, ...], is_constant: bool) -> None:
    big = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    small = np.arange(int(np.prod(shape))).reshape(shape)
    other = small if is_constant else laid(small, tuple(range(len(shape))))
    (first, second), order = aligned([laid(big, (0, 2, 3, 1)), other])
    assert order == (0, 2, 3, 1)
    assert np.array_equal(logical(Laid(tf.add(first, second), order)), big + small)


def test_splitting_and_moving_a_channel_costs_nothing() -> None:
    """A YOLO head: N, 3·85, H, W → N, 3, H, W, 85 from a tensor that lies N, H, W, C."""

    def head(picture: tf.Tensor) -> tf.Tensor:
        value = reshaped(Laid(picture, (0, 2, 3, 1)), [None, 3, 7, 4, 4], [-1, 3, 7, 4, 4])
        return in_order(transposed(value, [0, 1, 3, 4, 2]), (0, 2, 3, 1, 4))

    kinds = [
        operation.type
        for operation in tf.function(head, autograph=False)
        .get_concrete_function(tf.TensorSpec([None, 4, 4, 21]))
        .graph.get_operations()
    ]
    assert kinds.count("Reshape") == 1
    assert "Transpose" not in kinds


def test_only_axes_of_one_element_move_by_a_reshape() -> None:
    vector = np.arange(6).reshape(2, 3, 1, 1)
    value = laid(vector, (0, 2, 3, 1))

    ordered = tf.function(lambda: logical(value), autograph=False)
    assert "Transpose" not in [operation.type for operation in ordered.get_concrete_function().graph.get_operations()]
    assert np.array_equal(ordered(), vector)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 0, 1, 2), (2, 3, 0, 1), (0, 3, 1, 2)])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_axes_are_joined_in_every_order(order: tuple[int, ...], first: int) -> None:
    array = np.arange(144).reshape(2, 6, 4, 3)
    assert np.array_equal(logical(joined(laid(array, order), first)), array.reshape(*array.shape[:first], -1))


def test_a_picture_of_any_size_becomes_a_line_without_moving() -> None:
    def as_line(picture: tf.Tensor) -> tf.Tensor:
        value = joined(Laid(picture, (0, 2, 3, 1)), 2)
        assert (value.order, value.tensor.shape.as_list()) == ((0, 2, 1), [None, None, 3])
        return value.tensor

    line = tf.function(as_line, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    assert line(tf.zeros([0, 4, 5, 3])).shape == (0, 20, 3)
    assert "Transpose" not in {operation.type for operation in line.get_concrete_function().graph.get_operations()}
