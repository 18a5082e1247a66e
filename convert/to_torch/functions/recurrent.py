"""Recurrent networks step by step, in ONNX's order of gates: RNN; GRU z, r, h; LSTM i, o, f, c."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, tuple[Tensor, ...], int], tuple[Tensor, ...]]


def activate(x: Tensor, name: str, clip: float) -> Tensor:
    """An activation by name, its input clipped to ±clip where that is not 0."""
    x = x.clamp(-clip, clip) if clip else x
    if name == "tanh":
        return torch.tanh(x)
    return torch.sigmoid(x) if name == "sigmoid" else torch.relu(x)


def run_direction(
    x: Tensor, states: tuple[Tensor, ...], lengths: Tensor | None, backward: bool, step: Step, number: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One direction over x [T, N, I]: all outputs [T, N, H] and the last states; beyond a sequence's end, zeros."""
    outputs = []
    times = range(x.shape[0])
    for time in reversed(times) if backward else times:
        new = step(x[time], states, number)
        if lengths is not None:
            inside = (time < lengths).unsqueeze(1)
            states = tuple(torch.where(inside, a, b) for a, b in zip(new, states, strict=True))
            outputs.append(torch.where(inside, new[0], torch.zeros_like(new[0])))
        else:
            states = new
            outputs.append(new[0])
    return torch.stack(outputs[::-1] if backward else outputs), states


def run(
    x: Tensor,
    w: Tensor,
    hidden: int,
    lengths: Tensor | None,
    initial: tuple[Tensor | None, ...],
    direction: str,
    batch_first: bool,
    step: Step,
) -> tuple[Tensor, ...]:
    """All directions: outputs [T, D, N, H] and the last states [D, N, H] each, or batch first."""
    x = x.transpose(0, 1) if batch_first else x
    zeros = torch.zeros(x.shape[1], hidden, dtype=x.dtype, device=x.device)
    outputs, lasts = [], []
    for number in range(w.shape[0]):
        states = tuple(
            zeros if state is None else (state[:, number] if batch_first else state[number]) for state in initial
        )
        backward = direction == "reverse" or number == 1
        output, last = run_direction(x, states, lengths, backward, step, number)
        outputs.append(output)
        lasts.append(last)
    batch = 1 if batch_first else 0
    result = torch.stack(outputs, dim=1)
    result = result.permute(2, 0, 1, 3) if batch_first else result
    return result, *(torch.stack(state, dim=batch) for state in zip(*lasts, strict=True))


def rnn(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    direction: str,
    activations: tuple[str, ...],
    clip: float,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """ONNX's RNN: outputs and the last hidden state."""
    hidden = r.shape[2]

    def step(x: Tensor, states: tuple[Tensor, ...], number: int) -> tuple[Tensor, ...]:
        gate = x @ w[number].T + states[0] @ r[number].T
        if b is not None:
            gate = gate + b[number, :hidden] + b[number, hidden:]
        return (activate(gate, activations[number], clip),)

    return run(x, w, hidden, lengths, (h0,), direction, batch_first, step)


def gru(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    direction: str,
    activations: tuple[str, ...],
    clip: float,
    batch_first: bool,
    linear_before_reset: bool,
) -> tuple[Tensor, ...]:
    """ONNX's GRU: outputs and the last hidden state."""
    hidden = r.shape[2]

    def step(x: Tensor, states: tuple[Tensor, ...], number: int) -> tuple[Tensor, ...]:
        (h,) = states
        f, g = activations[2 * number : 2 * number + 2]
        xz, xr, xh = (x @ w[number].T).chunk(3, dim=1)
        rz, rr, rh = r[number].chunk(3)
        zeros = torch.zeros(6 * hidden, dtype=x.dtype, device=x.device)
        bz, br, bh, cz, cr, ch = (zeros if b is None else b[number]).chunk(6)
        z = activate(xz + h @ rz.T + bz + cz, f, clip)
        reset = activate(xr + h @ rr.T + br + cr, f, clip)
        inner = reset * (h @ rh.T + ch) if linear_before_reset else (reset * h) @ rh.T + ch
        candidate = activate(xh + inner + bh, g, clip)
        return ((1 - z) * candidate + z * h,)

    return run(x, w, hidden, lengths, (h0,), direction, batch_first, step)


def lstm(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    peepholes: Tensor | None,
    direction: str,
    activations: tuple[str, ...],
    clip: float,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """ONNX's LSTM: outputs, the last hidden state and the last cell state."""
    hidden = r.shape[2]

    def step(x: Tensor, states: tuple[Tensor, ...], number: int) -> tuple[Tensor, ...]:
        h, c = states
        f, g, out = activations[3 * number : 3 * number + 3]
        gates = x @ w[number].T + h @ r[number].T
        if b is not None:
            gates = gates + b[number, : 4 * hidden] + b[number, 4 * hidden :]
        gi, go, gf, gc = gates.chunk(4, dim=1)
        zeros = torch.zeros(3 * hidden, dtype=x.dtype, device=x.device)
        pi, po, pf = (zeros if peepholes is None else peepholes[number]).chunk(3)
        i = activate(gi + pi * c, f, clip)
        forget = activate(gf + pf * c, f, clip)
        c = forget * c + i * activate(gc, g, clip)
        o = activate(go + po * c, f, clip)
        return o * activate(c, out, 0.0), c

    return run(x, w, hidden, lengths, (h0, c0), direction, batch_first, step)
