"""Models to run, by the name that a user gives: of the catalog, an artifact's folder, a model file, a cfg with weights.

Converts what is missing, into the store; a model file that is already in the format asked for is taken as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.base.artifact import MANIFEST, Artifact
from zoo.base.errors import UsageError
from zoo.catalog import Catalog, Store, load_catalog
from zoo.convert.from_tensorflow.source import SAVED_NAME
from zoo.pipeline.convert import convert
from zoo.pipeline.formats import FORMATS, HUB, TF
from zoo.pipeline.source import Source, catalog_source, darknet_source, onnx_source, read_labels, tensorflow_source
from zoo.pipeline.verify import read_model
from zoo.verify.runtimes.table import RUNTIMES

RUNNABLE = tuple(format for format in FORMATS if format in RUNTIMES)


def find_models(
    name: str,
    formats: Sequence[str] = (),
    *,
    names: Path | None = None,
    catalog: Catalog | None = None,
    store: Store | None = None,
    **fetching: Any,
) -> list[Artifact]:
    """The model as an artifact in each of `formats` (none: as it is, or ONNX), ready to run.

    `names` is a file of class names, for a model that brings none. Raises UsageError for a name or format that is not
    known, and what fetching and converting raise.
    """
    for format in formats:
        if format not in RUNNABLE:
            raise UsageError(f"unknown format {format!r}", hint=f"formats are: {', '.join(RUNNABLE)}")
    artifacts = _find(name, formats, catalog or load_catalog(), store or Store(), **fetching)
    if not names:
        return artifacts
    labels = read_labels(names)
    return [dataclasses.replace(artifact, labels=labels) for artifact in artifacts]


def _find(name: str, formats: Sequence[str], catalog: Catalog, store: Store, **fetching: Any) -> list[Artifact]:
    path = Path(name)
    if not _is_own(name, catalog):
        source = catalog_source(name, catalog=catalog, store=store, **fetching)
        return convert(source, formats or (HUB,), store=store)
    source_of_own = _original(path)
    if source_of_own:
        found = convert(source_of_own, formats or (HUB,), store=store)
        # What stands in the store may be older than the list of names.
        return [dataclasses.replace(one, labels=source_of_own.labels or one.labels) for one in found]
    own = read_model(path)
    return [_in_format(own, path, format, store) for format in formats] or [own]


def _is_own(name: str, catalog: Catalog) -> bool:
    """Whether the user means something of their own: a name of the catalog wins over a folder that is called so, but
    not over one that is told by its path, as ./yolov3."""
    path = Path(name)
    return name not in catalog and (path.exists() or len(path.parts) > 1 or path.suffix in SUFFIXES)


SUFFIXES = (".cfg", ".onnx", ".tflite", ".pt2", ".pb")


def _original(path: Path) -> Source | None:
    """The user's own original files: a cfg with its weights beside it, or a frozen graph (also in the folder of an
    unpacked archive); None for a model that can be run as it is."""
    if path.suffix == ".cfg":
        names = path.with_suffix(".names")
        return darknet_source(path, path.with_suffix(".weights"), names if names.is_file() else None)
    is_graph = path.suffix == ".pb" and path.name != SAVED_NAME
    is_archive = path.is_dir() and not (path / MANIFEST).is_file() and not (path / SAVED_NAME).is_file()
    return tensorflow_source(path) if is_graph or is_archive else None


def _in_format(own: Artifact, path: Path, format: str, store: Store) -> Artifact:
    """A model that can be run as it is, in another format: only from ONNX and from a SavedModel is there a way."""
    if own.format == format:
        return own
    if own.format == HUB:
        (artifact,) = convert(onnx_source(own.model), (format,), store=store)
        return dataclasses.replace(artifact, labels=own.labels)
    if own.format == TF and not own.family:
        (artifact,) = convert(tensorflow_source(path), (format,), store=store)
        return artifact
    raise UsageError(
        f"{own.name} is a model of the format {own.format}; it cannot be run as {format}",
        hint="ONNX files and SavedModels are converted on: leave --format out, or give one of them",
    )
