"""Latency of a written PyTorch module against ONNX Runtime on the same ONNX file, interleaved.

    python -m benchmarks.torch_latency yolov3 yolov4 --threads 1 2 --rounds 15
    python -m benchmarks.torch_latency path/to/model.onnx --size 300 300

A name is a network of the test data (ZOO_TEST_DATA) with generated weights, at 416×416 unless `--size` says otherwise.
`eager` is `load()` of model.py, `channels_last` the same with its weights in that order, `compile` is torch.compile of
it (needs a C++ compiler), `pt2` is model.pt2. Each round runs all of them once, in alternating order; reported are
medians and the medians of the ratios to ONNX Runtime round by round. docs/torch.md has the figures.
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
import torch

from benchmarks.darknet_latency import compare
from tests.conftest import DATA
from tests.goldens.cases import load_case, make_weights
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.convert.to_torch.module import module_from_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="a network of the test data, or an .onnx file")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", nargs=2, type=int, default=[416, 416], help="height and width")
    parser.add_argument("--ways", nargs="+", default=["eager", "channels_last", "compile", "pt2"])
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(model) if model.endswith(".onnx") else darknet(model, Path(folder), *arguments.size)
            onnx_to_torch(path, Path(folder) / "torch", TorchOptions(export="pt2" in arguments.ways))
            for threads in arguments.threads:
                result = measure(path, Path(folder) / "torch", threads, arguments)
                print(json.dumps({"model": model, "threads": threads, **result}), flush=True)


def darknet(name: str, folder: Path, height: int, width: int) -> Path:
    case = load_case(f"alexey_{name}_96x96", DATA)
    options = DarknetOptions(width=width, height=height)
    return darknet_to_onnx(case.cfg, make_weights(case, folder), folder / "onnx", options).model


def measure(path: Path, folder: Path, threads: int, arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(threads)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feeds = {value.name: example(value, iter(arguments.size)) for value in session.get_inputs()}
    inputs = [torch.from_numpy(array) for array in feeds.values()]
    runs: dict[str, Callable[[], object]] = {"onnxruntime": lambda: session.run(None, feeds)}
    for way in arguments.ways:
        if (module := WAYS[way](folder)) is not None:
            runs[way] = lambda module=module: module(*inputs)  # type: ignore[misc]
    with torch.inference_mode():
        return compare(runs, arguments.rounds)


def example(value: Any, sizes: Any) -> np.ndarray:
    shape = [
        size if isinstance(size, int) else 1 if axis == 0 else next(sizes) for axis, size in enumerate(value.shape)
    ]
    numbers = np.random.default_rng(0).random(shape, np.float32)
    return (numbers * 255).astype(np.uint8) if "uint8" in value.type else numbers


def load(folder: Path) -> torch.nn.Module:
    return module_from_file(folder / "model.py", "model.safetensors")


def exported(folder: Path) -> torch.nn.Module | None:
    path = folder / "model.pt2"
    return torch.export.load(path).module() if path.exists() else None


WAYS: dict[str, Callable[[Path], Any]] = {
    "eager": load,
    "channels_last": lambda folder: load(folder).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
    "compile": lambda folder: torch.compile(load(folder)),
    "pt2": exported,
}


if __name__ == "__main__":
    main()
