"""Convert: fetch what is missing, read the source into the ONNX hub, write every format asked for, reuse what stands.

An artifact in the store that the same code made from the same files with the same options is not made again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.base.artifact import Artifact, FileRecord, read_artifact
from zoo.base.errors import UsageError
from zoo.catalog import Store
from zoo.convert.versions import versions
from zoo.pipeline.formats import DIRECT, FORMATS, HUB, READERS, TF, TFLITE, WRITERS, WRITTEN_AS, Options, is_direct
from zoo.pipeline.source import Source, catalog_source, hub_of

# Format and role of a file beside an artifact's model that runs as well → its own format, the roles of what it reads.
BESIDE = {(TF, TFLITE): (TFLITE, ()), ("torch", "source"): ("torch", ("weights",))}


def convert_model(
    name: str,
    to: Sequence[str] = (HUB,),
    *,
    out: Path | None = None,
    options: Options | None = None,
    store: Store | None = None,
    **fetching: Any,
) -> list[Artifact]:
    """Convert a model of the catalog. See `convert`; `fetching` goes to `zoo.fetch.fetch`."""
    check_formats(to)
    store = store or Store()
    return convert(catalog_source(name, store=store, **fetching), to, out=out, options=options, store=store)


def convert(
    source: Source,
    to: Sequence[str] = (HUB,),
    *,
    out: Path | None = None,
    options: Options | None = None,
    store: Store | None = None,
) -> list[Artifact]:
    """Convert `source` to each format in `to`; returns the artifacts in that order.

    With one format its files go to `out`, with several to `out/<format>`; without `out` into the store. The .tflite
    lies beside the SavedModel, in the folder of "tf". Raises UsageError for a format that is not known, ConversionError
    where the source cannot be read or expressed.
    """
    check_formats(to)
    options, store = options_for(options, to), store or Store()
    targets = dict.fromkeys(WRITTEN_AS.get(format, format) for format in to)
    outs = {target: out and (out / target if len(targets) > 1 else out) for target in targets}

    @functools.cache
    def hub() -> Artifact:
        stored = store.artifact_folder(source.name, HUB, _key(source, options.of_reader(source.family)))
        return _hub(source, options, outs.get(HUB), stored)

    written = {
        target: hub() if target == HUB else _write(target, hub, source, options, outs[target], store)
        for target in targets
    }
    return [_tflite(written[TF]) if format == TFLITE else written[format] for format in to]


def needs_hub(source: Source, formats: Sequence[str], options: Options | None = None) -> bool:
    """Whether `convert` makes any of these formats by way of ONNX."""
    options = options_for(options, formats)
    return not all(is_direct(source, WRITTEN_AS.get(format, format), options) for format in formats)


def options_for(options: Options | None, formats: Sequence[str]) -> Options:
    """The options, with those of the TensorFlow writer where it is to make a .tflite."""
    options = options or Options()
    if TFLITE not in formats:
        return options
    told = {**options.writers.get(TF, {}), TFLITE: True}
    return dataclasses.replace(options, writers={**options.writers, TF: told})


def _tflite(artifact: Artifact) -> Artifact:
    (record,) = (record for record in artifact.files if record.role == TFLITE)
    return with_model(artifact, record)


def with_model(artifact: Artifact, record: FileRecord) -> Artifact:
    """The artifact with another of its files, one of `BESIDE`, as the one that a runtime opens. The sizes of a .tflite
    are fixed, so the manifest's inputs and outputs are not its."""
    format, read = BESIDE[artifact.format, record.role]
    files = (dataclasses.replace(record, role="model"), *(one for one in artifact.files if one.role in read))
    made = dataclasses.replace(artifact, format=format, files=files)
    return dataclasses.replace(made, inputs=(), outputs=()) if format == TFLITE else made


def check_formats(to: Sequence[str]) -> None:
    """Raise UsageError where a format is not known."""
    for target in to:
        if target not in FORMATS:
            raise UsageError(f"unknown format {target!r}", hint=f"formats are: {', '.join(FORMATS)}")


def _hub(source: Source, options: Options, out: Path | None, stored: Path) -> Artifact:
    """The source as ONNX: written to `out` where one is asked for, else taken from the store or put there."""
    if source.family == HUB:
        return hub_of(source)
    standing = None if out else _standing(stored, source.records)
    return standing or READERS[source.family](source, out or stored, options)


def _write(
    target: str, hub: Callable[[], Artifact], source: Source, options: Options, out: Path | None, store: Store
) -> Artifact:
    """From the hub, or from the source itself where there is no need of one. What stands needs neither."""
    told = options.writers.get(target, {})
    key = _key(source, {**options.of_reader(source.family), **({target: dict(told)} if told else {})})
    stored = store.artifact_folder(source.name, target, key)
    standing = None if out else _standing(stored, source.records)
    if standing:
        return standing
    if is_direct(source, target, options):
        return DIRECT[source.family, target](source, out or stored, options)
    return WRITERS[target](hub(), out or stored, told)


def _standing(folder: Path, sources: Sequence[FileRecord]) -> Artifact | None:
    """The artifact in a folder of the store, whose name stands for the options, if it is still what would be made."""
    try:
        artifact = read_artifact(folder)
    except UsageError:
        return None
    same = (
        {record.sha256 for record in artifact.sources} == {record.sha256 for record in sources}
        and artifact.versions.items() >= versions().items()
        and artifact.is_intact()
    )
    return artifact if same else None


def _key(source: Source, told: Mapping[str, Any]) -> str:
    """What tells artifacts of one name apart: the content of a user's own files, and options other than the default."""
    suffix = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:8] if told else ""
    return "-".join(part for part in (source.key, suffix) if part)
