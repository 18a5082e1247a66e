"""Converts a TensorFlow detector to ONNX: starts the child process, guards it, and writes the artifact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from zoo.base import errors
from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import ConversionError
from zoo.base.files import atomic_folder
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.resizer import corrected
from zoo.convert.from_tensorflow.source import Source, find_source
from zoo.convert.from_tensorflow.text_protos import read_labels, read_pipeline
from zoo.convert.versions import versions

MODEL = "model.onnx"
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # a conversion computes nothing worth a GPU's start-up
    "PYTHONHASHSEED": "0",  # tf2onnx goes through sets of names: the result must not depend on their order
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
LAST_LINES = 8  # of what the child printed, in an error message


@dataclass(frozen=True)
class Converted:
    """The artifact, the seconds that each stage took, and the most memory that the child used, in bytes."""

    artifact: Artifact
    seconds: Mapping[str, float]
    peak_memory: int


def tensorflow_to_onnx(
    source: Path,
    out: Path,
    options: TensorFlowSourceOptions | None = None,
    *,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Artifact:
    """Convert a frozen graph (.pb), a SavedModel or a zoo archive's folder to `out`/model.onnx, with its manifest.

    Raises ConversionError where the source is damaged or of a form that cannot be converted, UsageError where an option
    cannot be met, MissingBackend where TensorFlow or tf2onnx is not installed. Then nothing is written.
    """
    return convert_with_report(source, out, options, name=name, labels=labels).artifact


def convert_with_report(
    source: Path,
    out: Path,
    options: TensorFlowSourceOptions | None = None,
    *,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Converted:
    """As `tensorflow_to_onnx`, and says what it cost."""
    options = options or TensorFlowSourceOptions()
    found = find_source(source.resolve())
    facts = read_pipeline(found.pipeline_config) if found.pipeline_config else {}
    labels = labels or (read_labels(found.label_map) if found.label_map else ())
    name = name or _default_name(found)
    with atomic_folder(out) as folder:
        report = _run_child(found, folder / MODEL, options, name)
        artifact = _artifact(found, folder, report, options, name, labels, facts)
        artifact.write()
    return Converted(replace(artifact, folder=out), report["seconds"], int(report["peak_memory"]))


def _default_name(source: Source) -> str:
    folder = source.path.parent if source.path.name in ("saved_model", "frozen_inference_graph.pb") else source.path
    return folder.stem if folder.suffix == ".pb" else folder.name


def _artifact(
    source: Source,
    folder: Path,
    report: dict[str, Any],
    options: TensorFlowSourceOptions,
    name: str,
    labels: tuple[str, ...],
    facts: dict[str, Any],
) -> Artifact:
    asked = asdict(options)
    del asked["time_limit"]  # it does not change the result
    return Artifact(
        folder=folder,
        name=name,
        format="onnx",
        family="tensorflow",
        sources=tuple(FileRecord.of(path, role) for role, path in source.files),
        files=tuple(FileRecord(**record) for record in report["files"]),
        inputs=_specs(report["inputs"]),
        outputs=_specs(report["outputs"]),
        options=asked,
        detector={
            "box_format": "yxyx",
            "first_class": 1,
            **facts,
            **corrected(report["fitting"], facts),
            **_suppression(report),
        },
        versions=versions(**report["versions"], onnx=onnx.__version__),
        labels=labels,
        notes=tuple(report["notes"]),
    )


def _suppression(report: dict[str, Any]) -> dict[str, Any]:
    return {"suppression": report["suppression"]} if report["suppression"] else {}


def _specs(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**{**entry, "shape": tuple(entry["shape"])}) for entry in entries)


def _run_child(source: Source, target: Path, options: TensorFlowSourceOptions, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
        request, report, log = (Path(scratch) / file for file in ("request.json", "report.json", "log"))
        content = {"source": str(source.path), "target": str(target), "report": str(report), "name": name}
        request.write_text(json.dumps({**content, "options": asdict(options)}))
        command = [sys.executable, "-m", "zoo.convert.from_tensorflow.child", str(request)]
        environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with log.open("wb") as output:
            try:
                process = subprocess.run(
                    command, stdout=output, stderr=output, env=environment, timeout=options.time_limit, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise ConversionError(
                    f"{source.path}: the conversion took longer than {options.time_limit:g} s and was ended",
                    hint="raise time_limit if the model is large and the machine is slow",
                ) from error
        if not report.is_file():
            raise _crashed(source, process.returncode, log)
        return _checked(json.loads(report.read_text()))


def _checked(report: dict[str, Any]) -> dict[str, Any]:
    """The report, or the child's error raised here."""
    if "error" in report:
        raise getattr(errors, report["error"])(report["message"], hint=report["hint"])
    return report


def _crashed(source: Source, code: int, log: Path) -> ConversionError:
    lines = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
    how = f"was killed by signal {-code} (9: out of memory)" if code < 0 else f"failed with exit code {code}"
    return ConversionError(
        f"{source.path}: the conversion {how}. It ended with:\n" + "\n".join(lines),
        hint="does the model run in TensorFlow? If it does, this is a fault of zoo or tf2onnx: please report it",
    )
