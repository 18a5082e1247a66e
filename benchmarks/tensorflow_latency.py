"""Latency of the SavedModel that zoo writes against its ONNX file in ONNX Runtime, on the CPU, interleaved.

    python -m benchmarks.tensorflow_latency yolov3.onnx yolov4.onnx --threads 1 --rounds 15

Both run in one process with the same number of threads; each round runs one inference of each, in alternating order.
Reported are medians and the median of the ratios round by round, for the graph as loaded, frozen, and under XLA, and
how many transposes the graph keeps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.darknet_latency import compare
from zoo.convert.to_tensorflow import onnx_to_tensorflow
from zoo.convert.to_tensorflow.backend import quietly, tf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files with one picture as input")
    parser.add_argument("--threads", type=int, default=1, help="TensorFlow takes it once in a process")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--xla", action="store_true", help="compile with XLA too (minutes for a large model)")
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
    runs: dict[str, Callable[[], object]] = {"onnxruntime": lambda: session.run(None, {value.name: picture})}
    with tempfile.TemporaryDirectory() as folder:
        artifact = onnx_to_tensorflow(path, Path(folder))
        loaded = tf.saved_model.load(str(artifact.model.parent))
    given = tf.constant(picture.transpose(0, 2, 3, 1))
    runs["tensorflow"] = lambda: [output.numpy() for output in loaded(given)]
    with quietly():
        frozen = _frozen(loaded, given)
        runs["tensorflow_frozen"] = lambda: [output.numpy() for output in frozen(given)]
        if arguments.xla:
            compiled = tf.function(loaded, jit_compile=True, autograph=False)
            runs["tensorflow_xla"] = lambda: [output.numpy() for output in compiled(given)]
        found = compare(runs, arguments.rounds)
    library = frozen.graph.as_graph_def()
    return {**found, "transposes": sum(node.op == "Transpose" for node in library.node)}


def _frozen(loaded: Any, given: Any) -> Any:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(loaded, autograph=False).get_concrete_function(tf.TensorSpec(given.shape, given.dtype))
    return convert_variables_to_constants_v2(function)


if __name__ == "__main__":
    main()
