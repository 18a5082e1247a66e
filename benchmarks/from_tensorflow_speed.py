"""How fast a converted TensorFlow detector is, against tf2onnx's own output and TensorFlow, interleaved.

    python -m benchmarks.from_tensorflow_speed ARCHIVE_FOLDER… [--threads 1 2] [--rounds 30] [--no-tf2onnx]

Each folder holds a frozen graph or SavedModel (and golden.npz with an input `in_a`, else 480×640 noise is used). One
round runs each of the three once, in turn; printed are medians and the median of the rounds' own ratios, which other
work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

Run = Callable[[], Any]


def session(model: Path, images: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    made = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda: made.run(None, {made.get_inputs()[0].name: images})


def tensorflow(folder: Path, images: np.ndarray, threads: int) -> Run:
    import tensorflow as tf

    if (folder / "frozen_inference_graph.pb").is_file():
        definition = tf.compat.v1.GraphDef.FromString((folder / "frozen_inference_graph.pb").read_bytes())
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
        running = tf.compat.v1.Session(graph=graph, config=config)
        names = [n.name for n in definition.node if n.name.startswith(("detection_", "num_det", "raw_detection"))]
        return lambda: running.run([f"{name}:0" for name in names], {"image_tensor:0": images})
    function = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    tensor = tf.constant(images[:1])
    return lambda: {key: value.numpy() for key, value in function(input_tensor=tensor).items()}


def plain_tf2onnx(folder: Path, out: Path) -> Path:
    model = out / "tf2onnx.onnx"
    if (folder / "frozen_inference_graph.pb").is_file():
        content = (folder / "frozen_inference_graph.pb").read_bytes()
        import tensorflow as tf

        definition = tf.compat.v1.GraphDef.FromString(content)
        names = [n.name for n in definition.node if n.name.startswith(("detection_", "num_det", "raw_detection"))]
        source = ["--graphdef", str(folder / "frozen_inference_graph.pb"), "--inputs", "image_tensor:0"]
        source += ["--outputs", ",".join(f"{name}:0" for name in names)]
    else:
        source = ["--saved-model", str(folder / "saved_model")]
    command = [sys.executable, "-m", "tf2onnx.convert", *source, "--opset", "18", "--output", str(model)]
    subprocess.run(command, check=True, capture_output=True)
    return model


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of each, round by round, after three rounds of warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 3):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 3:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def measured(folder: Path, threads: list[int], rounds: int, *, with_tf2onnx: bool) -> None:
    from zoo.convert.from_tensorflow import convert_with_report

    golden = folder / "golden.npz"
    noise = np.random.default_rng(0).integers(0, 255, (1, 480, 640, 3), np.uint8)
    images = np.load(golden)["in_a"] if golden.is_file() else noise
    with tempfile.TemporaryDirectory() as scratch:
        converted = convert_with_report(folder, Path(scratch) / "zoo")
        cost = f"{sum(converted.seconds.values()):.1f} s, {converted.peak_memory / 1e9:.2f} GB"
        print(f"{folder.name}: converted in {cost}; {dict(converted.seconds)}", flush=True)
        start = time.perf_counter()
        models = {"zoo": converted.artifact.model}
        if with_tf2onnx:
            models["tf2onnx"] = plain_tf2onnx(folder, Path(scratch))
            print(f"{folder.name}: tf2onnx alone converted in {time.perf_counter() - start:.1f} s", flush=True)
        for count in threads:
            runs = {name: session(model, images, count) for name, model in models.items()}
            runs["tensorflow"] = tensorflow(folder, images, count)
            times = interleaved(runs, rounds)
            parts = [f"{name} {np.median(values):.1f} ms" for name, values in times.items()]
            parts += [
                f"{name}/zoo {np.median(values / times['zoo']):.2f}×" for name, values in times.items() if name != "zoo"
            ]
            print(f"| {folder.name} | {count} | " + " | ".join(parts) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-tf2onnx", action="store_true")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        measured(folder, arguments.threads, arguments.rounds, with_tf2onnx=not arguments.no_tf2onnx)


if __name__ == "__main__":
    main()
