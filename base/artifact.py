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
from zoo.base.plain import build, checked, parse

SCHEMA = 1
MANIFEST = "artifact.json"
# Of `options`, `detector` and each verdict: key → type, of what is read again. All keys: artifact.schema.json.
OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("heads", "dialect", "pre", "post", "signature"), str),
    **dict.fromkeys(("batch", "width", "height", "layers"), int | None),
    **dict.fromkeys(("iou_threshold", "score_threshold"), float),
    "nms": bool,
    "max_detections": int,
}
NMS = {"iou_threshold", "score_threshold", "max_detections"}
SIZES, DIGITS = {"height", "width", "min_dimension", "max_dimension"}, 6  # of a resizer; as pipeline.config has them
VERDICT: dict[str, Any] = {**dict.fromkeys(("device", "runtime", "verdict", "reason"), str), "files": dict[str, str]}


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
class SuppressionRule:
    """The types of `detector["suppression"]`, which `zoo.vision.suppression` explains."""

    classes: int
    score: float
    iou: float
    limit_per_class: int
    limit: int
    clips: str


DETECTOR: dict[str, Any] = {
    **dict.fromkeys(("resize", "place", "coordinates", "nms_kind", "box_format", "architecture"), str),
    **dict.fromkeys(("classes", "num_classes", "first_class"), int),
    "beta_nms": float,
    "pad": tuple[float, ...],
    "white": float,
    "resizer": dict[str, Any],
    "suppression": SuppressionRule,
}


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
        content = parse(path.read_bytes())
        if checked(int, content.pop("schema"), "schema") != SCHEMA:
            raise ValueError(f"not schema {SCHEMA}")
        artifact = build(Artifact, dict(folder=folder, **content))
        _check(artifact)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a manifest of zoo: {error}", hint="convert the model again: zoo convert … --to …"
        ) from error
    return artifact


def _check(artifact: Artifact) -> None:
    """What the types of the fields do not say."""
    for record in (*artifact.sources, *artifact.files):
        if not _is_inside(record.name):
            raise ValueError(f"file name that leads out of the folder: {record.name!r}")
    if not any(record.role == "model" for record in artifact.files):
        raise ValueError("none of its files has the role model")
    tables = [("options", OPTIONS, artifact.options), ("detector", DETECTOR, artifact.detector)]
    tables += [(f"verdicts[{number}]", VERDICT, verdict) for number, verdict in enumerate(artifact.verdicts)]
    for name, types, told in tables:
        for key in types.keys() & told.keys():
            checked(types[key], told[key], f"{name}.{key}")
    if artifact.detector.get("first_class", 0) not in (0, 1):
        raise ValueError(f"detector.first_class: expected 0 or 1, found {artifact.detector['first_class']}")
    resizer = artifact.detector.get("resizer", {})
    for key in SIZES & resizer.keys():
        if not (text := str(resizer[key])).isdecimal() or len(text) > DIGITS:
            raise ValueError(f"detector.resizer.{key}: expected a size in pixels, found {resizer[key]!r}")
    if artifact.options.get("nms") and NMS - artifact.options.keys():
        raise ValueError(f"options.nms is true, which needs {', '.join(sorted(NMS))}")


def _is_inside(name: str) -> bool:
    """True for a plain relative path: no "..", no root, no drive, no other system's separators."""
    parts = name.split("/")
    return all(part not in ("", ".", "..") for part in parts) and not set(name) & {"\\", ":", "\0"}
