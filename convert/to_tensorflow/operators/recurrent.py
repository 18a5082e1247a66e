"""RNN, GRU and LSTM: one tf.scan over time for each direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.operators.table import Call, operator

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "Affine": lambda x, alpha=1.0, beta=0.0: alpha * x + beta,
    "Elu": lambda x, alpha=1.0, _=0.0: tf.where(x > 0, x, alpha * tf.math.expm1(x)),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: tf.clip_by_value(alpha * x + beta, 0, 1),
    "LeakyRelu": lambda x, alpha=0.01, _=0.0: tf.nn.leaky_relu(x, alpha),
    "Relu": lambda x, *_: tf.nn.relu(x),
    "ScaledTanh": lambda x, alpha=1.0, beta=1.0: alpha * tf.tanh(beta * x),
    "Sigmoid": lambda x, *_: tf.sigmoid(x),
    "Softplus": lambda x, *_: tf.nn.softplus(x),
    "Softsign": lambda x, *_: tf.nn.softsign(x),
    "Tanh": lambda x, *_: tf.tanh(x),
    "ThresholdedRelu": lambda x, alpha=1.0, _=0.0: tf.where(x > alpha, x, 0.0),
}
WITH_ALPHA = {"Affine", "Elu", "HardSigmoid", "LeakyRelu", "ScaledTanh", "ThresholdedRelu"}
WITH_BETA = {"Affine", "HardSigmoid", "ScaledTanh"}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent layer: weights [input, gates · hidden], biases, peepholes and activations."""

    kernel: tf.Tensor
    recurrent: tf.Tensor
    bias: tf.Tensor
    recurrent_bias: tf.Tensor
    peephole: tf.Tensor
    activations: list[Callable[[Any], Any]]
    limit: float | None

    def clipped(self, x: tf.Tensor) -> tf.Tensor:
        return x if self.limit is None else tf.clip_by_value(x, -self.limit, self.limit)


