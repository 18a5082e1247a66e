"""Convert: fetch what is missing, read the source into the ONNX hub, write every format asked for, reuse what stands.

An artifact that was made from the same files with the same options by the same version is not made again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo.base.artifact import Artifact, FileRecord, read_artifact
from zoo.base.errors import UsageError
from zoo.catalog import Store
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.pipeline.source import Source, catalog_source

HUB = "onnx"
Writer = Callable[[Artifact, Path], Artifact]


def _to_torch(hub: Artifact, out: Path) -> Artifact:
    from zoo.convert.to_torch import onnx_to_torch

    return onnx_to_torch(hub.model, out, name=hub.name, labels=hub.labels, parent=hub if hub.sources else None)


# Format → what writes it from the hub. The framework is imported only when its format is asked for.
WRITERS: dict[str, Writer] = {"torch": _to_torch}
FORMATS = (HUB, *WRITERS)


def convert_model(
    name: str,
    to: Sequence[str] = (HUB,),
    *,
    out: Path | None = None,
    options: DarknetOptions | None = None,
    store: Store | None = None,
    **fetching: Any,
) -> list[Artifact]:
    """Convert a model of the catalog. See `convert`; `fetching` goes to `zoo.fetch.fetch`."""
    _known(to)
    store = store or Store()
    return convert(catalog_source(name, store=store, **fetching), to, out=out, options=options, store=store)


def convert(
    source: Source,
    to: Sequence[str] = (HUB,),
    *,
    out: Path | None = None,
    options: DarknetOptions | None = None,
    store: Store | None = None,
) -> list[Artifact]:
    """Convert `source` to each format in `to`; returns the artifacts in that order.

    With one format its files go to `out`, with several to `out/<format>`; without `out` into the store. Raises
    UsageError for a format that is not known, ConversionError where the source cannot be read or expressed.
    """
    _known(to)
    store = store or Store()
    options = options or DarknetOptions()
    key = _key(source, options)
    folders = {target: store.artifact_folder(source.name, target, key) for target in (HUB, *to)}
    if out is not None:
        folders |= {target: out / target if len(set(to)) > 1 else out for target in to}
    hub = _read(source, folders[HUB], options)
    return [hub if target == HUB else _write(target, hub, folders[target]) for target in to]


def _known(to: Sequence[str]) -> None:
    for target in to:
        if target not in FORMATS:
            raise UsageError(f"unknown format {target!r}", hint=f"formats are: {', '.join(FORMATS)}")


def _read(source: Source, folder: Path, options: DarknetOptions) -> Artifact:
    """The source in the hub's format."""
    if source.family == "onnx":
        return _as_hub(source)
    if options.dialect == "auto":
        options = dataclasses.replace(options, dialect=source.dialect)
    standing = _standing(folder, source.records, options)
    return standing or darknet_to_onnx(
        source.files["cfg"], source.files["weights"], folder, options, name=source.name, labels=source.labels
    )


def _as_hub(source: Source) -> Artifact:
    """An ONNX file that is there already, as the artifact that a writer takes."""
    path = source.files["model"]
    return Artifact(path.parent, source.name, HUB, "onnx", (), source.records, (), (), labels=source.labels)


def _write(target: str, hub: Artifact, folder: Path) -> Artifact:
    return _standing(folder, hub.sources or hub.files) or WRITERS[target](hub, folder)


def _standing(folder: Path, sources: tuple[FileRecord, ...], options: DarknetOptions | None = None) -> Artifact | None:
    """The artifact in `folder`, if it is intact and was made by this version from these files with these options."""
    try:
        artifact = read_artifact(folder)
    except UsageError:
        return None
    same = (
        {record.sha256 for record in artifact.sources} == {record.sha256 for record in sources}
        and (options is None or _made_with(artifact, options))
        and artifact.versions.get("zoo") == metadata.version("detector-zoo")
        and artifact.is_intact()
    )
    return artifact if same else None


def _made_with(artifact: Artifact, options: DarknetOptions) -> bool:
    """The manifest has the dialect that was decided; "auto" asks for just that one."""
    asked = dataclasses.asdict(options)
    if options.dialect == "auto":
        asked["dialect"] = artifact.options.get("dialect")
    return artifact.options == asked


def _key(source: Source, options: DarknetOptions) -> str:
    """What tells artifacts of one name apart: the content of a user's own files, and options other than the default."""
    default = dataclasses.asdict(DarknetOptions())
    changed = {key: value for key, value in dataclasses.asdict(options).items() if value != default[key]}
    suffix = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8] if changed else ""
    return "-".join(part for part in (source.key, suffix) if part)
