"""Detections on a picture: the model's own pre-processing, one inference, Darknet's non-maximum suppression."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from zoo.base.artifact import Artifact
from zoo.base.errors import UsageError
from zoo.verify.runtimes.protocol import Array, Settings
from zoo.verify.runtimes.table import load_on
from zoo.vision.nms import Detections, detect
from zoo.vision.preprocess import load_picture, preprocess


def detect_in_picture(
    artifact: Artifact,
    picture: Path | Array,
    *,
    threshold: float = 0.25,
    iou: float = 0.45,
    device: str = "cpu",
    settings: Settings | None = None,
) -> Detections:
    """What the converted Darknet detector sees in one picture: a file, or float32 [3, H, W], RGB, 0..1.

    Boxes are (centre x, y, width, height) relative to the picture. Raises UsageError where the artifact has no
    decoded outputs `boxes` and `scores`, or the picture cannot be read.
    """
    names = {output.name for output in artifact.outputs}
    if not {"boxes", "scores"} <= names:
        raise UsageError(
            f"{artifact.name} ({artifact.format}) gives {', '.join(sorted(names))}, not boxes and scores",
            hint="convert it with decoded heads: zoo convert … --heads decoded",
        )
    pixels = load_picture(picture) if isinstance(picture, Path) else picture
    with closing(load_on(artifact.model, artifact.format, device, settings or Settings())) as runner:
        (image,) = runner.inputs
        height, width = image.shape[-2:]
        if not isinstance(height, int) or not isinstance(width, int):
            raise UsageError(f"{artifact.name} leaves its input size open", hint="convert it with --width and --height")
        tensor, placement = preprocess(pixels, width, height, artifact.detector["resize"])
        outputs = runner.run({image.name: tensor})
    # Before suppression, as Darknet does it: how near two boxes are depends on the shape of the picture.
    return detect(
        placement.undo(np.asarray(outputs["boxes"][0])),
        np.asarray(outputs["scores"][0]),
        threshold=threshold,
        iou=iou,
        kind=artifact.detector["nms_kind"],
        beta=artifact.detector["beta_nms"],
    )
