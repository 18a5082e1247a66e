"""Judges a detector on pictures it has not seen: mean average precision at IoU 0.5 (mAP@.5).

`python -m zoo.shapes.evaluate model.onnx` measures a converted shapes-tiny (needs ONNX Runtime). The detector may be
any function of images; nothing is known here of how it computes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.optional import require
from zoo.shapes.draw import LABELS, Scene, draw_scene
from zoo.vision.nms import Detections, box_iou, detect

Array = NDArray[np.floating[Any]]
# float32 images [N, 3, H, W] RGB in 0..1 → boxes [N, B, 4] (centre x, y, width, height, relative), scores [N, B, C].
Detector = Callable[[NDArray[np.float32]], tuple[Array, Array]]

HELD_OUT = 1_000_000  # the first seed for judging; the training uses those from 0 on
PICTURES = 500
THRESHOLD = 0.005  # as low as Darknet's own `detector map` goes
MATCH = 0.5
BATCH = 25


@dataclass(frozen=True)
class Precision:
    """Average precision of each label (area under its precision-recall curve), and their mean."""

    by_label: dict[str, float]
    pictures: int
    shapes: int

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.by_label.values())))


def evaluate(detector: Detector, *, pictures: int = PICTURES, kind: str = "greedynms", beta: float = 0.6) -> Precision:
    """Run `detector` on held-out pictures and measure it; `kind` and `beta` are the cfg's for the suppression."""
    scenes = [draw_scene(HELD_OUT + number) for number in range(pictures)]
    found = list(_detections(detector, scenes, kind, beta))
    by_label = {name: average_precision(scenes, found, label) for label, name in enumerate(LABELS)}
    return Precision(by_label, pictures, sum(len(scene.classes) for scene in scenes))


def _detections(detector: Detector, scenes: Sequence[Scene], kind: str, beta: float) -> Iterator[Detections]:
    for start in range(0, len(scenes), BATCH):
        pixels = np.stack([scene.pixels for scene in scenes[start : start + BATCH]])
        images = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        for boxes, scores in zip(*detector(images), strict=True):
            yield detect(boxes, scores, threshold=THRESHOLD, kind=kind, beta=beta)


def average_precision(scenes: Sequence[Scene], found: Sequence[Detections], label: int) -> float:
    """Area under the precision-recall curve of one label, precision made falling, over every point (VOC 2010).

    Detections are taken best first over all pictures; one is right if it meets, with IoU 0.5 or more, a truth of its
    picture that no better one has taken.
    """
    results = [
        result for scene, detections in zip(scenes, found, strict=True) for result in _judge(scene, detections, label)
    ]
    order = np.argsort([-score for score, _ in results], kind="stable")
    right = np.cumsum(np.array([hit for _, hit in results], bool)[order])
    truths = sum(int((scene.classes == label).sum()) for scene in scenes)
    precision = right / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((falling * np.diff(right, prepend=0)).sum() / truths)


def _judge(scene: Scene, detections: Detections, label: int) -> Iterator[tuple[float, bool]]:
    """Score and rightness of each detection of the label."""
    waiting = scene.boxes[scene.classes == label]
    chosen = detections.classes == label
    for box, score in zip(detections.boxes[chosen], detections.scores[chosen], strict=True):
        overlaps = box_iou(box, waiting)
        hit = bool(len(waiting) and overlaps.max() >= MATCH)
        if hit:
            waiting = np.delete(waiting, overlaps.argmax(), axis=0)
        yield float(score), hit


def onnx_detector(model: Path) -> Detector:
    """A converted model, run by ONNX Runtime on the CPU."""
    runtime = require("onnxruntime", "evaluating a converted model")
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda images: tuple(session.run(["boxes", "scores"], {"images": images}))


def print_precision(precision: Precision) -> None:
    for name, value in precision.by_label.items():
        print(f"{name:10} {value:.4f}")
    print(f"mAP@.5     {precision.mean:.4f}   ({precision.shapes} shapes on {precision.pictures} pictures)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the mAP@.5 of a converted shapes-tiny on held-out pictures.")
    parser.add_argument("model", type=Path, help="model.onnx, from `zoo convert shapes-tiny --to onnx`")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    arguments = parser.parse_args()
    print_precision(evaluate(onnx_detector(arguments.model), pictures=arguments.pictures))


if __name__ == "__main__":
    main()
