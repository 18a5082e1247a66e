"""Breaks long lines of written source the way ruff and black do, so that `model.py` needs no formatter."""

from __future__ import annotations

from itertools import pairwise

LIMIT = 120
OPEN, CLOSE = "([{", ")]}"


def laid_out(line: str) -> list[str]:
    """A statement with its indent as one line, or broken at its last pair of brackets where it is too long."""
    if len(line) <= LIMIT:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    if line.lstrip().startswith("return ") and _top_level_commas(line.lstrip()[7:]):
        line = f"{indent}return ({line.lstrip()[7:]})"
    start, end = _last_brackets(line)
    if end <= start + 1:
        return [line]
    targets, equals, value = line.strip().partition(" = ")
    if start > LIMIT and equals and ", " in targets:
        return [f"{indent}(", *(f"{indent}    {target}," for target in targets.split(", ")), f"{indent}) = {value}"]
    body, deeper = line[start + 1 : end], indent + "    "
    is_call = line[start - 1].isalnum() or line[start - 1] == "_"
    if len(deeper + body) <= LIMIT and is_call:  # what is no call is a literal, which gets a line for each element
        middle = [deeper + body]
    else:
        middle = [part for item in _items(body) for part in laid_out(f"{deeper}{item},")]
    return [line[: start + 1], *middle, indent + line[end:]]


def _last_brackets(line: str) -> tuple[int, int]:
    """The positions of the last opening bracket outside all others and of its end; (0, 0) where there is none."""
    depth, start, result = 0, 0, (0, 0)
    for position, character in _outside_strings(line):
        if character in OPEN:
            if depth == 0:
                start = position
            depth += 1
        elif character in CLOSE:
            depth -= 1
            if depth == 0:
                result = (start, position)
    return result


def _items(body: str) -> list[str]:
    """The parts of `body` between the commas outside brackets."""
    cuts = [-1, *_top_level_commas(body), len(body)]
    parts = [body[start + 1 : end].strip() for start, end in pairwise(cuts)]
    return [part for part in parts if part]


def _top_level_commas(text: str) -> list[int]:
    depth, commas = 0, []
    for position, character in _outside_strings(text):
        depth += (character in OPEN) - (character in CLOSE)
        if character == "," and depth == 0:
            commas.append(position)
    return commas


def _outside_strings(text: str) -> list[tuple[int, str]]:
    """The characters outside string literals, which are all in double quotes, with their positions."""
    result, inside, escaped = [], False, False
    for position, character in enumerate(text):
        if inside:
            inside, escaped = character != '"' or escaped, character == "\\" and not escaped
        elif character == '"':
            inside = True
        else:
            result.append((position, character))
    return result
