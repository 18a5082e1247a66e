"""Reads the text files of the Object Detection API: what zoo needs of `pipeline.config`, and label maps.

Both are protobuf text files. They are read as nested dictionaries, without their schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.base.errors import ConversionError

TOKEN = re.compile(r"""\s*(?:\#[^\n]*\n\s*)*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{}:\[\],;<>]|[^\s{}:\[\],;<>"'#]+)""")
MAX_LABELS = 100_000
NO_TEXT = "the file is cut short, or no protobuf text file: fetch or export it again"


def parse_text(text: str, source: str) -> dict[str, list[Any]]:
    """Every field as the list of its values, in order. Raises ConversionError where brackets do not match."""
    return _message(iter(TOKEN.findall(text)), source, nested=False)


def _message(tokens: Iterator[str], source: str, *, nested: bool = True) -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {}
    for name in tokens:
        if name in "}>":
            if nested:
                return fields
            raise ConversionError(f"{source}: a bracket closes that was never opened", hint=NO_TEXT)
        if name in ",;":
            continue
        value = next(tokens, None)
        if value == ":":
            value = next(tokens, None)
        if value is None:
            raise ConversionError(f"{source}: the field {name!r} has no value", hint=NO_TEXT)
        if value in ("{", "<"):
            fields.setdefault(name, []).append(_message(tokens, source))
        elif value == "[":
            fields.setdefault(name, []).extend(_list(tokens))
        else:
            fields.setdefault(name, []).append(_text(value))
    if nested:
        raise ConversionError(f"{source}: a bracket is never closed", hint=NO_TEXT)
    return fields


def _list(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        if token == "]":
            return
        if token != ",":
            yield _text(token)


def _text(token: str) -> str:
    return token[1:-1] if token[:1] in "\"'" else token


def read_labels(path: Path) -> tuple[str, ...]:
    """The names of a label map, the name of class 1 first; "" for numbers that have none (COCO has ten)."""
    names = {}
    for item in parse_text(path.read_text(encoding="utf-8"), str(path)).get("item", []):
        name = (item.get("display_name") or item.get("name") or [""])[0]
        try:
            names[int(item["id"][0])] = name
        except (KeyError, ValueError, TypeError) as error:
            raise ConversionError(f"{path}: an item has no number as its id", hint="see label_map.proto") from error
    if any(not 0 < number <= MAX_LABELS for number in names):
        names = {number: name for number, name in names.items() if 0 < number <= MAX_LABELS}
    return tuple(names.get(number, "") for number in range(1, max(names, default=0) + 1))


def read_pipeline(path: Path) -> dict[str, Any]:
    """The kind of the model, its classes and how it resizes: {"architecture", "num_classes", "resizer"}."""
    models = parse_text(path.read_text(encoding="utf-8"), str(path)).get("model", [])
    if not models or not models[0]:
        return {}
    architecture, (settings, *_) = next(iter(models[0].items()))
    facts: dict[str, Any] = {"architecture": architecture}
    if "num_classes" in settings:
        facts["num_classes"] = int(settings["num_classes"][0])
    resizer = settings.get("image_resizer", [{}])[0]
    for kind, (values, *_) in resizer.items():
        facts["resizer"] = {"kind": kind, **{key: entry[0] for key, entry in values.items()}}
    return facts
