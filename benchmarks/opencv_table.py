"""Every model of the test data in every OpenCV at hand: does it load, are its numbers and detections right, how fast.

    export ZOO_OPENCV_PYTHON=.venv-opencv4/bin/python
    python -m benchmarks.opencv_table --results build/opencv.jsonl docs/opencv.md

Each model is converted with `--to opencv`, and the file is run in each OpenCV on the recorded input. `tensors` is the
largest difference from ONNX Runtime on the unchanged ONNX file, of the output's largest value or 1. `detections` are
those that Darknet or TensorFlow recorded and OpenCV's outputs contain, of all recorded. `ms` is the best of `ROUNDS`
runs on one thread, in processor time, which other work on the machine disturbs least. The table replaces that in the
document.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import DATA
from tests.goldens.cases import CASE_NAMES, Case, load_case, make_weights
from zoo.base.artifact import Artifact
from zoo.base.errors import ConversionError
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_tensorflow import TensorFlowSourceOptions, tensorflow_to_onnx
from zoo.convert.to_opencv import OpenCVOptions, onnx_to_opencv
from zoo.convert.to_opencv.installations import OpenCV, at_hand, run
from zoo.convert.to_opencv.proof import difference, in_onnx_runtime

REAL = (
    "real_yolo-fastest_dog",
    "real_yolo-fastest-1.1_dog",
    "real_yolo-fastest-1.1-xl_dog",
    "real_yolo-fastest-1.1_body_person",
)
ROUNDS = 7
NEAR = 1e-3  # of a score, and of a box in units of the picture or of its own size where that is more
BEGIN, END = "<!-- table: python -m benchmarks.opencv_table -->", "<!-- end of the table -->"

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One model in one OpenCV. `tensors` None: sorted outputs; `recorded` None: no detections were recorded."""

    model: str
    opencv: str
    loads: bool
    tensors: float | None = None
    found: int | None = None
    recorded: int | None = None
    milliseconds: float | None = None
    reason: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("document", type=Path)
    parser.add_argument("--results", type=Path, required=True, help="rows measured so far; they are not measured again")
    parser.add_argument("--only", nargs="*", help="models to measure; else all")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.touch()
    rows = [Row(**json.loads(line)) for line in arguments.results.read_text().splitlines()]
    with arguments.results.open("a") as file:
        for row in _measured({row.model for row in rows}, arguments.only):
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            rows.append(row)
    write(arguments.document, rows)


def _measured(done: set[str], only: list[str] | None) -> Iterator[Row]:
    darknet = [name for name in CASE_NAMES if not name.startswith("real_") or name in REAL]
    archives = {path.name.partition(".")[0]: path for path in sorted((DATA / "models" / "tf").glob("*.tar.xz"))}
    for name in (*darknet, *archives):
        if name in done or (only and name not in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            yield from _tensorflow(archives[name], Path(folder)) if name in archives else _darknet(name, Path(folder))


def _darknet(name: str, folder: Path) -> Iterator[Row]:
    case = load_case(name, DATA)
    hub = darknet_to_onnx(case.cfg, make_weights(case, folder), folder / "hub", DarknetOptions(dialect=case.dialect))
    picture = case.input if case.input.ndim == 3 else case.input[0]
    recorded = _recorded_by_darknet(case)
    for opencv, artifact, reason in _written(hub, folder):
        if artifact is None:
            yield Row(name, opencv.version, False, reason=reason)
            continue
        first, *states = artifact.inputs
        feeds = {spec.name: np.zeros([int(size) for size in spec.shape], np.float32) for spec in states}
        feeds[first.name] = picture.reshape([int(size) for size in first.shape])
        yield _row(name, opencv, artifact, hub, feeds, recorded)


def _tensorflow(archive: Path, folder: Path) -> Iterator[Row]:
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="data")
    hub = tensorflow_to_onnx(folder / "source", folder / "hub", TensorFlowSourceOptions(batch=1))
    golden = np.load(folder / "source" / "golden.npz")
    name = archive.name.partition(".")[0]
    for opencv, artifact, reason in _written(hub, folder):
        if artifact is None:
            yield Row(name, opencv.version, False, reason=reason)
            continue
        height, width = (int(size) for size in artifact.inputs[0].shape[2:])
        fitting = [key for key in golden.files if key.startswith("in_") and golden[key].shape == (1, height, width, 3)]
        key = fitting[0] if fitting else "in_a"
        picture = golden[key] if fitting else np.random.default_rng(0).integers(0, 256, (1, height, width, 3))
        feeds = {artifact.inputs[0].name: np.ascontiguousarray(picture.transpose(0, 3, 1, 2)).astype(np.float32)}
        recorded = _recorded_by_tensorflow(golden, key.removeprefix("in_")) if fitting else None
        yield _row(name, opencv, artifact, hub, feeds, recorded)


