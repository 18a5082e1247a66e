"""Reports as JSON, saved and read back. The schema is `report.schema.json` beside this file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from zoo.base.errors import UsageError
from zoo.base.files import named_file
from zoo.verify.result import SCHEMA, Report

KIND = "zoo verify"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
T = TypeVar("T")


def to_json(reports: Sequence[Report]) -> str:
    """All reports of one command as one document. It has no date: the same result is the same text."""
    content = {"kind": KIND, "schema": SCHEMA, "reports": [dataclasses.asdict(report) for report in reports]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, reports: Sequence[Report]) -> None:
    """Save reports."""
    with named_file(path) as file:
        file.write(to_json(reports).encode())


def read_json(path: Path) -> list[Report]:
    """Read saved reports. Raises UsageError where the file is not one, or is of another schema."""
    try:
        content = json.loads(path.read_bytes())
        if content["kind"] != KIND or content["schema"] != SCHEMA:
            raise ValueError(f"kind {content['kind']!r}, schema {content['schema']!r}")
        return [_build(Report, report) for report in content["reports"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path}: not a saved result of schema {SCHEMA}: {error}", hint="save one with: zoo verify NAME --json FILE"
        ) from error


def _build(kind: type[T], content: dict[str, Any]) -> T:
    """A dataclass from its `asdict`. A missing or unknown key is an error."""
    hints = get_type_hints(kind)
    if not isinstance(content, dict) or set(content) != set(hints):
        raise ValueError(f"{kind.__name__} has the keys {sorted(content)}")
    return kind(**{name: _value(hint, content[name]) for name, hint in hints.items()})


def _value(hint: Any, content: Any) -> Any:
    """A field's value by its annotation: X | None, tuple[X, ...], a dataclass, or plain JSON."""
    if isinstance(hint, UnionType):
        return None if content is None else _value(next(a for a in get_args(hint) if a is not NoneType), content)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], entry) for entry in content)
    return _build(hint, content) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else content
