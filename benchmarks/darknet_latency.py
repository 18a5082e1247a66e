"""Latency of our ONNX file against another converter's of the same network, in ONNX Runtime, interleaved.

    python benchmarks/darknet_latency.py ours.onnx theirs.onnx --threads 1 2 --rounds 15

Both sessions live in one process; each round runs one inference of each, in alternating order. Reported are medians and
the median of the ratios round by round. `--opencv CFG WEIGHTS` adds OpenCV's own Darknet reader, where this
machine's OpenCV still has one (4.x).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, help="the first one is ours")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--opencv", nargs=2, type=Path, metavar=("CFG", "WEIGHTS"))
    arguments = parser.parse_args()
    print(json.dumps({count: measure(arguments, count) for count in arguments.threads}, indent=2))


def measure(arguments: argparse.Namespace, threads: int) -> dict[str, Any]:
    runs: dict[str, Callable[[], object]] = {}
    shape: tuple[int, ...] = (1, 3, 416, 416)
    for path in arguments.models:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        (value,) = session.get_inputs()
        shape = (1, *(size if isinstance(size, int) else 416 for size in value.shape[1:]))
        feeds = {value.name: np.random.default_rng(0).random(shape, np.float32)}
        runs[str(path)] = lambda session=session, feeds=feeds: session.run(None, feeds)  # type: ignore[misc]
    if arguments.opencv:
        cfg, weights = arguments.opencv
        runs["opencv"] = opencv(cfg, weights, shape, threads)
    return compare(runs, arguments.rounds)


def opencv(cfg: Path, weights: Path, shape: tuple[int, ...], threads: int) -> Callable[[], object]:
    import cv2

    cv2.setNumThreads(threads)
    reader: Any = cv2.dnn
    network = reader.readNetFromDarknet(str(cfg), str(weights))
    names = network.getUnconnectedOutLayersNames()
    image = np.random.default_rng(0).random(shape, np.float32)

    def run() -> object:
        network.setInput(image)
        return network.forward(names)

    return run


def compare(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    for run in runs.values():
        run()
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs) if number % 2 else list(runs)[::-1]:
            began = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - began)
    first = next(iter(seconds.values()))
    return {
        name: {
            "median_ms": round(1000 * statistics.median(values), 1),
            "best_ms": round(1000 * min(values), 1),
            "to_first": round(statistics.median(b / a for a, b in zip(first, values, strict=True)), 3),
        }
        for name, values in seconds.items()
    }


if __name__ == "__main__":
    main()
