"""One step of each recurrent layer, on single numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.verify.reference.recurrent import gru_step, lstm_step, rnn_step

Array = NDArray[np.floating[Any]]


def times(**factors: float) -> dict[str, Any]:
    """Cells that multiply by a number each."""
    return {name: lambda x, factor=factor: x * factor for name, factor in factors.items()}


def number(value: float) -> Array:
    return np.array([[value]])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(("keep", "state"), [(False, 2 * 3 + 5 * 7), (True, 2 * 3 + 5 * 7 + 5)])
def test_rnn(keep: bool, state: float) -> None:
    output, following = rnn_step(number(3), number(5), times(input=2, self=7, output=10), keep)
    assert (output.item(), following.item()) == (10 * state, state)


@pytest.mark.parametrize("tanh", [False, True])
def test_gru_weighs_the_old_state_with_the_update_gate(tanh: bool) -> None:
    cells = times(iz=0.1, ir=0.2, ih=0.3, sz=0.4, sr=0.5, sh=0.6)
    update, reset = sigmoid(0.1 * 2 + 0.4 * 3), sigmoid(0.2 * 2 + 0.5 * 3)
    candidate = (math.tanh if tanh else sigmoid)(0.3 * 2 + 0.6 * reset * 3)
    expected = update * 3 + (1 - update) * candidate
    assert gru_step(number(2), number(3), cells, tanh).item() == pytest.approx(expected)


def test_lstm_and_its_peepholes() -> None:
    plain = {f"{kind}{gate}": factor for kind, factor in (("w", 0.1), ("u", 0.2)) for gate in "figo"}
    x, hidden, cell = 2.0, 3.0, 0.5
    total = 0.1 * hidden + 0.2 * x
    following = cell * sigmoid(total) + sigmoid(total) * math.tanh(total)
    output = sigmoid(total) * math.tanh(following)
    found = lstm_step(number(x), number(hidden), number(cell), times(**plain))
    assert [value.item() for value in found] == pytest.approx([output, following])

    following = cell * sigmoid(total + cell) + sigmoid(total + 2 * cell) * math.tanh(total)
    output = sigmoid(total + 3 * following) * math.tanh(following)
    found = lstm_step(number(x), number(hidden), number(cell), times(**plain, vf=1, vi=2, vo=3))
    assert [value.item() for value in found] == pytest.approx([output, following])
