"""How fast converted TensorFlow detectors are, against tf2onnx's own output and TensorFlow, interleaved.

    python -m benchmarks.from_tensorflow_speed docs/tensorflow.md --results build/speed.jsonl --tf2onnx build/tf2onnx

Every model of the test data runs on the first recorded input, all three in one process, each with the same number of
threads; one round runs each of them once, in turn. A time is the best of the rounds, and a ratio that of two bests:
other work on the machine disturbs these least. What tf2onnx makes is kept in the folder `--tf2onnx`, because that takes
up to a minute a model. `detections` are those that TensorFlow recorded and zoo's or tf2onnx's output has too, by the
tests' own rule (tests/goldens/detections.py). The table replaces that in the document.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import DATA
from tests.goldens.detections import missing, of_image

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

BEGIN, END = "<!-- table: python -m benchmarks.from_tensorflow_speed -->", "<!-- end of the table -->"
GRAPH = "frozen_inference_graph.pb"
OUTPUTS = ("detection_", "num_det", "raw_detection")
WARM_UP = 3  # rounds
LIMIT = 600  # seconds that tf2onnx may take
PAUSE = 0.02  # seconds before each run, in which the threads of the one before stop to spin

Run = Callable[[], list[np.ndarray]]


@dataclass(frozen=True)
class Row:
    """One model with one number of threads: milliseconds; how many of the `recorded` detections zoo and tf2onnx have;
    what the conversions cost. `reason`: why there is no output of tf2onnx."""

    model: str
    threads: int
    zoo: float = 0.0
    tf2onnx: float = 0.0
    tensorflow: float = 0.0
    found: int = 0
    found_by_tf2onnx: int = 0
    recorded: int = 0
    seconds: float = 0.0
    gigabytes: float = 0.0
    tf2onnx_seconds: float = 0.0
    reason: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("document", type=Path)
    parser.add_argument("--results", type=Path, required=True, help="rows measured so far; they are not measured again")
    parser.add_argument("--tf2onnx", type=Path, required=True, help="folder of what tf2onnx made; made where missing")
    parser.add_argument("--only", nargs="*", help="models to measure; else all")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.touch()
    rows = [Row(**json.loads(line)) for line in arguments.results.read_text().splitlines()]
    with arguments.results.open("a") as file:
        for row in _measured({(row.model, row.threads) for row in rows}, arguments):
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            rows.append(row)
    text = arguments.document.read_text()
    before, _, rest = text.partition(BEGIN)
    arguments.document.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


def _measured(done: set[tuple[str, int]], arguments: argparse.Namespace) -> Iterator[Row]:
    for archive in sorted((DATA / "models" / "tf").glob("*.tar.xz")):
        name = archive.name.partition(".")[0]
        missing_rows = [Row(name, threads) for threads in arguments.threads if (name, threads) not in done]
        if not missing_rows or (arguments.only and name not in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(Path(scratch) / name, filter="data")
            yield from _rows(missing_rows, Path(scratch), arguments)


def _rows(rows: list[Row], scratch: Path, arguments: argparse.Namespace) -> Iterator[Row]:
    from zoo.convert.from_tensorflow import convert_with_report

    source = scratch / rows[0].model
    converted = convert_with_report(source, scratch / "zoo")
    theirs, seconds, reason = plain_tf2onnx(source, arguments.tf2onnx)
    models = {"zoo": converted.artifact.model, **({"tf2onnx": theirs} if theirs else {})}
    for row in rows:
        row = replace(row, seconds=sum(converted.seconds.values()), gigabytes=converted.peak_memory / 1e9)
        row = replace(row, tf2onnx_seconds=seconds, reason=reason)
        # TensorFlow takes the number of threads once in a process.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            yield pool.submit(measured, row, source, models, arguments.rounds).result()


def plain_tf2onnx(source: Path, kept: Path) -> tuple[Path | None, float, str]:
    """What tf2onnx makes of the source without zoo, the seconds it took, and otherwise why it made nothing."""
    kept.mkdir(parents=True, exist_ok=True)
    model, note = kept / f"{source.name}.onnx", kept / f"{source.name}.json"
    if not note.is_file():
        given = ["--saved-model", str(source / "saved_model")]
        if (source / GRAPH).is_file():
            names = ",".join(f"{name}:0" for name in _outputs(_graph(source)))
            given = ["--graphdef", str(source / GRAPH), "--inputs", "image_tensor:0", "--outputs", names]
        command = [sys.executable, "-m", "tf2onnx.convert", *given, "--opset", "18", "--output", str(model)]
        start = time.perf_counter()
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
            reason = ""
        except subprocess.TimeoutExpired:
            reason = f"took more than {LIMIT} s"
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1][:160]
        note.write_text(json.dumps({"seconds": time.perf_counter() - start, "reason": reason}))
    content = json.loads(note.read_text())
    return (None if content["reason"] else model), content["seconds"], content["reason"]


def _graph(source: Path) -> Any:
    import tensorflow as tf

    return tf.compat.v1.GraphDef.FromString((source / GRAPH).read_bytes())


def _outputs(definition: Any) -> list[str]:
    return [node.name for node in definition.node if node.name.startswith(OUTPUTS)]


def measured(row: Row, source: Path, models: dict[str, Path], rounds: int) -> Row:
    """The row with its times; runs in a process of its own."""
    golden = np.load(source / "golden.npz")
    images = golden["in_a"]
    sessions = {name: _session(model, row.threads) for name, model in models.items()}
    runs: dict[str, Run] = {name: _runner(session, images) for name, session in sessions.items()}
    runs["tensorflow"] = _tensorflow(source, images, row.threads)
    times = interleaved(runs, rounds)
    best = {name: round(float(values.min()), 1) for name, values in times.items()}
    row = replace(row, zoo=best["zoo"], tf2onnx=best.get("tf2onnx", 0.0), tensorflow=best["tensorflow"])
    recorded = of_image(
        {key.removeprefix("out_a_"): golden[key] for key in golden.files if key.startswith("out_a_")}, 0
    )
    total, found = len(recorded["scores"]), dict.fromkeys(("zoo", "tf2onnx"), 0)
    for name, session in sessions.items():
        names = [value.name.partition(":")[0] for value in session.get_outputs()]
        outputs = dict(zip(names, runs[name](), strict=True))
        found[name] = total - len(missing(recorded, of_image(outputs, 0)))
    return replace(row, recorded=total, found=found["zoo"], found_by_tf2onnx=found["tf2onnx"])


def _runner(session: Any, images: np.ndarray) -> Run:
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})


def _session(model: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _tensorflow(source: Path, images: np.ndarray, threads: int) -> Run:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if (source / GRAPH).is_file():
        definition = _graph(source)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
        running = tf.compat.v1.Session(graph=graph, config=config)
        refs = [f"{name}:0" for name in _outputs(definition)]
        return lambda: running.run(refs, {"image_tensor:0": images})
    function = tf.saved_model.load(str(source / "saved_model")).signatures["serving_default"]
    tensor = tf.constant(images)
    return lambda: [value.numpy() for value in function(input_tensor=tensor).values()]


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of each, round by round, after some rounds of warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + WARM_UP):
        for name, run in runs.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run()
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def table(rows: list[Row]) -> str:
    """Markdown: a line for each model and number of threads."""
    head = (
        "model",
        "threads",
        "zoo",
        "tf2onnx",
        "TensorFlow",
        "tf2onnx / zoo",
        "TensorFlow / zoo",
        "detections: zoo",
        "tf2onnx",
        "zoo converts in",
        "tf2onnx in",
    )
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in sorted(rows, key=lambda row: (row.model, row.threads)):
        theirs = [f"{row.tf2onnx:.1f} ms", f"{row.tf2onnx / row.zoo:.2f}×", str(row.found_by_tf2onnx)]
        time_of, ratio, found = theirs if not row.reason else ("–", "–", "–")
        cells = [row.model, str(row.threads), f"{row.zoo:.1f} ms", time_of, f"{row.tensorflow:.1f} ms", ratio]
        cells += [f"{row.tensorflow / row.zoo:.2f}×", f"{row.found} of {row.recorded}", found]
        cells += [f"{row.seconds:.0f} s, {row.gigabytes:.2f} GB", row.reason or f"{row.tf2onnx_seconds:.0f} s"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
