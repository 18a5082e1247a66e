"""What is converted: a model of the catalog or the user's own files, under one name. Finds files, reads no model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo.base.artifact import MANIFEST, Artifact, FileRecord, read_artifact
from zoo.base.errors import UsageError
from zoo.catalog import Card, Catalog, Store, load_catalog
from zoo.convert.from_tensorflow.source import find_source
from zoo.fetch import fetch

LABELS_LIMIT = 1 << 22  # bytes of a label file; the longest known one (9,418 classes) has 120 kB


@dataclass(frozen=True)
class Source:
    """Original files by role: "cfg" and "weights" of a Darknet model; "model" of the families "tensorflow" and "onnx".

    `key` is "" for a model of the catalog; for the user's own files it is made of their content (and of what the
    manifest beside an ONNX file tells), so that two files of the same name are two sources.
    """

    name: str
    family: str
    files: Mapping[str, Path]
    labels: tuple[str, ...] = ()
    dialect: Literal["auto", "alexey", "pj"] = "auto"
    key: str = ""
    records: tuple[FileRecord, ...] = field(default=(), compare=False)


def catalog_source(name: str, *, catalog: Catalog | None = None, store: Store | None = None, **fetching: Any) -> Source:
    """A model of the catalog; its files are fetched where they are missing. `fetching` goes to `zoo.fetch.fetch`.

    Raises UsageError where the card has no network beside its weights, and what `fetch` raises.
    """
    card = (catalog or load_catalog())[name]
    if card.format == "weights":
        raise UsageError(
            f"{name} has weights but no cfg in the catalog: there is no network to convert",
            hint="find its cfg, and give both: zoo convert --cfg … --weights …",
        )
    model = fetch(card, store=store, **fetching)
    labels = card.labels or (read_labels(model.path("names")) if model.has("names") else ())
    if card.format == "darknet":
        files = {role: model.path(role) for role in ("cfg", "weights")}
        return Source(card.name, "darknet", files, labels, _dialect(card), "", _records(files))
    path = model.path(card.format.replace("-", "_"))
    return Source(card.name, "tensorflow", {"model": path}, labels, records=tensorflow_records(path))


def darknet_source(cfg: Path, weights: Path, names: Path | None = None, *, name: str = "") -> Source:
    """The user's own Darknet network; its name is that of the cfg unless `name` is given."""
    files = {"cfg": cfg, "weights": weights}
    for role, path in (files | ({"names": names} if names else {})).items():
        if not path.is_file():
            raise UsageError(f"the {role} file {path} is not there")
    records = _records(files)
    labels = read_labels(names) if names else ()
    return Source(name or _plain(cfg.stem), "darknet", files, labels, "auto", _content_key(records), records)


def onnx_source(path: Path, *, name: str = "") -> Source:
    """Any ONNX file; the labels and the name come from the manifest beside it, where zoo wrote one for this file."""
    if not path.is_file():
        raise UsageError(f"the model {path} is not there")
    files = {"model": path}
    records = _records(files)
    known = _written_by_zoo(path, records[0])
    name = name or (known.name if known else path.stem)
    labels = known.labels if known else ()
    told = json.dumps([known.family, known.detector, labels], sort_keys=True) if known else ""
    return Source(_plain(name), "onnx", files, labels, "auto", _content_key(records, told), records)


def hub_of(source: Source) -> Artifact:
    """An ONNX file that is a source, as an artifact: with what the manifest beside it says, where zoo wrote one."""
    path = source.files["model"]
    plain = Artifact(path.parent, source.name, "onnx", "onnx", (), source.records, (), (), labels=source.labels)
    known = _written_by_zoo(path, source.records[0])
    if not known:
        return plain
    return dataclasses.replace(
        plain,
        family=known.family,
        sources=source.records,
        inputs=known.inputs,
        outputs=known.outputs,
        detector=known.detector,
    )


def _written_by_zoo(path: Path, record: FileRecord) -> Artifact | None:
    """The manifest beside a file, if it is of exactly this file."""
    if not (path.parent / MANIFEST).is_file():
        return None
    artifact = read_artifact(path.parent)
    return artifact if record in artifact.files else None


def tensorflow_source(path: Path, *, name: str = "") -> Source:
    """A TensorFlow model of the user: a frozen graph (.pb), a SavedModel, or a folder that holds one of them."""
    if not path.exists():
        raise UsageError(f"the model {path} is not there")
    records = tensorflow_records(path)
    folder = path.parent if path.name in ("frozen_inference_graph.pb", "saved_model") else path
    name = name or _plain(folder.resolve().stem)
    return Source(name, "tensorflow", {"model": path}, key=_content_key(records), records=records)


def tensorflow_records(path: Path) -> tuple[FileRecord, ...]:
    """The files that a conversion of this TensorFlow model reads."""
    return tuple(FileRecord.of(file, role) for role, file in find_source(path.resolve()).files)


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in the order of the classes. Raises UsageError where this is no text file."""
    try:
        if path.stat().st_size > LABELS_LIMIT:
            raise ValueError(f"{path.stat().st_size} bytes are too many for a list of labels")
        return tuple(path.read_text(encoding="utf-8").rstrip().splitlines())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is no list of labels: {error}", hint="expected a text file, one label a line"
        ) from error


def _plain(name: str) -> str:
    """What a file is called, in the characters that a model's name may have; it becomes a folder's in the store."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).lstrip("._+-")[:100] or "model"


def _dialect(card: Card) -> Literal["auto", "alexey", "pj"]:
    return "alexey" if card.dialect == "alexey" else "pj" if card.dialect == "pj" else "auto"


def _records(files: Mapping[str, Path]) -> tuple[FileRecord, ...]:
    return tuple(FileRecord.of(path, role) for role, path in files.items())


def _content_key(records: tuple[FileRecord, ...], told: str = "") -> str:
    return hashlib.sha256(("".join(record.sha256 for record in records) + told).encode()).hexdigest()[:12]
