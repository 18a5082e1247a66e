"""Parity of written modules with ONNX Runtime on whole networks, in units of what ONNX Runtime differs from itself.

The noise is the distance of ONNX Runtime with its optimisations from ONNX Runtime without: the same graph in float32,
summed in another order. It is small for a trained network, and may be anything for one of random weights, deep enough.
The error is the distance of the module from ONNX Runtime. Both are relative to an output's largest value or 1. What
comes after a suppression is matched, not subtracted: a difference in the last bit turns two detections round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.convert.judge import run_session, session_of

Array = NDArray[Any]
Run = Callable[[list[Array]], list[Array]]

ROUNDOFF = 2.0**-23  # the least noise: two numbers beside each other
MARGIN = 10.0  # as for every runtime: see zoo.verify.noise
OPEN_SIZE = (120, 160)  # height and width where the model leaves them open
PICTURES = ("dog", "eagle", "giraffe")
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


class Runtime:
    """ONNX Runtime on one file: `run` as everybody runs it, `plain` without optimisations (loaded when it is asked)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = session_of(path)
        self.inputs: list[Any] = self.session.get_inputs()
        self.names: list[str] = [value.name for value in self.session.get_outputs()]

    def run(self, arrays: list[Array]) -> list[Array]:
        return run_session(self.session, arrays)

    def plain(self, arrays: list[Array]) -> list[Array]:
        return run_session(self._plain, arrays)

    @cached_property
    def _plain(self) -> Any:
        return session_of(self.path, optimised=False)


def torch_run(module: torch.nn.Module) -> Run:
    def run(arrays: list[Array]) -> list[Array]:
        with torch.inference_mode():
            return [output.numpy() for output in module(*map(torch.from_numpy, arrays))]

    return run


def feeds(inputs: list[Any], batch: int, data: Path) -> list[Array]:
    """Pictures for inputs of three channels, noise for others. Open sizes are the batch, then `OPEN_SIZE`."""
    arrays: list[Array] = []
    for value in inputs:
        rest = iter(OPEN_SIZE)
        shape = [
            size if isinstance(size, int) else batch if axis == 0 else next(rest)
            for axis, size in enumerate(value.shape)
        ]
        if value.type == "tensor(uint8)":
            arrays.append(_pictures(shape[0], shape[1], shape[2], data))
        elif len(shape) == 4 and shape[1] == 3:
            pixels = _pictures(shape[0], shape[2], shape[3], data).transpose(0, 3, 1, 2)
            arrays.append(np.ascontiguousarray(pixels.astype(np.float32) / 255))
        else:
            arrays.append(np.random.default_rng(0).random(shape, np.float32))
    return arrays


def _pictures(count: int, height: int, width: int, data: Path) -> Array:
    files = [data / "models" / "images" / f"{PICTURES[number % len(PICTURES)]}.jpg" for number in range(count)]
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((width, height))) for file in files])


def compare(
    runtime: Runtime, given: list[Array], found: list[Array], *, two_stage: bool = False, sparing: bool = False
) -> Parity:
    """Judge what a module found on the inputs `given`. With `two_stage` every output comes after a suppression.

    `sparing` takes the least noise where that explains every error: ONNX Runtime then runs once, not twice.
    """
    names, expected = runtime.names, runtime.run(given)
    places = [place for place, name in enumerate(names) if not is_detection(name) and not two_stage]
    for place in places:
        wanted, got = expected[place].shape, found[place].shape
        assert wanted == got, f"{names[place]}: {got} for {wanted}"
    errors = [distance(expected[place], found[place]) for place in places]
    plain = expected if sparing and max(errors, default=0) <= MARGIN * ROUNDOFF else runtime.plain(given)
    parity = _matches(names, expected, found)
    for place, error in zip(places, errors, strict=True):
        parity = parity.worst(Parity(error, max(distance(expected[place], plain[place]), ROUNDOFF)))
    return parity


def _matches(names: list[str], expected: list[Array], found: list[Array]) -> Parity:
    both = [_rows(dict(zip(names, arrays, strict=True))) for arrays in (expected, found)]
    matched = sum(_matched(wanted, got) for wanted, got in zip(*both, strict=True))
    return Parity(0.0, ROUNDOFF, matched, sum(map(len, both[0])))


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
