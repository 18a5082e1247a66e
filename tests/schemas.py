"""The JSON schemas that come with zoo, and what JSON breaks of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.conftest import ROOT

PRINTED = ROOT / "cli" / "printed.schema.json"
# File that zoo writes → its schema. With several formats the detections' files have the format in their names.
WRITTEN: Mapping[str, Path] = {
    "artifact.json": ROOT / "base" / "artifact.schema.json",
    "bench.json": ROOT / "pipeline" / "bench.schema.json",
    "detections*.json": ROOT / "detect" / "detections.schema.json",
    "detector.json": ROOT / "convert" / "to_opencv" / "detector.schema.json",
    "zoo.lock": ROOT / "catalog" / "lock.schema.json",
    # result.json, report.json: zoo verify writes to any name
    "re*.json": ROOT / "verify" / "reports" / "report.schema.json",
}


def schema(path: Path) -> dict[str, Any]:
    """The content of a schema's file."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def problems(content: object, path: Path, definition: str = "") -> list[str]:
    """What JSON breaks of the schema in a file, or of one of its definitions: where, and what."""
    whole = schema(path)
    asked = {**whole, "anyOf": [{"$ref": f"#/$defs/{definition}"}]} if definition else whole
    return [f"{error.json_path}: {error.message[:300]}" for error in Draft202012Validator(asked).iter_errors(content)]


def problems_in(folder: Path) -> Iterator[str]:
    """What the files below a folder break of their schemas."""
    for name, path in WRITTEN.items():
        for file in folder.rglob(name):
            yield from (f"{file}: {problem}" for problem in problems(json.loads(file.read_bytes()), path))
