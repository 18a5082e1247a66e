"""A small, strict reading of YAML: mappings, lists and scalars with their lines, and nothing else.

Catalog files may come from strangers, so tags, anchors and aliases are refused (no objects, no alias bombs), as are
duplicate keys, deep nesting and files that are far too large. No value is interpreted here: a scalar stays text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from zoo.base.errors import UsageError

MAX_BYTES = 8 << 20
MAX_DEPTH = 20
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times as fast; both give the same events


@dataclass(frozen=True)
class Scalar:
    """A scalar as written; `plain` is False where it was quoted."""

    line: int
    text: str
    plain: bool


@dataclass(frozen=True)
class Sequence:
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Table:
    """A mapping; `entries` holds key → (line of the key, value)."""

    line: int
    entries: dict[str, tuple[int, Node]]


Node = Scalar | Sequence | Table


def fail(source: str, line: int, message: str, *, hint: str = "") -> NoReturn:
    """Raise UsageError with the place in the form editors understand: file:line."""
    raise UsageError(f"{source}:{line}: {message}", hint=hint)


def read_nodes(content: bytes, source: str) -> Table:
    """The one mapping that a catalog file holds. `source` is the name for messages. Raises UsageError with the line."""
    if len(content) > MAX_BYTES:
        fail(source, 1, f"a catalog of {len(content)} bytes; at most {MAX_BYTES} are read")
    try:
        node = _Reader(yaml.parse(content.decode("utf-8"), Loader=LOADER), source).document()
    except UnicodeDecodeError as error:
        fail(source, content[: error.start].count(b"\n") + 1, "this is not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fail(source, mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        fail(source, 1, f"not YAML: {error}")
    if not isinstance(node, Table):
        fail(source, node.line, "a catalog is a mapping that starts with 'schema: 1'")
    return node


class _Reader:
    """Builds nodes from the parser's events."""

    def __init__(self, events: Iterator[yaml.Event], source: str) -> None:
        self.events = events
        self.source = source

    def document(self) -> Node:
        node: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                if node is not None:
                    fail(self.source, _line(event), "a second document; one file holds one catalog")
                node = self.node(event, 0)
        return node or Table(1, {})

    def node(self, event: yaml.Event, depth: int) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            fail(self.source, line, "YAML anchors and aliases are not allowed in a catalog")
        if tag := getattr(event, "tag", None):
            fail(self.source, line, f"YAML tag {tag!r} is not allowed in a catalog")
        if depth > MAX_DEPTH:
            fail(self.source, line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, event.value, not event.style)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(line, tuple(self.until(yaml.SequenceEndEvent, depth)))
        return self.table(line, depth)

    def until(self, end: type[yaml.Event], depth: int) -> Iterator[Node]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield self.node(event, depth + 1)

    def table(self, line: int, depth: int) -> Table:
        entries: dict[str, tuple[int, Node]] = {}
        children = self.until(yaml.MappingEndEvent, depth)
        for key in children:
            value = next(children)
            if not isinstance(key, Scalar):
                fail(self.source, key.line, "a key must be a plain word")
            if key.text in entries:
                fail(self.source, key.line, f"duplicate {key.text!r}; the first is at line {entries[key.text][0]}")
            entries[key.text] = (key.line, value)
        return Table(line, entries)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
