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


def gru_step(x: Array, state: Array, cells: Cells, tanh: bool) -> Array:
    """The new state, which is the output; `i…` act on the input, `s…` on the state.

    The candidate is a logistic, unless P's key tanh=1 is set; the update gate weighs the *old* state.
    """
    update = logistic(cells["sz"](state) + cells["iz"](x))
    reset = logistic(cells["sr"](state) + cells["ir"](x))
    total = cells["ih"](x) + cells["sh"](reset * state)
    candidate = np.tanh(total) if tanh else logistic(total)
    return update * state + (1 - update) * candidate


def lstm_step(x: Array, hidden: Array, cell: Array, cells: Cells) -> tuple[Array, Array]:
    """(new hidden state, which is the output, and new cell state) of lstm and conv_lstm.

    `u…` act on the input, `w…` on the hidden state; with peepholes `vf` and `vi` on the old cell state, `vo` on the
    new one.
    """

    def gate(name: str, seen: Array) -> Array:
        total = cells[f"w{name}"](hidden) + cells[f"u{name}"](x)
        return total + cells[f"v{name}"](seen) if f"v{name}" in cells else total

    following = cell * logistic(gate("f", cell)) + logistic(gate("i", cell)) * np.tanh(gate("g", cell))
    output: Array = logistic(gate("o", following)) * np.tanh(following)
    return output, following
