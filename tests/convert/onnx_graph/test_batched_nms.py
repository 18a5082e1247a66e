"""One suppression for all images and classes against the Object Detection API's rule, written out in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.batched_nms import Field, NmsInputs, NmsParameters, batched_nms

PARAMETERS = NmsParameters(
    classes=5, iou_threshold=0.5, score_threshold=1e-8, limit_per_class=12, limit=20, clips=True, changes_frame=True
)
WINDOW = np.array([[0.0, 0.0, 0.9, 0.8], [0.1, 0.05, 1.0, 1.0]], np.float32)


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    result: np.ndarray = shared / (np.prod(box[2:] - box[:2]) + areas - shared)
    return result


def suppressed(boxes: np.ndarray, scores: np.ndarray, p: NmsParameters) -> list[int]:
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > p.score_threshold]
    kept: list[int] = []
    for i in order:
        if len(kept) < p.limit_per_class and not (iou(boxes[i], boxes[kept]) > p.iou_threshold).any():
            kept.append(i)
    return kept


def expected(
    boxes: np.ndarray, scores: np.ndarray, window: np.ndarray, p: NmsParameters
) -> list[tuple[np.ndarray, float, int, int]]:
    """(box, score, class, row) of one image, best first, as multiclass_non_max_suppression gives them."""
    found = []
    for number in range(p.classes):
        own = boxes[:, number] if p.boxes_by_class else boxes
        for row in suppressed(own, scores[:, number], p):
            box = own[row]
            if p.clips:
                box = np.maximum(np.minimum(box, np.tile(window[2:], 2)), np.tile(window[:2], 2))
                if np.prod(box[2:] - box[:2]) <= 0:
                    continue
            if p.changes_frame:
                box = (box - np.tile(window[:2], 2)) * np.tile(np.float32(1) / (window[2:] - window[:2]), 2)
            found.append((box, float(scores[row, number]), number, row))
    return sorted(found, key=lambda entry: -entry[1])[: p.limit]


def run(feeds: dict[str, np.ndarray], p: NmsParameters) -> dict[str, np.ndarray]:
    builder = GraphBuilder("nms")
    inputs = NmsInputs("boxes", "scores", "window", "valid" if "valid" in feeds else "", feeds["boxes"].shape[1])
    names = batched_nms(builder, inputs, p, (Field("table", 3),))
    for name, array in feeds.items():
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        builder.inputs.append(helper.make_tensor_value_info(name, dtype, [None, *array.shape[1:]]))
    for kind, name in names.items():
        dtype = TensorProto.INT32 if kind == "count" else TensorProto.FLOAT
        builder.outputs.append(helper.make_tensor_value_info(name, dtype, None))
    model = builder.model({}).proto()
    assert [node.op_type for node in model.graph.node].count("NonMaxSuppression") == 1
    long = {constant.name for constant in model.graph.initializer if constant.data_type == TensorProto.INT64}
    assert not [node for node in model.graph.node if node.op_type == "Div" and long & {*node.input}]  # TFLite has none
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(list(names.values()), feeds), strict=True))


def feeds(p: NmsParameters, rows: int = 90, seed: int = 0) -> dict[str, np.ndarray]:
    """Crowded boxes, many of them at or beyond the border, with repeated scores."""
    random = np.random.default_rng(seed)
    shape = (2, rows, p.classes) if p.boxes_by_class else (2, rows)
    corner, size = random.uniform(-0.3, 0.9, (*shape, 2)), random.uniform(0.05, 0.5, (*shape, 2))
    scores = np.round(random.uniform(0, 1, (2, rows, p.classes)) ** 3, 3)
    return {
        "boxes": np.concatenate([corner, corner + size], -1).astype(np.float32),
        "scores": scores.astype(np.float32),
        "window": WINDOW,
        "table": random.normal(size=(2, rows, 3)).astype(np.float32),
    }


@pytest.mark.parametrize(
    "p",
    [
        PARAMETERS,
        replace(PARAMETERS, boxes_by_class=True),
        replace(PARAMETERS, clips=False, changes_frame=False),
        replace(PARAMETERS, score_threshold=0.4),
        replace(PARAMETERS, iou_threshold=0.05),  # few are certain to stay: the threshold cannot be raised
        replace(PARAMETERS, limit=200, limit_per_class=100),  # more than there are
        replace(PARAMETERS, classes=1, limit=30, limit_per_class=30),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_it_gives_what_the_api_gives_in_its_order(p: NmsParameters, seed: int) -> None:
    given = feeds(p, seed=seed)
    result = run(given, p)
    for image in range(2):
        wanted = expected(given["boxes"][image], given["scores"][image], given["window"][image], p)
        count = len(wanted)
        assert result["count"][image] == count
        assert np.array_equal(result["scores"][image, :count], np.array([entry[1] for entry in wanted], np.float32))
        assert np.array_equal(result["classes"][image, :count], [entry[2] for entry in wanted])
        assert np.allclose(result["boxes"][image, :count], [entry[0] for entry in wanted], atol=1e-6)
        assert np.array_equal(result["field0"][image, :count], given["table"][image, [entry[3] for entry in wanted]])
        for kind in ("scores", "classes", "boxes", "field0"):
            assert not result[kind][image, count:].any()


def test_only_valid_boxes_take_part() -> None:
    given = feeds(PARAMETERS)
    cut = {**given, "valid": np.array([30, 0], np.int32)}
    result = run(cut, PARAMETERS)
    wanted = expected(given["boxes"][0, :30], given["scores"][0, :30], WINDOW[0], PARAMETERS)
    assert result["count"].tolist() == [len(wanted), 0]
    assert np.array_equal(result["scores"][0, : len(wanted)], np.array([entry[1] for entry in wanted], np.float32))
