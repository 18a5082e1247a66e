"""Detections: ONNX's greedy suppression and the exact distance kinds, against a plain loop as the programs have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.convert.from_darknet.running import convert, execute
from tests.darknet.toys import write_cfg

F64 = NDArray[np.float64]
CLASSES = 3


def closeness(a: F64, b: F64, power: float | None) -> float:
    """box_iou, less the distance term of box_diou / box_diounms where there is one."""
    low, high = np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2), np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    shared = np.prod(np.maximum(high - low, 0))
    union = np.prod(a[2:]) + np.prod(b[2:]) - shared
    iou = float(shared / union) if shared and union else 0.0
    if power is None:
        return iou
    hull = np.maximum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2) - np.minimum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2)
    ratio = float(((a[:2] - b[:2]) ** 2).sum() / (hull**2).sum())
    return iou - float(ratio**power)


def greedy(boxes: F64, scores: F64, power: float | None) -> list[tuple[float, ...]]:
    """Rows x1, y1, x2, y2, score, class, best first."""
    rows = []
    for label in range(scores.shape[1]):
        alive = [n for n in np.argsort(-scores[:, label], kind="stable") if scores[n, label] > 0.25]
        while alive:
            best, *alive = alive
            rows.append((*boxes[best, :2] - boxes[best, 2:] / 2, *boxes[best, :2] + boxes[best, 2:] / 2))
            rows[-1] = (*rows[-1], scores[best, label], float(label))
            alive = [n for n in alive if closeness(boxes[best], boxes[n], power) <= 0.45]
    return sorted(rows, key=lambda row: -row[4])


@pytest.mark.parametrize(("kind", "power"), [("default", None), ("greedynms", 0.6), ("diounms\nbeta_nms=0.9", 0.9)])
def test_detections_are_the_greedy_ones(tmp_path: Path, kind: str, power: float | None) -> None:
    anchors = "anchors=9,9, 10,8, 8,10\n"
    body = f"[upsample]\nstride=1\n[yolo]\nclasses={CLASSES}\nnum=3\n{anchors}nms_kind={kind}\n"
    model, _ = convert(write_cfg(tmp_path, body, w=6, h=5, c=24), nms=True)
    x = np.random.default_rng(3).normal(size=(2, 24, 5, 6)).astype(np.float32)
    x[:, 4::8] += 2  # objectness
    outputs = execute(model, {"images": x})
    kept = 0
    for n in range(2):
        expected = greedy(outputs["boxes"][n].astype(np.float64), outputs["scores"][n].astype(np.float64), power)
        found = outputs["detections"][n]
        assert (found[: len(expected), 4] > 0).all()
        assert not found[len(expected) :].any()
        assert np.allclose(found[: len(expected)], expected, atol=1e-5)
        kept += len(expected)
    candidates = (outputs["scores"] > 0.25).sum()
    assert 10 < kept < candidates  # something was suppressed, and something kept


def test_nothing_found_is_all_zeros(tmp_path: Path) -> None:
    for kind in ("default", "greedynms"):
        body = f"[upsample]\nstride=1\n[yolo]\nclasses={CLASSES}\nnum=1\nanchors=1,1\nnms_kind={kind}\n"
        model, _ = convert(write_cfg(tmp_path, body, w=2, h=2, c=8), nms=True, max_detections=5)
        outputs = execute(model, {"images": np.full((1, 8, 2, 2), -9, np.float32)})
        assert outputs["detections"].shape == (1, 5, 6)
        assert not outputs["detections"].any()
