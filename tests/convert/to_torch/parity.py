"""Parity of written modules with ONNX Runtime on whole networks, in units of what float32 itself costs.

The noise is the distance of the module from itself in float64; the error that of the module from ONNX Runtime, which
rounds as much in another order. Both are relative to an output's largest value or 1. A wrong operator differs from
ONNX Runtime by far more than from its own float64. What comes after a suppression is matched, not subtracted: a
difference in the last bit turns two detections round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
Run = Callable[[list[Array]], list[Array]]

ROUNDOFF = 2.0**-23  # no output is computed in fewer steps than one
MARGIN = 10.0  # as for every runtime: see zoo.verify.noise
SAME_BOX, SAME_SCORE, SAME_MASK = 1e-3, 1e-3, 1e-2  # relative sides, score, each element of a mask


@dataclass(frozen=True)
class Parity:
    """`error` and `noise` of the worst tensor; `matched` of `detections`, which come after suppression."""

    error: float = 0.0
    noise: float = ROUNDOFF
    matched: int = 0
    detections: int = 0

    @property
    def in_noise(self) -> float:
        return self.error / self.noise

    def worst(self, other: Parity) -> Parity:
        worse = max(self, other, key=lambda parity: parity.in_noise)
        matched, detections = self.matched + other.matched, self.detections + other.detections
        return Parity(worse.error, worse.noise, matched, detections)


def onnxruntime_run(path: Path) -> tuple[Run, list[Any], list[str]]:
    """A function that runs the ONNX file, its inputs, and the names of its outputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    names = [value.name for value in inputs]
    run: Run = lambda arrays: list(session.run(None, dict(zip(names, arrays, strict=True))))  # noqa: E731
    return run, inputs, [value.name for value in session.get_outputs()]


def torch_run(module: torch.nn.Module, kind: torch.dtype = torch.float32) -> Run:
    def run(arrays: list[Array]) -> list[Array]:
        tensors = [torch.from_numpy(array) for array in arrays]
        tensors = [tensor.to(kind) if tensor.is_floating_point() else tensor for tensor in tensors]
        with torch.inference_mode():
            return [output.numpy() for output in module(*tensors)]

    return run


def float64_run(module: torch.nn.Module) -> Run:
    """The module's own exact answer. It is left in float64."""
    return torch_run(module.double(), torch.float64)


def feeds(inputs: list[Any], batch: int, sizes: tuple[int, ...] = (120, 160)) -> list[Array]:
    """Noise in 0..1 for each input, pixels for bytes. Open sizes are the batch, then `sizes`."""
    arrays: list[Array] = []
    for value in inputs:
        rest = iter(sizes)
        shape = [
            size if isinstance(size, int) else batch if axis == 0 else next(rest)
            for axis, size in enumerate(value.shape)
        ]
        numbers = np.random.default_rng(0).random(shape, np.float32)
        arrays.append((numbers * 255).astype(np.uint8) if value.type == "tensor(uint8)" else numbers)
    return arrays


def compare(names: list[str], expected: list[Array], found: list[Array], exact: list[Array] | None) -> Parity:
    """Judge the outputs `names`; without `exact`, those of the module in float64, the noise is `ROUNDOFF`."""
    parity = Parity()
    for name, a, b, c in zip(names, expected, found, exact or found, strict=True):
        if not is_detection(name):
            assert a.shape == b.shape, f"{name}: {b.shape} for {a.shape}"
            parity = parity.worst(Parity(distance(a, b), max(distance(b, c), ROUNDOFF)))
    both = [_rows(dict(zip(names, arrays, strict=True))) for arrays in (expected, found)]
    for wanted, got in zip(*both, strict=True):
        parity = parity.worst(Parity(0.0, ROUNDOFF, _matched(wanted, got), len(wanted)))
    return parity


def is_detection(name: str) -> bool:
    """True for outputs whose order and number come from a suppression."""
    return name.startswith(("detection", "num_detections"))


def distance(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest value or 1; infinite where only one side is not finite."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not a.size:
        return 0.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differences = np.where(same, 0.0, np.abs(a - b))
    scale = max(1.0, float(np.abs(a[np.isfinite(a)]).max(initial=0.0)))
    return float(np.nan_to_num(differences, nan=np.inf).max()) / scale


def _rows(outputs: Mapping[str, Array]) -> list[Array]:
    """The detections of each image as rows of four sides, score, class, and the elements of the mask."""
    if "detections" in outputs:
        rows = outputs["detections"]
    elif "detection_boxes" in outputs:
        columns = [outputs[f"detection_{kind}"][..., None] for kind in ("scores", "classes")]
        masks = [array.reshape(*array.shape[:2], -1) for name, array in outputs.items() if name == "detection_masks"]
        rows = np.concatenate([outputs["detection_boxes"], *columns, *masks], axis=2)
    else:
        return []
    return [image[image[:, 4] > 0] for image in rows]


def _matched(wanted: Array, got: Array) -> int:
    """How many of the rows `wanted` are in `got`."""
    count = 0
    for row in wanted:
        difference = np.abs(got - row)
        same = (difference[:, :4].max(axis=1) < SAME_BOX) & (difference[:, 4] < SAME_SCORE) & (difference[:, 5] == 0)
        count += bool((same & (difference[:, 6:].max(axis=1, initial=0.0) < SAME_MASK)).any())
    return count
