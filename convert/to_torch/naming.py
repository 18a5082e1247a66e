"""Identifiers for what the program holds. Names of ONNX files are only hints: every identifier is made here.

An identifier has lower-case ASCII letters, digits and underscores, starts with a letter, is no keyword, no builtin and
no attribute of nn.Module, and is given out once.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from dataclasses import dataclass, field

from zoo.convert.onnx_graph.graph import Node
from zoo.convert.to_torch.code import VARIABLE, Code
from zoo.convert.to_torch.program import Assign, Block, Program

MAX_LENGTH = 60
PASSING = "x"  # a value that only the next line needs
RESERVED = {
    *(name.lower() for name in (*keyword.kwlist, *keyword.softkwlist, *dir(builtins))),
    *(
        "torch",
        "nn",
        "f",
        "tensor",
        "math",
        "json",
        "path",
        "self",
        "device",
        "dtype",
        "model",
        "load",
        "item",
        PASSING,
    ),
}


class Identifiers:
    """Gives out identifiers, each once."""

    def __init__(self, reserved: set[str]) -> None:
        self._taken = set(reserved)

    @classmethod
    def for_variables(cls, helpers: set[str]) -> Identifiers:
        return cls(RESERVED | helpers)

    @classmethod
    def for_layers(cls) -> Identifiers:
        import torch

        return cls(RESERVED | set(dir(torch.nn.Module())))

    def new(self, hint: str) -> str:
        """An identifier like `hint`, with a number where that one is taken."""
        base = identifier(hint)
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def identifier(hint: str) -> str:
    """`hint` in snake case, of ASCII letters, digits and underscores; "007_yolo.xy" is yolo_7_xy."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", hint)
    name = re.sub(r"[^0-9a-zA-Z]+", "_", words).strip("_").lower()
    name = re.sub(r"^0*(\d+)_?([a-z]*)", lambda match: f"{match[2] or 'value'}_{match[1]}", name)
    name = name[:MAX_LENGTH].strip("_")
    return name if name[:1].isalpha() else f"value_{name}".strip("_")


def node_hint(node: Node) -> str:
    """What to call a node's layer or result: the tail of its name, or its operator and index."""
    parts = [part for part in re.split(r"[/:;]", node.name) if re.search("[0-9a-zA-Z]", part)]
    return parts[-1] if parts else f"{node.op}_{node.index}"


def variable_names(program: Program) -> dict[Code, str]:
    """An identifier for each variable. A value that only the next statement needs is `x`, one that nobody needs `_`."""
    counts = count_uses(program)
    identifiers = Identifiers.for_variables(program.helpers)
    names = {variable: identifiers.new(_input_hint(program.hints[variable])) for variable in program.inputs}
    for variable, hint in program.hints.items():
        number = variable[1:]
        if variable in names:
            continue
        if not counts.uses[number]:
            names[variable] = "_"
        elif counts.uses[number] == counts.next_uses.get(number) and counts.stores[number] == 1:
            names[variable] = PASSING
        else:
            names[variable] = identifiers.new(hint)
    return names


def _input_hint(name: str) -> str:
    return f"{name}_in" if identifier(name) == PASSING else name


def count_uses(program: Program) -> Counts:
    """How often the program's variables are used, its `return` included."""
    counts = Counts()
    counts.add(program.statements)
    for output in program.outputs:
        counts.uses.update(VARIABLE.findall(output))
    return counts


def drop_unused(program: Program) -> None:
    """Remove assignments of which no target is ever used: their operators only compute."""
    while True:
        uses = count_uses(program).uses
        if not _drop(program.statements, uses):
            return


def _drop(body: list[Assign | Block], uses: Counter[str]) -> bool:
    """Remove unused assignments from `body` and the bodies in it; True where there were any."""
    kept = [s for s in body if isinstance(s, Block) or not s.targets or any(uses[t[1:]] for t in s.targets)]
    dropped = len(kept) < len(body)
    body[:] = kept
    return any([dropped, *(_drop(s.body, uses) for s in body if isinstance(s, Block))])


@dataclass
class Counts:
    """How often each variable is used and stored, and used in the statement after the one that made it."""

    uses: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    next_uses: dict[str, int] = field(default_factory=dict)

    def add(self, body: list[Assign | Block]) -> None:
        previous: Assign | None = None
        for statement in body:
            if isinstance(statement, Block):
                self.uses.update(VARIABLE.findall(statement.header))
                self.add(statement.body)
                previous = None
                continue
            here = Counter(VARIABLE.findall(statement.value))
            self.uses.update(here)
            self.stores.update(target[1:] for target in statement.targets)
            if previous is not None and len(previous.targets) == 1:
                number = previous.targets[0][1:]
                self.next_uses[number] = here[number]
            previous = statement
