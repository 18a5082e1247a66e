"""Verify: convert what is missing, take the source as the reference, judge every format on every device.

A verdict on an artifact with a manifest is written into that manifest, beside the hashes of the files that it was
reached for: a file that changes afterwards is unverified again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from zoo.base.artifact import MANIFEST, Artifact, FileRecord, read_artifact
from zoo.base.errors import ConversionError, MissingBackend, UsageError, VerificationError, ZooError
from zoo.catalog import Store
from zoo.convert.from_tensorflow.source import SAVED_NAME, find_source
from zoo.pipeline.convert import BESIDE, convert, needs_hub, options_for, with_model
from zoo.pipeline.formats import HUB
from zoo.pipeline.formats import Options as Conversion
from zoo.pipeline.source import Source, catalog_source
from zoo.verify import (
    ArtifactReference,
    DarknetReference,
    Examined,
    Options,
    Reference,
    Report,
    TensorFlowReference,
    examined,
    timed,
    unverified,
)
from zoo.verify.runtimes.table import format_of
from zoo.verify.verdict import FAIL

Alone = Callable[[], AbstractContextManager[object]]


def verify_model(
    name: str,
    formats: Sequence[str] = (HUB,),
    *,
    devices: Sequence[str] = ("cpu",),
    options: Options | None = None,
    pictures: Sequence[Path] = (),
    store: Store | None = None,
    **fetching: Any,
) -> list[Report]:
    """Verify a model of the catalog. See `verify`; `fetching` goes to `zoo.fetch.fetch`."""
    store = store or Store()
    source = catalog_source(name, store=store, **fetching)
    return verify(source, formats, devices=devices, options=options, pictures=pictures, store=store)


def verify(
    source: Source,
    formats: Sequence[str] = (HUB,),
    *,
    devices: Sequence[str] = ("cpu",),
    options: Options | None = None,
    conversion: Conversion | None = None,
    pictures: Sequence[Path] = (),
    store: Store | None = None,
    alone: Alone = nullcontext,
) -> list[Report]:
    """Convert `source` where that is missing, and verify each format on each device against the source.

    `alone` is entered while speeds are measured: it may wait until nothing else runs on this machine. A format that
    cannot be written, and one or a device that needs what is not on this machine, has a failed report, and the others
    go on. Else raises what converting to ONNX raises, and what `zoo.verify.verify_artifact` raises. A source that is
    itself an ONNX file is the reference of what is written from it.
    """
    if not formats:
        raise UsageError("no format is named")
    options = options or Options()
    by_hub = needs_hub(source, formats, conversion)
    hub = convert(source, (HUB,), options=conversion, store=store)[0] if by_hub else None
    made = [_made(source, format, formats, conversion, store) for format in formats]
    artifacts = [one for one in made if isinstance(one, Artifact)]
    reports: Iterator[Report] = iter(())
    if artifacts:
        with _reference(source, hub or artifacts[0]) as reference:
            reports = iter(_judge(artifacts, reference, devices, options, pictures, hub, alone=alone))
    return [
        next(reports)
        if isinstance(one, Artifact)
        else unverified(one, source.name, format, source.family, source.records, _on(options, device))
        for one, format in zip(made, formats, strict=True)
        for device in devices
    ]


def _made(
    source: Source, format: str, formats: Sequence[str], conversion: Conversion | None, store: Store | None
) -> Artifact | ZooError:
    """The artifact, or why there is none: its writer refuses the network, or needs what this machine does not have.
    What writes several of the `formats` writes them together, where it can."""
    together, alone = (options_for(conversion, asked) for asked in (formats, (format,)))
    try:
        return convert(source, (format,), options=together, store=store)[0]
    except MissingBackend as error:
        return error
    except ConversionError as error:
        if format == HUB:
            raise
        return error if together == alone else _made(source, format, (format,), conversion, store)


def verify_files(
    artifact: Path,
    reference: Path | Source,
    *,
    devices: Sequence[str] = ("cpu",),
    options: Options | None = None,
    pictures: Sequence[Path] = (),
) -> list[Report]:
    """Verify one model file against another of any format, or against the source that it must have been made from.

    A TensorFlow model as the reference is run as the source of a conversion is: see `TensorFlowReference`.
    """
    candidate = read_model(artifact)
    if isinstance(reference, Source):
        with _reference(reference, candidate) as truth:
            return _judge([candidate], truth, devices, options or Options(), pictures)
    other = read_model(reference)
    kept: AbstractContextManager[Reference]
    if other.format == "tf":
        kept = TensorFlowReference(other.model, (), candidate.options, other.detector)
    else:
        kept = ArtifactReference(other.model, other.format, detector=other.detector)
    with kept as truth:
        return _judge([candidate], truth, devices, options or Options(), pictures, base=other)


def read_model(path: Path) -> Artifact:
    """A model file, or a folder with a manifest, as an artifact. A file that no manifest names has only itself. A link
    is the file that it leads to."""
    if path.is_dir() and (path / MANIFEST).is_file():
        return read_artifact(path)
    if not path.exists():
        raise UsageError(f"the model {path} is not there")
    if path.is_dir() and format_of(path) == "tf":
        path = path / SAVED_NAME
    named = _named(path)
    if named:
        return named
    files = (FileRecord.of(path, "model"),) if path.is_file() else ()
    return Artifact(path.parent, path.stem, format_of(path), "", (), files, (), ())


def _named(path: Path) -> Artifact | None:
    """The artifact whose manifest names the file `path` as something to run, with that as its model."""
    own = path.resolve()
    for place in (path, own):
        folder = place.parent.parent if place.name == SAVED_NAME else place.parent
        if not (folder / MANIFEST).is_file():
            continue
        artifact = read_artifact(folder)
        for record in artifact.files:
            if (folder / record.name).resolve() != own:
                continue
            if record.role == "model":
                return artifact
            if (artifact.format, record.role) in BESIDE:
                return with_model(artifact, record)
    return None


def _reference(source: Source, made: Artifact) -> AbstractContextManager[Reference]:
    """The truth about the source of an artifact that was `made` from it: its options say what it must give."""
    if source.family == "darknet":
        return nullcontext(DarknetReference(source.files["cfg"], source.files["weights"], made.options))
    if source.family == "tensorflow":
        model = find_source(source.files["model"].resolve()).path
        return TensorFlowReference(model, source.records, made.options, made.detector)
    return ArtifactReference(made.model, made.format, detector=made.detector)


def _judge(
    artifacts: Sequence[Artifact],
    reference: Reference,
    devices: Sequence[str],
    options: Options,
    pictures: Sequence[Path],
    hub: Artifact | None = None,
    base: Artifact | None = None,
    alone: Alone = nullcontext,
) -> list[Report]:
    """The reports on each artifact on each device; on each device the speeds are compared, with `base` where there is
    one."""
    by_device = []
    for device in devices:
        on_device = _on(options, device)
        with ExitStack() as opened:
            found = [_examined(opened, artifact, reference, on_device, pictures, hub) for artifact in artifacts]
            by_device.append(_timed(found, on_device, base, alone))
    return [report for same_artifact in zip(*by_device, strict=True) for report in same_artifact]


def _on(options: Options, device: str) -> Options:
    return dataclasses.replace(options, device=device)


def _examined(
    opened: ExitStack,
    artifact: Artifact,
    reference: Reference,
    options: Options,
    pictures: Sequence[Path],
    hub: Artifact | None,
) -> Examined:
    """What `examined` gives, until the stack is closed; without a backend to run it a report that says so, and one for
    an artifact whose numbers are right and whose description for programs is not."""
    told = (artifact.name, artifact.format, reference.description, artifact.sources)
    try:
        found = opened.enter_context(examined(artifact, reference, options, pictures, hub))
    except MissingBackend as error:
        return Examined(artifact, unverified(error, *told, options))
    fault = "" if found.report.judgement.verdict == FAIL else _fault_in_description(artifact)
    if not fault:
        return found
    report = unverified(VerificationError(fault), *told, options)
    return Examined(
        artifact, dataclasses.replace(report, artifact=artifact.files, device=found.report.device, exit_code=0)
    )


def _fault_in_description(artifact: Artifact) -> str:
    """Of an OpenCV artifact, what its detector.json says wrongly; "" where that is right or there is none."""
    if artifact.format != "opencv":
        return ""
    from zoo.convert.to_opencv.detector import fault_in

    return fault_in(artifact)


def _timed(candidates: Sequence[Examined], options: Options, base: Artifact | None, alone: Alone) -> list[Report]:
    """The reports with the speeds, all taken while nothing else runs, and each verdict recorded."""
    waited = alone() if any(one.to_be_timed(options) for one in candidates) else nullcontext()
    with waited:
        reports = timed(candidates, options, base)
    for one, report in zip(candidates, reports, strict=True):
        record(one.artifact, report)
    return reports


def record(artifact: Artifact, report: Report) -> None:
    """Write the verdict into the artifact's manifest, in place of an older one of that kind. That something is missing
    on this machine is no verdict."""
    if report.exit_code or not (artifact.folder / MANIFEST).is_file() or not artifact.is_intact():
        return
    standing = read_artifact(artifact.folder)
    verdict = {
        "device": report.device.used,
        "precision": report.precision,
        "runtime": report.device.runtime,
        "reference": report.reference,
        "verdict": report.judgement.verdict,
        "reason": report.judgement.reason,
        "files": {record.name: record.sha256 for record in artifact.files},
    }
    kept = [old for old in standing.verdicts if _kind(old) != _kind(verdict)]
    if [*kept, verdict] != list(standing.verdicts):
        dataclasses.replace(standing, verdicts=(*kept, verdict)).write()


def _kind(verdict: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a verdict is on: a newer one takes the place of an older one on the same."""
    return (*(verdict.get(key) for key in ("runtime", "device", "precision")), set(verdict.get("files", ())))
