"""A converted model in one runtime, from a picture to its detections, in three steps that can run in different threads.

The rules of both ends are `zoo.vision.contract`'s, those that verification uses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.artifact import Artifact
from zoo.base.errors import UsageError
from zoo.verify.detections import Candidates, Limits, Suppression, Truth, truth_of
from zoo.verify.runtimes.protocol import Runner, Settings, Tensors
from zoo.verify.runtimes.table import load_on
from zoo.vision.contract import Rule, detection_outputs, picture_input
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels, Placement

Array = NDArray[Any]

# Differences that a person looking at the pictures would not see; zoo verify judges by the measured noise instead.
VISIBLE = Limits(score=0.005, centre=0.002, side=0.01)


@dataclass(frozen=True)
class Prepared:
    """A picture as the input of a model, and where it lies in there."""

    feeds: Tensors
    placement: Placement


@dataclass(frozen=True)
class Raw:
    """What the model gave, and the seconds that it took."""

    outputs: dict[str, Array]
    seconds: float


class Detector:
    """A loaded model with its contract. `close` gives back what it holds."""

    def __init__(self, artifact: Artifact, runner: Runner, rule: Rule) -> None:
        self.artifact, self.runner, self.rule = artifact, runner, rule
        self.input = picture_input(runner.inputs, artifact.detector)
        names = [spec.name for spec in runner.outputs or artifact.outputs]
        self.outputs = detection_outputs(names, artifact.detector)
        batch = runner.inputs[0].shape[0]
        if isinstance(batch, int) and batch > 1:
            raise UsageError(
                f"{artifact.name} takes {batch} pictures at a time", hint="convert it with --batch 1, or an open batch"
            )

    @property
    def description(self) -> str:
        """The format, and what runs it where."""
        return f"{self.artifact.format} · {self.runner.runtime} · {self.runner.device}"

    def prepare(self, pixels: Pixels) -> Prepared:
        """A picture, uint8 [H, W, 3] RGB, as input."""
        tensor, placement = self.input.fill(pixels)
        return Prepared({self.input.name: tensor}, placement)

    def infer(self, prepared: Prepared) -> Raw:
        """One inference."""
        start = time.perf_counter()
        outputs = self.runner.run(prepared.feeds)
        return Raw(outputs, time.perf_counter() - start)

    def finish(self, raw: Raw, prepared: Prepared) -> Detections:
        """The detections, relative to the picture, best first."""
        return self.outputs.read(raw.outputs, prepared.placement, self.rule)

    def truth(self, raw: Raw, prepared: Prepared, found: Detections) -> Truth:
        """These detections as what others are compared with. Where the model gives its boxes before the suppression,
        ties in there explain differences; else only scores at the threshold do."""
        if self.outputs.suppresses_itself:
            return Truth(found, self.rule.threshold, VISIBLE, lambda trials: (found,))
        facts = self.artifact.detector
        suppression = Suppression(
            self.rule.threshold, self.rule.iou, facts.get("nms_kind", "default"), facts.get("beta_nms", 0.6)
        )
        boxes, scores = raw.outputs["boxes"][0], raw.outputs["scores"][0]
        return truth_of(Candidates(prepared.placement.undo(boxes), scores), suppression, VISIBLE)

    def with_rule(self, rule: Rule) -> Detector:
        """The same loaded model with another rule."""
        return Detector(self.artifact, self.runner, rule)

    def warm_up(self) -> None:
        """Run once, so that the first picture is not the one that pays for tracing and allocation."""
        self.infer(self.prepare(np.zeros((64, 64, 3), np.uint8)))

    def close(self) -> None:
        """Give the model back."""
        self.runner.close()


def open_detector(artifact: Artifact, rule: Rule, device: str = "cpu", settings: Settings | None = None) -> Detector:
    """Load a model. Raises UsageError where it is no detector of pictures, and what its runtime raises."""
    runner = load_on(artifact.model, artifact.format, device, settings or Settings())
    try:
        return Detector(artifact, runner, rule)
    except BaseException:
        runner.close()
        raise
