"""The text of a Darknet cfg → sections and options with line numbers. Knows nothing of what they mean.

Darknet's own reader is followed: blanks and tabs vanish everywhere, also inside a value; `#` and `;` start a comment
only at the start of a line; a key without a value is dropped; of a duplicate key the first one counts; numbers end
where C's atoi and atof stop. Where Darknet would go on with nonsense (no number at all, a number that does not
fit in an int), this refuses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.errors import ConversionError

MAX_BYTES = 1 << 20  # the largest cfg of both repositories has 30 kB
MAX_LINES = 100_000
INT_LIMIT = 2**31 - 1

_BLANKS = str.maketrans("", "", " \t\r\n")
_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Option:
    """One `key=value`: the value as text, without blanks, and the line it stands on (1-based)."""

    key: str
    value: str
    line: int


@dataclass(frozen=True)
class Section:
    """One `[type]` with its options; `type` is without brackets, `line` is the line of the heading."""

    type: str
    line: int
    options: dict[str, Option] = field(default_factory=dict)


@dataclass(frozen=True)
class Cfg:
    """A parsed cfg. `warnings` name what Darknet accepts silently and a reader should know."""

    path: Path
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()

    def where(self, line: int) -> str:
        """`file:line`, as every message of this package begins."""
        return f"{self.path.name}:{line}"


def parse_cfg(path: Path) -> Cfg:
    """Read a cfg file. Raises ConversionError where it is missing, too large, binary, or has no sections."""
    text = _read(path)
    sections: list[Section] = []
    warnings: list[str] = []
    for number, line in _lines(path, text):
        if line[0] == "[":
            sections.append(Section(_heading(path, number, line), number))
        elif not sections:
            raise ConversionError(
                f"{path.name}:{number}: expected a section such as [net], found {line[:60]!r}",
                hint="is this a Darknet cfg? Its first section is [net]",
            )
        else:
            _add_option(path, number, line, sections[-1], warnings)
    if not sections:
        raise ConversionError(
            f"{path.name}: expected sections such as [net] and [convolutional], found none",
            hint="is this a Darknet cfg?" if text.strip() else "the file is empty: fetch it again",
        )
    return Cfg(path, tuple(sections), tuple(warnings))


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConversionError(
                f"{path.name}: expected a cfg of at most {MAX_BYTES} bytes, found {size}",
                hint="were the cfg and the weights given in the wrong order?",
            )
        content = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"cannot read the cfg {path}: {error.strerror}") from error
    if b"\0" in content:
        raise ConversionError(
            f"{path.name}: expected a text file, found binary data",
            hint="were the cfg and the weights given in the wrong order?",
        )
    if content.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ConversionError(f"{path.name}: expected a Darknet cfg, found an HTML page", hint="fetch the raw file")
    return content.decode("latin-1")


def _lines(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Number and content, without blanks, of each line that is neither empty nor a comment."""
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise ConversionError(f"{path.name}: expected a cfg of at most {MAX_LINES} lines, found {len(lines)}")
    for number, raw in enumerate(lines, 1):
        line = raw.translate(_BLANKS)
        if line and line[0] not in "#;":
            yield number, line


def _heading(path: Path, number: int, line: str) -> str:
    if not line.endswith("]"):
        raise ConversionError(f"{path.name}:{number}: expected a section heading such as [net], found {line[:60]!r}")
    return line[1:-1]


def _add_option(path: Path, number: int, line: str, section: Section, warnings: list[str]) -> None:
    key, equals, value = line.partition("=")
    if not equals:
        raise ConversionError(
            f"{path.name}:{number}: expected key=value in [{section.type}], found {line[:60]!r}",
            hint="a comment starts with # or ; at the start of the line",
        )
    if not value:
        return
    if key in section.options:
        warnings.append(
            f"{path.name}:{number}: {key} was already given on line {section.options[key].line}; the first one counts"
        )
    else:
        section.options[key] = Option(key, value, number)


def c_int(text: str) -> int | None:
    """C's atoi: the integer that `text` begins with. None where it begins with none, or with one beyond 32 bits."""
    match = _INT.match(text)
    if match is None or len(match[0]) > 11:
        return None
    value = int(match[0])
    return value if abs(value) <= INT_LIMIT else None


def c_float(text: str) -> float | None:
    """C's atof: the number that `text` begins with. None where it begins with none, or with one beyond float32."""
    match = _FLOAT.match(text)
    value = float(match[0]) if match else math.inf
    return value if abs(value) <= 3.4028234e38 else None


def c_list(text: str) -> list[str]:
    """The parts of a comma-separated value, up to an inline comment; a trailing comma adds no part."""
    parts = text.partition("#")[0].split(",")
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts
