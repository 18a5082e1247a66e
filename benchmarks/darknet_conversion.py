"""Time and memory of Darknet → ONNX, side by side with copying the weights file on the same disk.

    python -m benchmarks.darknet_conversion --models yolov3 yolov4 yolov7 --rounds 7

Needs the test data (ZOO_TEST_DATA) for cfgs and for the tool that makes weights of the real size (148–258 MB). Each
round copies the file and converts it, in alternating order, in one warm process: `conversion` is cfg and weights to the
written .onnx, `with_manifest` adds what an artifact needs (hashes of both files, the checks). `process` is a whole
`python` from start to end, and `peak_mb` the most that its memory grew above the same process without a conversion.
Targets: conversion at most 2.5 times the copy; peak at most 1.3 times the weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import DATA
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_darknet.model import build
from zoo.convert.onnx_graph.write import serialize
from zoo.darknet import read_network, read_weights

CHILD = """\
import sys, time
from pathlib import Path
from zoo.convert.from_darknet import darknet_to_onnx
import onnxruntime, zoo.convert.from_darknet.convert  # what the check imports, so that it is not counted
if len(sys.argv) > 1:
    darknet_to_onnx(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["yolov3", "yolov4", "yolov7"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = {model: measure(model, Path(folder), arguments.rounds) for model in arguments.models}
    print(json.dumps(results, indent=2))


def measure(model: str, folder: Path, rounds: int) -> dict[str, float]:
    cfg, weights = make(model, folder)
    ways: dict[str, Callable[[], object]] = {
        "copy": lambda: shutil.copyfile(weights, folder / "copy"),
        "conversion": lambda: convert(cfg, weights, folder / "plain.onnx"),
        "with_manifest": lambda: darknet_to_onnx(cfg, weights, folder / "artifact"),
    }
    seconds = timed(ways, rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    empty, _ = child(CHILD)
    peak, process = child(CHILD, str(cfg), str(weights), str(folder / "child"))
    megabytes = weights.stat().st_size / 1e6
    weights.unlink()
    return {
        "weights_mb": round(megabytes, 1),
        **{f"{name}_seconds": round(value, 3) for name, value in medians.items()},
        "conversion_to_copy": round(ratio(seconds["conversion"], seconds["copy"]), 2),
        "with_manifest_to_copy": round(ratio(seconds["with_manifest"], seconds["copy"]), 2),
        "process_seconds": round(process, 2),
        "peak_mb": round(peak - empty, 1),
        "peak_to_weights": round((peak - empty) / megabytes, 2),
    }


def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, round by round, in alternating order, after one run of each to warm up."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 else list(ways)[::-1]:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def make(model: str, folder: Path) -> tuple[Path, Path]:
    """The cfg at 416×416, and weights of the real size."""
    source = DATA / "goldens" / "darknet" / f"alexey_{model}_96x96" / "net.cfg"
    cfg, weights = folder / f"{model}.cfg", folder / f"{model}.weights"
    tool = [sys.executable, str(DATA / "tools" / "make_darknet_weights.py"), str(source), str(weights)]
    subprocess.run([*tool, "--size", "416x416", "--cfg-out", str(cfg)], check=True, stdout=subprocess.DEVNULL)
    return cfg, weights


def convert(cfg: Path, weights: Path, path: Path) -> None:
    """The conversion itself: cfg and weights → one .onnx file."""
    network = read_network(cfg, weights=weights)
    model = build(network, read_weights(weights, network), DarknetOptions())
    with path.open("wb") as file:
        file.writelines(serialize(model))


def child(code: str, *arguments: str) -> tuple[float, float]:
    """Run `code`, which prints its peak memory in kB; returns that in MB, and seconds.

    The process reports itself: getrusage would count its parent's memory.
    """
    began = time.perf_counter()
    shown = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return int(shown.stdout) * 1024 / 1e6, time.perf_counter() - began


if __name__ == "__main__":
    main()