def _written(hub: Artifact, folder: Path) -> Iterator[tuple[OpenCV, Artifact | None, str]]:
    """For each OpenCV an artifact that runs in it, the same for all where one can, or why there is none."""
    written: list[Artifact] = []
    for opencv in at_hand():
        fitting = [one for one in written if opencv.version in _detector(one)["opencv"]]
        if fitting:
            yield opencv, fitting[0], ""
            continue
        try:
            options = OpenCVOptions(opencv=opencv.major)
            written.append(onnx_to_opencv(hub.model, folder / f"opencv{opencv.major}", options, parent=hub))
            yield opencv, written[-1], ""
        except ConversionError as error:
            yield opencv, None, error.message.replace(str(hub.model), "").strip(": ")


def _detector(artifact: Artifact) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artifact.folder / "detector.json").read_bytes())
    return content


def _row(
    name: str, opencv: OpenCV, artifact: Artifact, hub: Artifact, feeds: Tensors, recorded: np.ndarray | None
) -> Row:
    trial = run(opencv, "ONNX", [artifact.model], feeds, ROUNDS, engine=_detector(artifact)["engine"])
    names = [spec.name for spec in artifact.outputs]
    sorted_outputs = "detection_boxes" in names
    expected = in_onnx_runtime(hub.model, names, feeds)
    tensors = None if sorted_outputs else max(difference(trial.outputs[key], expected[key]) for key in names)
    found = None if recorded is None else _found(recorded, _rows(trial.outputs, _detector(artifact)))
    total = None if recorded is None else len(recorded)
    return Row(name, opencv.version, True, tensors, found, total, round(min(trial.milliseconds), 1))


def _recorded_by_darknet(case: Case) -> np.ndarray | None:
    """[K, 6]: box, score and class above 0.25 before suppression; None where that is no reference (see onnx_check)."""
    poor = any(word in caution for caution in case.caution for word in ("binary", "NaN", "relu6"))
    if case.candidates is None or poor or "detection" in "".join(case.outputs):
        return None
    return case.candidates[:, [0, 1, 2, 3, 6, 5]].astype(np.float64)


def _recorded_by_tensorflow(golden: Tensors, key: str) -> np.ndarray:
    count = int(golden[f"out_{key}_num_detections"][0])
    boxes, scores, classes = (
        golden[f"out_{key}_detection_{kind}"][0, :count] for kind in ("boxes", "scores", "classes")
    )
    return np.column_stack([boxes, scores, classes]).astype(np.float64)


def _rows(outputs: Tensors, detector: Mapping[str, Any]) -> np.ndarray:
    """What a model gives as [K, 6]: box, score and class, as the recordings count classes."""
    output = detector["output"]
    if output["kind"] == "detections":
        return np.column_stack([outputs[output[kind]][0] for kind in ("boxes", "scores", "classes")])
    boxes, scores = (outputs[output[name]][0] for name in ("boxes", "scores"))
    if output["box_format"] == "cxcywh":
        places, classes = np.nonzero(scores > 0.2)
        return np.column_stack([boxes[places], scores[places, classes], classes])
    places, classes = np.nonzero(scores > 1e-8)
    numbers = classes + 1 - output["background"]  # the API's first class is 1, and it clips boxes to the picture
    return np.column_stack([np.clip(boxes[places], 0, 1), scores[places, classes], numbers])


def _found(recorded: np.ndarray, rows: np.ndarray) -> int:
    """How many recorded detections are among the rows."""
    found = 0
    for wanted in recorded:
        same = rows[rows[:, 5] == wanted[5]]
        near = np.abs(same[:, :5] - wanted[:5]) <= NEAR * np.maximum(1, np.abs(wanted[:5]))
        found += bool(near.all(axis=1).any())
    return found


def write(document: Path, rows: list[Row]) -> None:
    """Put the table between its two marks in the document."""
    text = document.read_text()
    before, _, rest = text.partition(BEGIN)
    document.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


def table(rows: list[Row]) -> str:
    """Markdown: a line for each model, three columns for each OpenCV."""
    versions = sorted({row.opencv for row in rows}, reverse=True)
    cells = {(row.model, row.opencv): row for row in rows}
    head = " | ".join(f"{version}: tensors | detections | ms" for version in versions)
    lines = [f"| model | {head} |", "|---|" + "---|---:|---:|" * len(versions)]
    for model in dict.fromkeys(row.model for row in rows):
        columns = " | ".join(_cells(cells.get((model, version))) for version in versions)
        lines += [f"| {model} | {columns} |"]
    return "\n".join(lines)


def _cells(row: Row | None) -> str:
    if row is None:
        return "not run | |"
    if not row.loads:
        return f"**no**: {row.reason.split(chr(10))[0][:120]} | |"
    tensors = "in any order" if row.tensors is None else f"{row.tensors:.1e}"
    detections = "–" if not row.recorded else f"{row.found}/{row.recorded}"
    return f"{tensors} | {detections} | {row.milliseconds or '–'}"


if __name__ == "__main__":
    main()
