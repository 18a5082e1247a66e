"""One step of Darknet's recurrent layers, on states that the caller keeps.

Pure functions on arrays [N, …]; a layer's matrices arrive as functions of one array ("input", "self", "wf", …), so
that connected and convolutional cells share the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.verify.reference.activations import logistic

Array = NDArray[np.floating[Any]]
Cells = Mapping[str, Callable[[Array], Array]]


def rnn_step(x: Array, state: Array, cells: Cells, keep: bool) -> tuple[Array, Array]:
    """(output, new state) of rnn and crnn: state = input(x) + self(state) (+ state if `keep`, the key shortcut=1)."""
    following = cells["input"](x) + cells["self"](state)
    if keep:
        following = following + state
    return cells["output"](following), following


def gru_step(x: Array, state: Array, cells: Cells, tanh: bool) -> tuple[Array, Array]:
    """(output, new state), which are the same; `u…` act on the input, `w…` on the state.

    The candidate is a logistic, unless P's key tanh=1 is set; the update gate weighs the *old* state.
    """
    update = logistic(cells["wz"](state) + cells["uz"](x))
    reset = logistic(cells["wr"](state) + cells["ur"](x))
    sum_ = cells["uh"](x) + cells["wh"](reset * state)
    candidate = np.tanh(sum_) if tanh else logistic(sum_)
    following = update * state + (1 - update) * candidate
    return following, following


def lstm_step(x: Array, hidden: Array, cell: Array, cells: Cells) -> tuple[Array, Array]:
    """(new hidden state, which is the output, and new cell state); `u…` act on the input, `w…` on the hidden state."""
    forget, enter, leave = (logistic(cells[f"w{gate}"](hidden) + cells[f"u{gate}"](x)) for gate in "fio")
    cell = cell * forget + enter * np.tanh(cells["wg"](hidden) + cells["ug"](x))
    return leave * np.tanh(cell), cell
