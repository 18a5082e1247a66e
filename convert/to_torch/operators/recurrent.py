"""Recurrent layers, written out step by step: ONNX's gate order and options are not those of PyTorch's layers."""

from __future__ import annotations

from typing import Any

from zoo.convert.to_torch.operators.activation import float32
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Several, Use

ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}
DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}


@operator("RNN", "GRU", "LSTM", since=7)
def recurrent(use: Use) -> Several:
    op = use.node.op
    directions = 2 if use.attribute("direction", "forward") == "bidirectional" else 1
    names = use.attribute("activations", DEFAULTS[op] * directions)
    known = [ACTIVATIONS.get(str(name).lower()) for name in names]
    if None in known or len(known) != len(DEFAULTS[op]) * directions:
        use.refuse(f"its activations {list(names)} are not supported")
    states = [use.optional(position) for position in range(4, 8 if op == "LSTM" else 6)]
    options: dict[str, Any] = {
        "direction": _direction(use),
        "activations": tuple(str(name) for name in known),
        "clip": float32(use.attribute("clip", 0.0)),
        "batch_first": bool(use.attribute("layout", 0)),
    }
    if op == "GRU":
        options["linear_before_reset"] = bool(use.attribute("linear_before_reset", 0))
    if op == "LSTM" and use.attribute("input_forget", 0):
        use.refuse("coupled input and forget gates are not supported")
    arguments = [use.tensor(0), use.tensor(1), use.tensor(2), use.optional(3), *states]
    result = use.helper(op.lower(), *arguments, **options)
    return Several(result, 3 if op == "LSTM" else 2)


def _direction(use: Use) -> str:
    direction = use.attribute("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        use.refuse(f"its direction {direction!r} is unknown")
    return str(direction)
