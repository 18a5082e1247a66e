"""A detector that needs no file, and pictures and videos to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.base.artifact import Artifact, TensorSpec
from zoo.detect.detector import Detector
from zoo.verify.runtimes.protocol import Array, Bound, Tensors, bind_by_running
from zoo.vision.contract import Rule

SIDE = 32


class Fake:
    """A runner that sees one box of class 0 whose score is how red the picture is, and one of class 1 for green."""

    runtime, device = "fake 1.0", "cpu"
    inputs: tuple[TensorSpec, ...] = (TensorSpec("images", "float32", ("batch", 3, SIDE, SIDE)),)
    outputs: tuple[TensorSpec, ...] = (
        TensorSpec("boxes", "float32", ("batch", 2, 4)),
        TensorSpec("scores", "float32", ("batch", 2, 2)),
    )

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def run(self, feeds: Tensors) -> dict[str, Array]:
        red, green, _ = feeds["images"][0].mean(axis=(1, 2))
        boxes = np.array([[[0.5 + self.shift, 0.5, 0.4, 0.4], [0.25, 0.25, 0.2, 0.2]]], np.float32)
        return {"boxes": boxes, "scores": np.array([[[red, 0], [0, green]]], np.float32)}

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def memory(self) -> dict[str, int]:
        return {}

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        return {}

    def close(self) -> None:
        """Nothing is held."""


def artifact(format: str = "onnx", labels: tuple[str, ...] = ("red", "green"), **detector: Any) -> Artifact:
    """A manifest of a Darknet detector, without files."""
    facts = {"resize": "stretch", "nms_kind": "default", "beta_nms": 0.6, **detector}
    return Artifact(Path(), "fake", format, "darknet", (), (), Fake.inputs, Fake.outputs, detector=facts, labels=labels)


def detector(shift: float = 0.0, format: str = "onnx", rule: Rule | None = None, **facts: Any) -> Detector:
    """The fake detector; its box lies `shift` to the right."""
    return Detector(artifact(format, **facts), Fake(shift), rule or Rule())


def picture(red: int = 200, green: int = 0, width: int = 80, height: int = 60) -> Array:
    """A plain picture, uint8 [H, W, 3] RGB."""
    return np.full((height, width, 3), (red, green, 0), np.uint8)


def write_video(path: Path, frames: int, rate: float = 12.5, size: Mapping[str, int] | None = None) -> Path:
    """A video whose frames grow redder."""
    width, height = (size or {}).get("width", 80), (size or {}).get("height", 60)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    for number in range(frames):
        red = min(255, 40 + number * 200 // max(1, frames - 1))
        writer.write(np.ascontiguousarray(picture(red, width=width, height=height)[..., ::-1]))
    writer.release()
    return path
