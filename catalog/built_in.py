"""zoo's own catalog, read model by model when one is asked for.

Reading all its models takes longer than a whole fetch of what is there already. A user's catalog is read and checked
whole; ours is so in the tests, which also compare both ways of reading. That needs its layout to stay as it is: each
model begins with two blanks, its name and a colon, alone on a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from zoo.catalog.cards import Card
from zoo.catalog.schema import Contract, read_catalog_file

PATH = Path(__file__).resolve().parent.parent / "zoo.yaml"
SHOWN = "zoo.yaml (built in)"  # its name in messages
HEAD = "schema: 1\nmodels:\n"
MODEL = re.compile(r"^  ([^\s#][^\s]*):$", re.MULTILINE)

Reader = Callable[[], Card]


def built_in_models() -> tuple[dict[str, Reader], dict[str, Contract]]:
    """Name → what reads its card, in the order of the file; and the contracts that the models use."""
    text = PATH.read_text(encoding="utf-8")
    start = text.index("\nmodels:\n") + len("\nmodels:\n")
    contracts = read_catalog_file(text[:start].removesuffix("models:\n").encode(), SHOWN, {}).contracts
    found = list(MODEL.finditer(text, start))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        match[1]: _reader(match[1], text[match.start() : end], text.count("\n", 0, match.start()) + 1, contracts)
        for match, end in zip(found, ends, strict=True)
    }, contracts


def _reader(name: str, entry: str, line: int, contracts: dict[str, Contract]) -> Reader:
    """What reads the text of one model, which begins at `line` of the file."""
    padding = "\n" * (line - 1 - HEAD.count("\n"))  # so that messages name the right line

    def read() -> Card:
        return read_catalog_file((HEAD + padding + entry).encode(), SHOWN, contracts).cards[name]

    return read
