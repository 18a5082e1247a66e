"""Whether a written file is the network that it was made from, in each OpenCV at hand: run, and compared.

What ONNX Runtime gives for the original is the measure, where it is installed; without it, that the file runs. Where a
graph sorts, rounding decides the order: then detections are looked for, not compared in place. This finds operators
that work otherwise than ONNX says; the verdict on a model's numbers is `zoo verify`'s.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.to_opencv.engine import engines
from zoo.convert.to_opencv.installations import OpenCV, run
from zoo.convert.to_opencv.rewrite.outputs import DETECTIONS

AGREES = 1e-3  # of the largest value: hundreds of times what rounding does, and far less than a wrong operator does
STEP = 2.0**-22  # a rounding of the input, to see how far the network carries it
CARRIED = 64  # times that: the rounding of every layer after it
SORTS = {"NonMaxSuppression", "TopK"}
FOUND = 0.5  # of the detections in noise: rounding may choose others for some, a wrong operator leaves next to none
NEAR = 1e-2  # of a detection's box (0 to 1) and score
BYTES = ("image_tensor", "input_tensor")  # inputs of the Object Detection API: 0 to 255

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Proof:
    """Which OpenCVs run a file, the newest first, and the engine of OpenCV 5 that it was proven on."""

    versions: tuple[str, ...]
    engine: str


def proven(graph: Graph, original: Path, model: Path, wanted: OpenCV, installed: Sequence[OpenCV]) -> Proof:
    """What runs `model`, on the fastest engine that does. Raises ConversionError where `wanted` runs it on none."""
    expected = in_onnx_runtime(original, [value.name for value in graph.outputs], sample(graph))
    *faster, last = engines(graph)
    for engine in faster:
        with contextlib.suppress(ConversionError):
            return _proven_on(engine, graph, model, expected, wanted, installed)
    return _proven_on(last, graph, model, expected, wanted, installed)


def _proven_on(
    engine: str, graph: Graph, model: Path, expected: Tensors, wanted: OpenCV, installed: Sequence[OpenCV]
) -> Proof:
    versions = []
    for opencv in installed:
        try:
            outputs = dict(run(opencv, "ONNX", [model], sample(graph), engine=engine).outputs)
            _judge(graph, model, outputs, expected, opencv)
        except ConversionError:
            if opencv == wanted:
                raise
        else:
            versions.append(opencv.version)
    return Proof(tuple(sorted(versions, reverse=True)), engine)


def sample(graph: Graph) -> Tensors:
    """Noise for every input, the same for the same graph: 0 to 255 for the API's pictures, else 0 to 1."""
    random, feeds = np.random.default_rng(0), {}
    for value in graph.inputs:
        noise = random.integers(0, 256, [size for size in value.shape or () if isinstance(size, int)])
        feeds[value.name] = (noise if value.name in BYTES else noise / 255).astype(value.dtype)
    return feeds


def in_onnx_runtime(path: Path, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> Tensors:
    """What ONNX Runtime gives for these outputs of the file; nothing where it is not installed. `feeds` are as OpenCV
    takes them: float32 [N, C, H, W] for any picture."""
    if not importlib.util.find_spec("onnxruntime"):
        return {}
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {}
    for value in session.get_inputs():
        array = feeds[value.name]
        if array.ndim == 4 and value.shape[3] == array.shape[1] and value.shape[1] != array.shape[1]:
            array = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        given[value.name] = array.astype(np.uint8) if "uint8" in value.type else array
    return dict(zip(names, session.run(names, given), strict=True))


def _judge(graph: Graph, model: Path, outputs: Tensors, expected: Tensors, opencv: OpenCV) -> None:
    missing = [value.name for value in graph.outputs if value.name not in outputs]
    if missing:
        raise ConversionError(f"OpenCV {opencv.version} does not give the output {missing[0]!r}")
    if SORTS & {node.op for node in graph.nodes}:
        _judge_rows(outputs, expected, opencv)
        return
    for name, right in expected.items():
        found = outputs[name]
        if found.size != right.size:
            raise ConversionError(
                f"OpenCV {opencv.version}: {name} has the shape {found.shape}, expected {right.shape}"
            )
        error = difference(found, right)
        if error > AGREES and error > AGREES + CARRIED * _rounding(graph, model, name):
            raise ConversionError(
                f"OpenCV {opencv.version} computes {name} wrongly: {error:.2g} of its largest value off",
                hint="it knows all the operators, but one works otherwise than ONNX says: please report the model",
            )


def _judge_rows(outputs: Tensors, expected: Tensors, opencv: OpenCV) -> None:
    """The detections of the Object Detection API in any order; other outputs of a graph that sorts are not judged."""
    if not set(DETECTIONS) <= set(expected):
        return
    found, right = (_rows(side) for side in (outputs, expected))
    share = share_found(found, right)
    if share < FOUND:
        raise ConversionError(
            f"OpenCV {opencv.version} gives {share:.0%} of the detections that the original gives for the same noise",
            hint="an operator works otherwise than ONNX says: please report the model",
        )


def share_found(found: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """How many of the detections `right`, [K, 6], are among `found`, of all; 1 where there are none."""
    apart = np.abs(found[None] - right[:, None]).max(axis=2, initial=0)
    return float((apart.min(axis=1, initial=np.inf) < NEAR).mean()) if len(right) else 1.0


def _rows(outputs: Tensors) -> NDArray[np.float64]:
    """[K, 6]: box, score and class of each detection."""
    boxes, scores, classes, count = (np.asarray(outputs[name][0], np.float64) for name in DETECTIONS)
    rows = np.concatenate([boxes, scores[:, None], classes[:, None]], axis=1)
    return rows[: int(count)]


def _rounding(graph: Graph, model: Path, name: str) -> float:
    """How far an output of the written file moves when its input is off by a rounding: much, where it saturates."""
    feeds = sample(graph)
    moved = {key: (array * (1 + STEP)).astype(array.dtype) for key, array in feeds.items()}
    return difference(*(in_onnx_runtime(model, [name], given)[name] for given in (moved, feeds)))


def difference(found: NDArray[Any], right: NDArray[Any]) -> float:
    """The largest difference, of the largest finite value or 1; infinite where one side alone has no finite number."""
    a, b = (np.nan_to_num(side.ravel().astype(np.float64), nan=np.inf) for side in (found, right))
    same = a == b
    if not (np.isfinite(a) & np.isfinite(b) | same).all():
        return np.inf
    error = np.abs(np.subtract(a, b, out=np.zeros_like(a), where=~same))
    return float(error.max(initial=0) / max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0)))
