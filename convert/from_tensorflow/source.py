"""Finds what to convert in a path that a user gives: a frozen graph, a SavedModel, or a zoo archive's folder.

Files are judged here by name, size and first bytes only; `load` opens them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import ConversionError
from zoo.base.foreign import HEAD, what_it_is

FROZEN, SAVED = "frozen graph", "SavedModel"
FROZEN_NAME, SAVED_NAME = "frozen_inference_graph.pb", "saved_model.pb"
LIMIT = 1 << 31  # bytes; no protobuf message may be larger
AGAIN = "fetch or export it again, and compare its size and hash with the original"


@dataclass(frozen=True)
class Source:
    """`path` is the .pb of a frozen graph or the folder of a SavedModel; `files` are (role, path), for the manifest."""

    kind: str
    path: Path
    files: tuple[tuple[str, Path], ...]
    pipeline_config: Path | None
    label_map: Path | None


def find_source(path: Path) -> Source:
    """What `path` holds. Raises ConversionError where it holds no TensorFlow model, saying what it is instead."""
    if not path.exists():
        raise ConversionError(f"{path} does not exist", hint="give a .pb file, a SavedModel or an archive's folder")
    found = _model_of(path)
    if found is None:
        raise ConversionError(
            f"{path} is not a TensorFlow model: no {FROZEN_NAME} and no {SAVED_NAME} in it",
            hint="a checkpoint alone has no graph: export it with the Object Detection API (exporter_main_v2.py)",
        )
    kind, model = found
    beside = model.parent
    config = next((p for p in (beside / "pipeline.config", model / "pipeline.config") if p.is_file()), None)
    labels = sorted([*beside.glob("*label_map*.pbtxt"), *beside.glob("*labelmap*.pbtxt")])
    files = _checked_files(kind, model)
    if config:
        files += (("config", config),)
    return Source(kind, model, files, config, labels[0] if labels else None)


def _model_of(path: Path) -> tuple[str, Path] | None:
    if path.is_file():
        return (SAVED, path.parent) if path.name == SAVED_NAME else (FROZEN, path)
    candidates = ((FROZEN, path / FROZEN_NAME), (SAVED, path / "saved_model"), (SAVED, path))
    for kind, candidate in candidates:
        if (candidate if kind == FROZEN else candidate / SAVED_NAME).is_file():
            return kind, candidate
    inner = [child for child in path.iterdir() if child.is_dir()]
    return _model_of(inner[0]) if len(inner) == 1 else None


def _checked_files(kind: str, model: Path) -> tuple[tuple[str, Path], ...]:
    graph = model if kind == FROZEN else model / SAVED_NAME
    _refuse_foreign(graph)
    files = [("graph", graph)]
    if kind == SAVED:
        files += [("weights", file) for file in sorted((model / "variables").glob("variables.*"))]
    return tuple(files)


def _refuse_foreign(path: Path) -> None:
    size = path.stat().st_size
    if size == 0:
        raise ConversionError(f"{path} is empty (0 bytes)", hint=AGAIN)
    if size >= LIMIT:
        raise ConversionError(
            f"{path} has {size} bytes; a TensorFlow graph must be smaller than {LIMIT}",
            hint="export it as a SavedModel, which keeps the weights in files of their own",
        )
    with path.open("rb") as file:
        kind = what_it_is(file.read(HEAD))
    if kind:
        raise ConversionError(f"{path} is not a TensorFlow graph but {kind}", hint=AGAIN)