@operator("RNN", "GRU", "LSTM", since=7)
def recurrent(call: Call, x: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
    kind, by_batch = call.node.op, call.attribute("layout", 0)
    x = tf.transpose(x, [1, 0, 2]) if by_batch else x
    direction = call.attribute("direction", "forward")
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    states = [call.tensor(5)] + ([call.tensor(6)] if kind == "LSTM" else [])
    if by_batch:
        states = [None if state is None else tf.transpose(state, [1, 0, 2]) for state in states]
    runs = [_run(call, x, index, reverse, states) for index, reverse in enumerate(backwards)]
    outputs = tf.stack([outputs for outputs, _ in runs], 1)
    finals = [tf.stack(parts, 0) for parts in zip(*(final for _, final in runs), strict=True)]
    if by_batch:
        return [tf.transpose(outputs, [2, 0, 1, 3]), *(tf.transpose(final, [1, 0, 2]) for final in finals)]
    return [outputs, *finals]


def _run(
    call: Call, x: tf.Tensor, index: int, reverse: bool, states: list[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """All steps of one direction: the outputs [time, batch, hidden] and the final states."""
    hidden = call.attribute("hidden_size") or call.tensor(2).shape[-1]
    lengths = tf.cast(call.tensor(4), tf.int32) if call.has(4) else tf.fill([tf.shape(x)[1]], tf.shape(x)[0])
    zeros = tf.zeros(tf.stack([tf.shape(x)[1], hidden]), x.dtype)
    start = [zeros if state is None else state[index] for state in states]
    step = STEPS[call.node.op]
    cell = _cell(call, index, hidden)

    def advance(before: list[tf.Tensor], given: tuple[tf.Tensor, tf.Tensor]) -> list[tf.Tensor]:
        current, time = given
        alive = (time < lengths)[:, None]
        after = step(call, cell, current, before[:-1])
        kept = [tf.where(alive, new, old) for new, old in zip(after, before[:-1], strict=True)]
        return [*kept, tf.where(alive, after[0], tf.zeros((), x.dtype))]

    ordered = tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1) if reverse else x
    history = tf.scan(advance, (ordered, tf.range(tf.shape(x)[0])), [*start, zeros])
    outputs = history[-1]
    if reverse:
        outputs = tf.reverse_sequence(outputs, lengths, seq_axis=0, batch_axis=1)
    return outputs, [state[-1] for state in history[:-1]]


def _cell(call: Call, index: int, hidden: int) -> Cell:
    gates = GATES[call.node.op]
    bias = call.weight(3, "bias")[index] if call.has(3) else tf.zeros([2 * gates * hidden], call.tensor(0).dtype)
    return Cell(
        kernel=tf.transpose(call.weight(1, "kernel")[index]),
        recurrent=tf.transpose(call.weight(2, "recurrent_kernel")[index]),
        bias=bias[: gates * hidden],
        recurrent_bias=bias[gates * hidden :],
        peephole=call.weight(7, "peephole")[index] if call.has(7) else None,
        activations=_activations(call, index),
        limit=call.attribute("clip"),
    )


def _activations(call: Call, index: int) -> list[Callable[[Any], Any]]:
    """The functions of one direction; ONNX lists them for all directions, and their numbers apart."""
    count = len(DEFAULTS[call.node.op])
    names = list(call.attribute("activations") or DEFAULTS[call.node.op] * 2)
    alphas, betas = list(call.attribute("activation_alpha") or []), list(call.attribute("activation_beta") or [])
    functions: list[Callable[[Any], Any]] = []
    for name in names:
        if name not in ACTIVATIONS:
            raise call.error(f"activation {name!r} is not known", f"one of: {', '.join(ACTIVATIONS)}")
        numbers = [alphas.pop(0)] if name in WITH_ALPHA and alphas else []
        if numbers and name in WITH_BETA and betas:
            numbers.append(betas.pop(0))
        functions.append(_with_numbers(ACTIVATIONS[name], numbers))
    return functions[index * count : (index + 1) * count]


def _with_numbers(function: Callable[..., Any], numbers: list[float]) -> Callable[[Any], Any]:
    return lambda x: function(x, *numbers)


def _rnn(_: Call, cell: Cell, x: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
    total = x @ cell.kernel + states[0] @ cell.recurrent + cell.bias + cell.recurrent_bias
    return [cell.activations[0](cell.clipped(total))]


def _gru(call: Call, cell: Cell, x: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gates in the order update, reset, hidden; `linear_before_reset` applies the reset after the product."""
    gate, candidate = cell.activations
    hidden = states[0].shape[-1]
    given = x @ cell.kernel + cell.bias
    kept = states[0] @ cell.recurrent[:, : 2 * hidden] + cell.recurrent_bias[: 2 * hidden]
    update, reset = tf.split(gate(cell.clipped(given[:, : 2 * hidden] + kept)), 2, -1)
    weights, bias = cell.recurrent[:, 2 * hidden :], cell.recurrent_bias[2 * hidden :]
    if call.attribute("linear_before_reset", 0):
        memory = reset * (states[0] @ weights + bias)
    else:
        memory = (reset * states[0]) @ weights + bias
    new = candidate(cell.clipped(given[:, 2 * hidden :] + memory))
    return [(1 - update) * new + update * states[0]]


def _lstm(call: Call, cell: Cell, x: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gates in the order input, output, forget, cell; peepholes in the order input, output, forget."""
    gate, candidate, output = cell.activations
    hidden, memory = states
    total = x @ cell.kernel + hidden @ cell.recurrent + cell.bias + cell.recurrent_bias
    into, out, forget, new = tf.split(total, 4, -1)
    peeps = [0.0, 0.0, 0.0] if cell.peephole is None else tf.split(cell.peephole, 3)
    let_in = gate(cell.clipped(into + peeps[0] * memory))
    keep = 1 - let_in if call.attribute("input_forget", 0) else gate(cell.clipped(forget + peeps[2] * memory))
    updated = keep * memory + let_in * candidate(cell.clipped(new))
    return [gate(cell.clipped(out + peeps[1] * updated)) * output(updated), updated]


STEPS: dict[str, Callable[..., list[Any]]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}
