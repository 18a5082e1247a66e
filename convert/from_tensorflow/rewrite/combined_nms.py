"""Takes CombinedNonMaxSuppression for a stage: one operator that suppresses all classes of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.value import NotBatched, Value, as_folded
from zoo.convert.from_tensorflow.graph import Node
from zoo.convert.from_tensorflow.rewrite.nms import placeholders
from zoo.convert.from_tensorflow.rewrite.nms_stage import Stage
from zoo.convert.from_tensorflow.rewrite.nms_tables import Table

if TYPE_CHECKING:
    from zoo.convert.from_tensorflow.evaluate import Evaluator

INPUTS = ("max_output_size_per_class", "max_total_size", "iou_threshold", "score_threshold")


def combined(evaluator: Evaluator, node: Node) -> list[Value]:
    """The operator's four results: boxes [N, K, 4], scores and classes [N, K], counts [N]."""
    from zoo.convert.from_tensorflow.evaluate import Suppression

    given = [evaluator.value(ref) for ref in node.inputs[:2]]
    images = next((value.images for value in given if not value.is_shared), None)
    tables = [value if images is None else as_folded(value, images) for value in given]
    boxes, scores = (table.tensor for table in tables)
    stage = _stage(evaluator, node, boxes.shape[2], scores.shape[2])
    made = placeholders(stage, [], len(evaluator.suppressions))
    evaluator.suppressions.append(Suppression(stage, boxes, scores, None, None, (), made))
    results = dict(made)
    if node.flag("clip_boxes", True):
        results["boxes"] = tf.clip_by_value(made["boxes"], 0.0, 1.0)
    return [tables[1].with_tensor(results[kind]) for kind in ("boxes", "scores", "classes", "count")]


def _stage(evaluator: Evaluator, node: Node, columns: int | None, classes: int | None) -> Stage:
    if columns is None or classes is None:
        raise NotBatched(f"{node}: the number of its classes is not known")
    numbers = []
    for name, ref in zip(INPUTS, node.inputs[2:], strict=True):
        value = evaluator.source.constant(ref)
        if value is None:
            raise NotBatched(f"{node}: its {name} is not constant")
        numbers.append(float(value.item()))
    per_class, total = int(numbers[0]), int(numbers[1])
    return Stage(
        boxes=Table(node.inputs[0], by_class=columns > 1),
        scores=Table(node.inputs[1]),
        classes=classes,
        iou_threshold=numbers[2],
        score_threshold=numbers[3],
        limit_per_class=per_class,
        limit=min(total, per_class * classes) if node.flag("pad_per_class") else total,
        window=None,
        clips=False,
        changes_frame=False,
        clips_first=False,
        fields=(),
        results={},
        name=node.name,
        slices={},
    )


HANDLERS = {"CombinedNonMaxSuppression": combined}
