"""The manifest of a converted model: `artifact.json`, which lies beside it and says what it was made from.

The manifest is what carries identity from fetch through convert to verify: hashes of the source files and of
the result, the options, the versions, and the inputs and outputs with their meaning. It is deterministic: no
date, no path of a machine. Verdicts are appended to it by verify.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.base.errors import UsageError
from zoo.base.files import atomic_file, sha256_of

SCHEMA = 1
MANIFEST = "artifact.json"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `shape` holds ints, or the name of a dynamic dimension, e.g. ("batch", 3, 416, 416).

    `original` is the name that the source has for it, where the format cannot hold that name; else it is "".
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str = ""
    original: str = ""


@dataclass(frozen=True)
class FileRecord:
    """A file by content: `role` is e.g. "cfg", "weights", "model"; `size` is in bytes.

    `name` has no folder, or, in a format that is a folder, the path inside the artifact with "/" between its parts.
    """

    role: str
    name: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, role: str, name: str = "") -> FileRecord:
        return cls(role, name or path.name, sha256_of(path), path.stat().st_size)


@dataclass(frozen=True)
class Artifact:
    """A converted model on disk. `folder` is where it lies and is not written to the manifest.

    `options` are the converter's, as asked; `detector` is what a program needs around the network: for Darknet
    models `resize` ("stretch" or "letterbox"), `nms_kind`, `beta_nms` and `box_format` ("cxcywh").
    """

    folder: Path
    name: str
    format: str
    family: str
    sources: tuple[FileRecord, ...]
    files: tuple[FileRecord, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    options: dict[str, Any] = field(default_factory=dict)
    detector: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdicts: tuple[dict[str, Any], ...] = ()

    @property
    def model(self) -> Path:
        """The file that a runtime opens."""
        return self.folder / next(record.name for record in self.files if record.role == "model")

    def write(self) -> Path:
        """Write the manifest into the artifact's folder; returns its path."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        del content["folder"]
        for entry in (*content["inputs"], *content["outputs"]):
            if not entry["original"]:
                del entry["original"]
        path = self.folder / MANIFEST
        with atomic_file(path) as file:
            file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")
        return path

    def is_intact(self) -> bool:
        """True where every file of the artifact has the size and hash that the manifest records."""
        return all(
            (self.folder / record.name).is_file()
            and FileRecord.of(self.folder / record.name, record.role, record.name) == record
            for record in self.files
        )


def read_artifact(folder: Path) -> Artifact:
    """Read the manifest in `folder`. Raises UsageError where it is missing, malformed or of another schema."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        if content.pop("schema") != SCHEMA:
            raise ValueError(f"not schema {SCHEMA}")
        for key, kind in (
            ("sources", FileRecord),
            ("files", FileRecord),
            ("inputs", TensorSpec),
            ("outputs", TensorSpec),
        ):
            content[key] = tuple(_build(kind, entry) for entry in content[key])
        for key in ("labels", "notes", "verdicts"):
            content[key] = tuple(content[key])
        return Artifact(folder=folder, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a manifest of zoo: {error}", hint="convert the model again: zoo convert … --to …"
        ) from error


def _build(kind: type[Any], entry: dict[str, Any]) -> Any:
    record = kind(**entry)
    if isinstance(record, FileRecord) and not _is_inside(record.name):
        raise ValueError(f"file name that leads out of the folder: {record.name!r}")
    return dataclasses.replace(record, shape=tuple(record.shape)) if isinstance(record, TensorSpec) else record


def _is_inside(name: str) -> bool:
    """True for a plain relative path: no "..", no root, no drive, no other system's separators."""
    parts = name.split("/")
    return all(part not in ("", ".", "..") for part in parts) and not set(name) & {"\\", ":", "\0"}
