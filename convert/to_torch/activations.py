"""Activations as an engineer writes them: what exporters spell out is one layer, and may overwrite what it is given.

Overwriting saves memory and its traffic. It is safe in training too: no gradient of a convolution, a linear layer or a
batch normalisation needs its result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from zoo.convert.to_torch.code import VARIABLE, Code
from zoo.convert.to_torch.naming import count_uses
from zoo.convert.to_torch.program import Assign, Block, Layer, Program

# Statements in a row, with layers as they are made and variables in the order in which they appear → one layer.
SPELLED_OUT: dict[tuple[str, ...], str] = {
    ("$1 = nn.Sigmoid()($0)", "$2 = $0 * $1"): "silu",
    ("$1 = nn.Sigmoid()($0)", "$2 = $1 * $0"): "silu",
    ("$1 = nn.Softplus()($0)", "$2 = nn.Tanh()($1)", "$3 = $0 * $2"): "mish",
    (
        "$1 = nn.Sigmoid()($0)",  # tanh(log(1 + eˣ)) = p / (2 − p), p = s · (2 − s), s = sigmoid(x)
        "$2 = 2.0 - $1",
        "$3 = $1 * $2",
        "$4 = 2.0 - $3",
        "$5 = $3 / $4",
        "$6 = $0 * $5",
    ): "mish",
}
LAYERS = {"silu": Code("nn.SiLU()"), "mish": Code("nn.Mish()")}
OVERWRITTEN = ("nn.Conv", "nn.BatchNorm", "nn.Linear")
INPLACE = ("nn.CELU(", "nn.ELU(", "nn.Hardswish(", "nn.LeakyReLU(", "nn.Mish(", "nn.ReLU(", "nn.ReLU6(", "nn.SiLU(")
APPLIED = re.compile(r"self\.(\w+)\((\$\d+)\)")


def tidy_activations(program: Program) -> None:
    """Put one layer for what is spelled out, and mark `inplace` what may overwrite its input."""
    uses = count_uses(program).uses
    for body in _bodies(program.statements):
        for pattern, kind in SPELLED_OUT.items():
            _write_layer(program, body, pattern, kind, uses)
    program.layers = {layer.name: layer for layer in program.layers.values()}
    uses = count_uses(program).uses
    for body in _bodies(program.statements):
        _overwrite(program, body, uses)


def _bodies(body: list[Assign | Block]) -> Iterator[list[Assign | Block]]:
    yield body
    for statement in body:
        if isinstance(statement, Block):
            yield from _bodies(statement.body)


def _write_layer(
    program: Program, body: list[Assign | Block], pattern: tuple[str, ...], kind: str, uses: Counter[str]
) -> None:
    """Replace every occurrence of `pattern` in `body` whose results on the way nobody else uses."""
    start = 0
    while start + len(pattern) <= len(body):
        layer, variable = _applied(program, body[start])
        window = body[start : start + len(pattern)]
        last = window[-1]
        start += 1
        if layer is None or not isinstance(last, Assign) or f"{layer.constructor}($0)" not in pattern[0]:
            continue
        if _spelled(program, window) == pattern and _is_closed(window, uses):
            made = _named(program, layer, kind)
            body[start - 1 : start - 1 + len(pattern)] = [replace(last, value=Code(f"{made.code}({variable})"))]


def _spelled(program: Program, window: list[Assign | Block]) -> tuple[str, ...] | None:
    """The statements in the form of `SPELLED_OUT`."""
    numbers: dict[str, str] = {}
    lines = []
    for statement in window:
        if not isinstance(statement, Assign) or len(statement.targets) != 1:
            return None
        layer, variable = _applied(program, statement)
        value = f"{layer.constructor}({variable})" if layer else statement.value
        line = (value, statement.targets[0])
        value, target = (
            VARIABLE.sub(lambda match: numbers.setdefault(match[0], f"${len(numbers)}"), text) for text in line
        )
        lines.append(f"{target} = {value}")
    return tuple(lines)


def _is_closed(window: list[Assign | Block], uses: Counter[str]) -> bool:
    """True where the results of all statements but the last are used in `window` only."""
    inside: Counter[str] = Counter()
    for statement in window:
        inside.update(VARIABLE.findall(statement.value) if isinstance(statement, Assign) else ())
    made = [target[1:] for statement in window[:-1] if isinstance(statement, Assign) for target in statement.targets]
    return all(inside[variable] == uses[variable] for variable in made)


def _overwrite(program: Program, body: list[Assign | Block], uses: Counter[str]) -> None:
    for before, after in pairwise(body):
        made, _ = _applied(program, before)
        activation, variable = _applied(program, after)
        if made is None or activation is None or not made.constructor.startswith(OVERWRITTEN):
            continue
        is_last_use = isinstance(before, Assign) and before.targets == (variable,) and uses[variable[1:]] == 1
        if is_last_use and activation.constructor.startswith(INPLACE):
            arguments = activation.constructor[:-1]
            comma = "" if arguments.endswith("(") else ", "
            constructor = Code(f"{arguments}{comma}inplace=True)")
            program.layers[activation.name] = replace(activation, constructor=constructor)


def _applied(program: Program, statement: Assign | Block) -> tuple[Layer | None, Code]:
    """The layer of which `statement` is a call, and the variable that it is given."""
    found = APPLIED.fullmatch(statement.value) if isinstance(statement, Assign) else None
    return (program.layers.get(found[1]), Code(found[2])) if found else (None, Code(""))


def _named(program: Program, layer: Layer, kind: str) -> Layer:
    """The layer `kind` in the place of `layer`, which was the first of those that spelled it out."""
    name = re.sub(r"_(sigmoid|softplus)(?=(_\d+)?$)", f"_{kind}", layer.name)
    made = Layer(layer.name if name in program.layers else name, LAYERS[kind], {})
    program.layers[layer.name] = made
    return made
