"""The demo: the shipped detector, fetched, converted, verified and looked at. What a new user runs first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.base.artifact import Artifact
from zoo.base.files import atomic_file
from zoo.base.optional import require
from zoo.pipeline.convert import convert_model
from zoo.pipeline.detect import detect_in_picture
from zoo.pipeline.verify import verify_model
from zoo.shapes import SAMPLE
from zoo.verify import Options, Report
from zoo.verify.reports.as_html import write_html
from zoo.verify.reports.as_json import write_json
from zoo.verify.reports.as_junit import write_junit
from zoo.verify.reports.as_markdown import write_markdown
from zoo.vision.draw import draw_detections
from zoo.vision.nms import Detections

MODEL = "shapes-tiny"
REPORTS: dict[str, Callable[[Path, list[Report]], None]] = {
    "report.json": write_json,
    "report.xml": write_junit,
    "report.md": write_markdown,
    "report.html": write_html,
}


@dataclass(frozen=True)
class Demo:
    """What the demo made: `files` are the reports and the picture with its detections."""

    artifact: Artifact
    report: Report
    detections: Detections
    files: tuple[Path, ...]


def run_demo(out: Path, tell: Callable[[str], None]) -> Demo:
    """Fetch, convert and verify `shapes-tiny` into `out`; draw what it sees on its sample picture.

    `tell` gets a line before each step. Needs ONNX Runtime: MissingBackend where it is not here.
    """
    require("onnxruntime", "verifying what the demo converts")
    tell(f"fetch and convert {MODEL} (shipped with zoo: no network needed) to ONNX")
    (artifact,) = convert_model(MODEL, out=out)
    tell("verify it against the float64 interpreter of its Darknet cfg, and time it")
    (report,) = verify_model(MODEL, options=Options(speed="quick"), pictures=[SAMPLE])
    tell("detect the shapes on a picture it has never seen")
    detections = detect_in_picture(artifact, SAMPLE)
    return Demo(artifact, report, detections, (*_write_reports(out, report), _write_picture(out, artifact, detections)))


def _write_reports(out: Path, report: Report) -> list[Path]:
    for name, write in REPORTS.items():
        write(out / name, [report])
    return [out / name for name in REPORTS]


def _write_picture(out: Path, artifact: Artifact, detections: Detections) -> Path:
    from PIL import Image

    path = out / "detections.png"
    with Image.open(SAMPLE) as sample, atomic_file(path) as file:
        draw_detections(sample.convert("RGB"), detections, artifact.labels).save(file, "PNG")
    return path
