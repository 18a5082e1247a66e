"""The description of the API, as OpenAPI 3.1. The server's routes are tested against it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from zoo.pipeline.models import RUNNABLE

PICTURES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")


def describe(limit: int) -> dict[str, Any]:
    """The document; `limit` is the largest picture in bytes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zoo view",
            "version": version("detector-zoo"),
            "description": "What the models of the zoo see, on this machine. Every error is a JSON object `error`.",
        },
        "paths": {
            "/v1/models": {
                "get": {
                    "operationId": "models",
                    "summary": "The models, those that are on this machine first",
                    "responses": {"200": _json("The models", {"type": "array", "items": _ref("Model")}), **_errors()},
                }
            },
            "/v1/models/{name}/verdicts": {
                "get": {
                    "operationId": "verdicts",
                    "summary": "The verdicts of zoo verify on what was converted from a model",
                    "parameters": [
                        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
                    ],
                    "responses": {
                        "200": _json("The verdicts", {"type": "array", "items": {"type": "object"}}),
                        **_errors("404"),
                    },
                }
            },
            "/v1/detect": {
                "post": {
                    "operationId": "detect",
                    "summary": "What a model sees in a picture, in one format or in several",
                    "description": f"The body is the picture itself, at most {limit} bytes.",
                    "parameters": [
                        _query("model", {"type": "string"}, required=True),
                        _query("formats", {"type": "string", "default": "onnx", "examples": [",".join(RUNNABLE)]}),
                        _query("threshold", {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25}),
                        _query("iou", {"type": "number", "minimum": 0, "maximum": 1, "default": 0.45}),
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES},
                    },
                    "responses": {
                        "200": _json("The detections", _ref("Detected")),
                        **_errors("400", "404", "409", "411", "413", "415", "422", "501", "503"),
                    },
                }
            },
        },
        "components": {"schemas": SCHEMAS},
    }


MEANINGS = {
    "400": "A parameter is wrong",
    "403": "Asked by another site's page, or under another host name",
    "404": "No such model",
    "409": "The model's files are not on this machine: zoo fetch it first",
    "411": "The length of the body is missing",
    "413": "The picture is too large",
    "415": "The body is not said to be a picture",
    "422": "The body is no picture that can be read",
    "501": "What runs this format is not installed",
    "503": "Too many requests at a time",
}


def _errors(*codes: str) -> dict[str, Any]:
    return {code: _json(MEANINGS[code], _ref("Error")) for code in sorted(("403", *codes))}


def _json(what: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _with_optional(optional: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema = _object(**properties)
    return {**schema, "properties": {**properties, **optional}}


TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
# Of models that give masks; it is the only thing that an answer may lack.
MASK = _object(size={"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}, counts=TEXT)
MASK["description"] = "COCO's compressed run lengths on the whole picture; size is height, width"
SCHEMAS: dict[str, Any] = {
    "Error": _object(error=_object(status={"type": "integer"}, message=TEXT, hint=TEXT)),
    "Model": _object(name=TEXT, family=TEXT, task=TEXT, here=FLAG),
    "Detection": _with_optional(
        {"segmentation": MASK},
        label=TEXT,
        **{"class": {"type": "integer"}},
        score=NUMBER,
        box={
            "type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4,
            "description": "left, top, width, height, relative to the picture",
        },
        colour=TEXT,
        differs=FLAG,
    ),
    "Result": _object(
        format=TEXT,
        runtime=TEXT,
        device=TEXT,
        seconds=_object(prepare=NUMBER, inference=NUMBER, finish=NUMBER),
        same=FLAG,
        finding=TEXT,
        verdicts={"type": "array", "items": {"type": "object"}},
        detections={"type": "array", "items": _ref("Detection")},
    ),
    "Detected": _object(
        model=TEXT,
        picture=_object(width={"type": "integer"}, height={"type": "integer"}),
        threshold=NUMBER,
        iou=NUMBER,
        results={"type": "array", "items": _ref("Result")},
    ),
}  # fmt: skip
