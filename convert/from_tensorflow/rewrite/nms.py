"""Replaces each suppression stage of the source by one `Suppression` over all images and classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.context import static
from zoo.convert.from_tensorflow.batching.value import Value, as_stacked, stacked
from zoo.convert.from_tensorflow.graph import Node
from zoo.convert.from_tensorflow.rewrite.nms_stage import Stage
from zoo.convert.from_tensorflow.rewrite.nms_tables import Table

if TYPE_CHECKING:
    from zoo.convert.from_tensorflow.evaluate import Evaluator


def stage_results(evaluator: Evaluator, node: Node) -> list[Value]:
    """Make the Suppression of the stage that `node` is a result of; all its results get their values."""
    from zoo.convert.from_tensorflow.evaluate import Suppression

    stage = next(stage for ref, stage in evaluator.stage_outputs.items() if ref.startswith(f"{node.name}:"))
    evaluator.memo |= {ref: evaluator.value(table.ref) for ref, table in stage.slices.items()}
    tables = [_rows_of(evaluator, table) for table in (stage.boxes, stage.scores, *stage.fields)]
    window = evaluator.value(stage.window) if stage.window else None
    valid = evaluator.value(stage.valid) if stage.valid else None
    images = next((v.images for v in (*tables, window, valid) if v is not None and not v.is_shared), None)
    single = images is None
    images = tf.constant(1) if single else images

    def tensor_of(value: Value | None) -> Any:
        return None if value is None else as_stacked(value, images).tensor

    boxes, scores, *fields = (tensor_of(value) for value in tables)
    scores = tf.expand_dims(scores, -1) if scores.shape.rank == 2 else scores
    window = tensor_of(window)
    if stage.clips_first:
        boxes, scores = _clipped(boxes, scores, window, stage.changes_frame)
        stage, window = replace(stage, clips=False, changes_frame=False, window=None), None
    if valid is not None and _uniform(valid.tensor) == boxes.shape[1]:
        valid = None
    outputs = placeholders(stage, fields, len(evaluator.suppressions))
    evaluator.suppressions.append(Suppression(stage, boxes, scores, tensor_of(valid), window, tuple(fields), outputs))
    for ref, kind in stage.results.items():
        tensor = outputs[kind]
        evaluator.memo[ref] = Value(tf.squeeze(tensor, 0)) if single else stacked(tensor, images)
    return []


def _rows_of(evaluator: Evaluator, table: Table) -> Value:
    value = evaluator.value(table.ref)
    return value if table.dtype is None else value.with_tensor(tf.cast(value.tensor, table.dtype))


def _clipped(boxes: Any, scores: Any, window: Any, changes_frame: bool) -> tuple[Any, Any]:
    """Boxes [N, A, 4] or [N, A, q, 4] clipped to each image's window [N, 4], and relative to it if `changes_frame`;
    scores [N, A, C] of those that are empty then are the lowest."""
    edges = tf.reshape(window, [-1, *[1] * (boxes.shape.rank - 2), 4])
    low, high = (tf.concat([half, half], -1) for half in tf.split(edges, 2, -1))
    boxes = tf.maximum(tf.minimum(boxes, high), low)
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    has_area = (ymax - ymin) * (xmax - xmin) > 0.0
    has_area = tf.expand_dims(has_area, -1) if has_area.shape.rank == 2 else has_area
    scores = tf.where(has_area, scores, tf.float32.min)
    return ((boxes - low) * (1.0 / (high - low)) if changes_frame else boxes), scores


def placeholders(stage: Stage, fields: list[Any], number: int) -> dict[str, Any]:
    """Tensors of the new graph that stand for the results: all images' along the first axis, padded with zeros."""
    shapes = {
        "boxes": (tf.float32, [None, stage.limit, 4]),
        "scores": (tf.float32, [None, stage.limit]),
        "classes": (tf.float32, [None, stage.limit]),
        "count": (tf.int32, [None]),
    }
    for index, (table, tensor) in enumerate(zip(stage.fields, fields, strict=True)):
        rest = tensor.shape.as_list()[3 if table.by_class else 2 :]
        shapes[f"field{index}"] = (tensor.dtype, [None, stage.limit, *rest])
    return {
        kind: tf.compat.v1.placeholder(dtype, shape, name=f"suppression{number}/{kind}")
        for kind, (dtype, shape) in shapes.items()
    }


def _uniform(tensor: Any) -> int | None:
    """The number that every element of an integer tensor has, where its operators show it; else None."""
    value = static(tensor)
    if value is not None:
        return int(value.flat[0]) if value.size and (value == value.flat[0]).all() else None
    kind, inputs = tensor.op.type, tensor.op.inputs
    if kind in ("Identity", "Reshape", "Tile", "ExpandDims", "Squeeze"):
        return _uniform(inputs[0])
    if kind == "Fill":
        return _uniform(inputs[1])
    if kind == "Mul":
        parts = [_uniform(part) for part in inputs]
        return None if None in parts else parts[0] * parts[1]  # type: ignore[operator]
    return None
