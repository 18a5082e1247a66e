"""The JSON schema that the result classes imply; `report.schema.json` must be it. Run this file to write it anew."""

from __future__ import annotations

import dataclasses
import json
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from zoo.verify.reports.as_json import KIND, SCHEMA_FILE
from zoo.verify.result import SCHEMA, Report

PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> dict[str, Any]:
    """The whole schema."""
    definitions: dict[str, Any] = {}
    items = _type(Report, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What zoo verify found",
        "type": "object",
        "required": ["kind", "schema", "reports"],
        "additionalProperties": False,
        "properties": {
            "kind": {"const": KIND},
            "schema": {"const": SCHEMA},
            "reports": {"type": "array", "items": items},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(hint, UnionType):
        kinds = [{"type": "null"} if kind is NoneType else _type(kind, definitions) for kind in get_args(hint)]
        return {"anyOf": kinds}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(get_args(hint)[0], definitions)}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _type(get_args(hint)[1], definitions)}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if hint.__name__ not in definitions:
        definitions[hint.__name__] = {}
        definitions[hint.__name__] = _object(hint, definitions)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    hints = get_type_hints(kind)
    properties = {name: _type(hints[name], definitions) for name in names}
    if "verdict" in properties:
        properties["verdict"] = {"enum": ["pass", "fail", "inconclusive"]}
    about = " ".join(kind.__doc__.split())  # the units of its fields are there
    return {
        "description": about,
        "type": "object",
        "required": names,
        "additionalProperties": False,
        "properties": properties,
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=1) + "\n")
