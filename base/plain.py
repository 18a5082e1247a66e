"""JSON → dataclasses, every value of the type that its field declares: what others wrote is not believed.

Knows str, int, float, bool, `X | None`, `int | str`, tuple[X, ...], dict[str, X], Any and dataclasses of these. A
number is never NaN, infinite or a bool, and a text never what cannot be encoded.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
# Type → how an error calls it. As in JSON, a whole number is a number.
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
LARGEST = {int: 2.0**63, float: sys.float_info.max}


def parse(text: bytes) -> Any:
    """A JSON document. Raises ValueError for what is none, NaN and Infinity included."""
    return json.loads(text, parse_constant=_refuse)


def build(kind: type[T], content: Any, where: str = "", *, complete: bool = False) -> T:
    """A dataclass from its `asdict`; fields that have a default may be missing unless `complete`.

    Raises ValueError that says `where` a key is missing or unknown, or a value is of another type.
    """
    declared: Any = kind
    hints = _hints(declared)
    found = checked(dict[str, Any], content, where)
    needed = {field.name for field in dataclasses.fields(declared) if complete or not _has_default(field)}
    for problem, names in (("has unknown keys", set(found) - set(hints)), ("lacks", needed - set(found))):
        if names:
            raise ValueError(f"{where or kind.__name__} {problem}: {', '.join(sorted(names))}")
    values = {
        name: checked(hints[name], value, f"{where}.{name}".lstrip("."), complete=complete)
        for name, value in found.items()
    }
    return kind(**values)


def checked(hint: Any, content: Any, where: str, *, complete: bool = False) -> Any:
    """The content as a value of this type; lists become tuples. Raises ValueError as `build` does."""
    if hint is Any:
        return content
    if isinstance(hint, UnionType):
        return _of_union(get_args(hint), content, where, complete)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, content, where, complete=complete)
    if get_origin(hint) is tuple:
        entries = _instance(list, "a list", content, where)
        inner = get_args(hint)[0]
        return tuple(checked(inner, entry, f"{where}[{n}]", complete=complete) for n, entry in enumerate(entries))
    if get_origin(hint) is dict:
        entries = _instance(dict, "an object", content, where)
        inner = get_args(hint)[1]
        return {name: checked(inner, entry, f"{where}.{name}", complete=complete) for name, entry in entries.items()}
    if not _is_plain(hint, content):
        raise ValueError(f"{where}: expected {WORDS[hint]}, found {_told(content)}")
    return content


def _of_union(kinds: tuple[Any, ...], content: Any, where: str, complete: bool) -> Any:
    """`X | None`, or one of several plain types."""
    fitting = [kind for kind in kinds if kind in WORDS and _is_plain(kind, content)]
    others = [kind for kind in kinds if kind is not NoneType]
    if not fitting and len(others) > 1:
        raise ValueError(f"{where}: expected {' or '.join(WORDS[kind] for kind in kinds)}, found {_told(content)}")
    return content if fitting else checked(others[0], content, where, complete=complete)


def _is_plain(kind: type, content: Any) -> bool:
    if kind is str and isinstance(content, str):
        content.encode()  # a ValueError for half a surrogate pair, which can be neither printed nor saved
    if kind not in LARGEST:
        return isinstance(content, kind)
    number = isinstance(content, (int, float) if kind is float else int) and not isinstance(content, bool)
    return number and abs(content) <= LARGEST[kind]


def _instance(kind: type, words: str, content: Any, where: str) -> Any:
    if not isinstance(content, kind):
        raise ValueError(f"{where or 'the document'}: expected {words}, found {_told(content)}")
    return content


def _told(content: Any) -> str:
    text = json.dumps(content)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
