"""Judges detections against TensorFlow's recorded ones; tells apart the differences that TensorFlow itself leaves open.

The rule is the project's: IoU ≥ 0.99, the same class, the score within 1e-3; mask cells within 1e-2. Two things are
decided by the last bit of a float32, so that TensorFlow disagrees with itself about them (with and without oneDNN, on
other processors), and are told apart from errors:

- CropAndResize is zero beyond the last pixel, and where a box ends at 1.0 the last row (or column) lies on it or one
  bit beyond. `border_variants` are the model with all these rows inside, or all outside, separately for the rows and
  columns of each crop. A detection must be found in one of them.
- Of two boxes with equal scores one suppresses the other. Where scores differ by less than TIE, either may be there.
- A box thinner than THIN of the picture (random weights give some) has an IoU below 0.99 for a shift of a hundredth of
  a pixel: its edges must agree within EDGE instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.convert.judge import session_of

Outputs = Mapping[str, np.ndarray]

SCORE, IOU, MASK = 1e-3, 0.99, 1e-2
TIE = 2.0**-22  # of scores near 1: four units in the last place
THIN, EDGE = 0.04, 2e-4
SLACK = 1e-3  # of a pixel, by which the border is moved


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    area = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    union: np.ndarray = np.maximum(area[0][:, None] + area[1][None] - shared, 1e-12)
    result: np.ndarray = shared / union
    return result


def of_image(outputs: Outputs, image: int) -> dict[str, np.ndarray]:
    """The detections of one image, without the padding."""
    count = int(outputs["num_detections"][image])
    kinds = [key for key in ("boxes", "scores", "classes", "masks") if f"detection_{key}" in outputs]
    return {key: outputs[f"detection_{key}"][image, :count] for key in kinds}


def same(wanted: Outputs, found: Outputs) -> np.ndarray:
    """[recorded, found]: True where a detection is the other one."""
    edges = np.abs(wanted["boxes"][:, None] - found["boxes"][None]).max(axis=2)
    thin = (wanted["boxes"][:, 2:] - wanted["boxes"][:, :2]).min(axis=1) < THIN
    placed = (overlaps(wanted["boxes"], found["boxes"]) >= IOU) | (thin[:, None] & (edges < EDGE))
    result: np.ndarray = placed & (wanted["classes"][:, None] == found["classes"][None])
    result &= np.abs(wanted["scores"][:, None] - found["scores"][None]) < SCORE
    if "masks" in wanted:
        for row, column in np.argwhere(result):
            result[row, column] = np.abs(wanted["masks"][row] - found["masks"][column]).max() < MASK
    return result


def missing(wanted: Outputs, found: Outputs) -> set[int]:
    """The recorded detections that were not found, and whose place no other of the same score could take."""
    matches = same(wanted, found)
    lost = np.flatnonzero(~matches.any(axis=1))
    extra = np.flatnonzero(~matches.any(axis=0))
    ties = np.abs(wanted["scores"][lost][:, None] - found["scores"][extra][None]) < TIE
    ties &= wanted["classes"][lost][:, None] == found["classes"][extra][None]
    return {int(row) for row, tied in zip(lost, ties.any(axis=1), strict=True) if not tied}


def run(session: Any, feeds: Outputs) -> dict[str, np.ndarray]:
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def with_moved_border(path: Path) -> tuple[onnx.ModelProto, list[str]]:
    """The model with an input for each axis of each crop, by which its last pixel is moved; and the inputs' names."""
    model = onnx.load(path)
    inputs: list[str] = []
    nodes = []
    for node in model.graph.node:
        if node.op_type == "LessOrEqual" and node.name.startswith("crop/"):
            inputs.append(f"slack{len(inputs)}")
            nodes.append(helper.make_node("Add", [node.input[1], inputs[-1]], [f"{node.name}/moved"]))
            node.input[1] = f"{node.name}/moved"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in inputs)
    return model, inputs


def border_variants(path: Path, images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """The outputs with the border of one crop moved in or out, its rows and its columns."""
    model, axes = with_moved_border(path)
    runner = session_of(model.SerializeToString())
    image = runner.get_inputs()[0].name
    moves = [move for move in product((0.0, SLACK, -SLACK), repeat=2) if move != (0.0, 0.0)]
    for crop, move in product(range(0, len(axes), 2), moves):
        slack = dict.fromkeys(axes, 0.0) | dict(zip(axes[crop : crop + 2], move, strict=True))
        yield run(runner, {image: images} | {name: np.array(value, np.float32) for name, value in slack.items()})
