"""Reading a mapping of a catalog field by field: each value is checked for its kind, each key must be known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NoReturn, TypeVar

from zoo.catalog.yaml_nodes import Node, Scalar, Sequence, Table, fail

T = TypeVar("T")


class Fields:
    """One mapping of the catalog. Used as a context: on leaving it, a key that was never asked for is refused."""

    def __init__(self, node: Node, source: str, what: str) -> None:
        if not isinstance(node, Table):
            fail(source, node.line, f"{what} must be a mapping of keys to values")
        self.node = node
        self.source = source
        self.what = what
        self.asked: list[str] = []

    def __enter__(self) -> Fields:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            return
        for key, (line, _value) in self.node.entries.items():
            if key not in self.asked:
                close = difflib.get_close_matches(key, self.asked, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(self.asked))}"
                fail(self.source, line, f"unknown key {key!r} in {self.what}", hint=hint)

    def get(self, key: str) -> Node | None:
        """The value under `key`, or None. Asking makes the key a known one."""
        self.asked.append(key)
        entry = self.node.entries.get(key)
        return entry[1] if entry else None

    def need(self, key: str) -> Node:
        value = self.get(key)
        if value is None:
            fail(self.source, self.node.line, f"{self.what} needs the key {key!r}")
        return value

    def refuse(self, node: Node, key: str, expected: str) -> NoReturn:
        found = repr(node.text) if isinstance(node, Scalar) else "a list" if isinstance(node, Sequence) else "a mapping"
        fail(self.source, node.line, f"{key!r} of {self.what} must be {expected}, not {found}")

    def text(self, key: str, *, among: Iterable[str] | None = None) -> str:
        """Text that must be there, and one of `among` where that is given."""
        return self._text(self.need(key), key, among)

    def maybe_text(self, key: str, *, among: Iterable[str] | None = None) -> str:
        node = self.get(key)
        return "" if node is None else self._text(node, key, among)

    def _text(self, node: Node, key: str, among: Iterable[str] | None = None) -> str:
        if not isinstance(node, Scalar) or not node.text:
            self.refuse(node, key, "text")
        if among is not None and node.text not in among:
            self.refuse(node, key, f"one of {', '.join(among) or 'none'}")
        return node.text

    def integer(self, key: str) -> int | None:
        """A whole number above 0, or None where the key is not there."""
        node = self.get(key)
        if node is None:
            return None
        if not isinstance(node, Scalar) or not node.plain or not re.fullmatch(r"[1-9][0-9]{0,15}", node.text):
            self.refuse(node, key, "a whole number above 0")
        return int(node.text)

    def number(self, key: str) -> float:
        return self.as_number(self.need(key), key)

    def as_number(self, node: Node, key: str) -> float:
        if not isinstance(node, Scalar) or not node.plain or not re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", node.text):
            self.refuse(node, key, "a number")
        return float(node.text)

    def flag(self, key: str) -> bool:
        node = self.get(key)
        if node is None:
            return False
        if not isinstance(node, Scalar) or node.text not in ("true", "false"):
            self.refuse(node, key, "true or false")
        return node.text == "true"

    def items(self, key: str) -> tuple[Node, ...]:
        """The elements of a list; none where the key is not there."""
        node = self.get(key)
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self.refuse(node, key, "a list")
        return node.items

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._text(node, key) for node in self.items(key))

    def each(self, key: str, read: Callable[[Node], T]) -> tuple[T, ...]:
        return tuple(read(node) for node in self.items(key))
