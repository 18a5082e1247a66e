"""Latency of the SavedModel that zoo writes against its ONNX file in ONNX Runtime, on the CPU, interleaved.

    python -m benchmarks.tensorflow_latency yolov3.onnx yolov4.onnx --threads 1 --rounds 15
    python -m benchmarks.tensorflow_latency yolov3.onnx yolov4.onnx --threads 1 --constants

Both run in one process with the same number of threads; each round runs one inference of each, in alternating order.
Reported are medians, bests and the median of the ratios round by round, for weights as variables or as constants, and
with `--xla` compiled by XLA. Each kind needs a run of its own: TensorFlow keeps oneDNN's primitives by their sizes
alone, and those made for weights of the one kind would be used for the other. `convolutions_ms` is what both programs'
own profiles say of the convolutions alone (with bias and activation, which both fuse): the sum of each one's best of
`PROFILED` runs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.darknet_latency import compare
from zoo.convert.to_tensorflow import TensorFlowOptions, onnx_to_tensorflow
from zoo.convert.to_tensorflow.backend import quietly, tf

PROFILED = 8  # runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files with one picture as input")
    parser.add_argument("--threads", type=int, default=1, help="TensorFlow takes it once in a process")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--constants", action="store_true", help="weights as constants, not variables")
    parser.add_argument("--xla", action="store_true", help="compile with XLA (a minute for a large model)")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(json.dumps({path.stem: measure(path, arguments) for path in arguments.models}, indent=2))


def measure(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = arguments.threads, 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    shape = (1, *(size if isinstance(size, int) else 416 for size in value.shape[1:]))
    picture = np.random.default_rng(0).random(shape, np.float32)
    given = tf.constant(picture.transpose(0, 2, 3, 1))
    with tempfile.TemporaryDirectory() as folder, quietly():
        artifact = onnx_to_tensorflow(path, Path(folder), TensorFlowOptions(constants=arguments.constants))
        loaded = tf.saved_model.load(str(artifact.model.parent))
        run = tf.function(loaded, jit_compile=True, autograph=False) if arguments.xla else loaded
        found = compare(
            {
                "onnxruntime": lambda: session.run(None, {value.name: picture}),
                "tensorflow": lambda: [output.numpy() for output in run(given)],
            },
            arguments.rounds,
        )
        convolutions = {"onnxruntime": _convolutions_of_onnxruntime(path, arguments.threads, {value.name: picture})}
        if not arguments.xla:
            told = _convolutions_of_tensorflow(artifact.model.parent, arguments.threads, given.numpy())
            convolutions["tensorflow"] = told
    return {**found, "convolutions_ms": convolutions}


def _convolutions_of_onnxruntime(path: Path, threads: int, feeds: dict[str, np.ndarray]) -> float:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level, settings.enable_profiling = threads, 3, True
    with tempfile.TemporaryDirectory() as folder:
        settings.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        for _ in range(PROFILED):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    return _sum_of_bests(
        (event["name"], event["dur"])
        for event in events
        if event["name"].endswith("_kernel_time") and event["args"]["op_name"] == "Conv"
    )


def _convolutions_of_tensorflow(folder: Path, threads: int, given: np.ndarray) -> float:
    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    timed = []
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=config) as session:
        signature = v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
        (taken,), given_back = signature.inputs.values(), [output.name for output in signature.outputs.values()]
        for _ in range(PROFILED):
            metadata = v1.RunMetadata()
            session.run(given_back, {taken.name: given}, options=options, run_metadata=metadata)
            timed += [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    convolutions = [node for node in timed if "Conv2D(" in node.timeline_label]
    return _sum_of_bests((node.node_name, node.all_end_rel_micros) for node in convolutions)


def _sum_of_bests(timed: Iterable[tuple[str, float]]) -> float:
    """Milliseconds, from microseconds by name."""
    by_name: dict[str, list[float]] = defaultdict(list)
    for name, microseconds in timed:
        by_name[name].append(microseconds)
    return round(sum(map(min, by_name.values())) / 1e3, 1)


if __name__ == "__main__":
    main()
