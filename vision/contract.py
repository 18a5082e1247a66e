"""What stands around a detector: how a picture becomes its input, and how its outputs become detections.

The one implementation, for showing detections and for verifying them. What is special about a model comes from its
manifest: the names of inputs and outputs, and `detector`, which says how pictures are fitted and boxes suppressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.vision.fitting import Fitting, fitting_of
from zoo.vision.nms import Detections, detect
from zoo.vision.preprocess import Fit, Pixels, Placement, preprocess
from zoo.vision.suppression import BOXES, RULE, SCORES, centred, cornered, suppressed

Array = NDArray[Any]
Outputs = Mapping[str, Array]

CHANNELS = (1, 3)
BYTES = 255  # what white is in a picture of bytes
WHITE = "white"  # key of a manifest's `detector`: what floats of a picture go up to, where that is not 1


@dataclass(frozen=True)
class PictureInput:
    """The input of a model that takes pictures; `width` and `height` are None where it takes any size. `fit` goes by
    Darknet's rules, `fitting`, where there is one, by those of a TensorFlow source. `takes_bytes` is also true for
    floats from 0 to 255."""

    name: str
    dtype: str
    channels_last: bool
    width: int | None
    height: int | None
    fit: Fit
    takes_bytes: bool
    fitting: Fitting | None = None

    def fill(self, pixels: Pixels) -> tuple[Array, Placement]:
        """A picture, uint8 [H, W, 3] RGB, as the input [1, …], and where the picture lies in it."""
        height, width = pixels.shape[:2]
        if (
            self.width is None
            or self.height is None
            or ((width, height) == (self.width, self.height) and self.takes_bytes)
        ):
            whole = Placement(width, height, width, height)
            return self._laid(pixels.transpose(2, 0, 1)[np.newaxis], BYTES), whole
        if self.fitting:
            tensor, placement = self.fitting(pixels, self.width, self.height)
            return self._laid(tensor, BYTES), placement
        tensor, placement = preprocess(pixels.transpose(2, 0, 1), self.width, self.height, self.fit)
        return self._laid(tensor, 1), placement

    def _laid(self, planes: Array, white: int) -> Array:
        """[1, 3, H, W], 0 to `white`, in the layout, range and type of the input."""
        laid = planes.transpose(0, 2, 3, 1) if self.channels_last else planes
        wanted = BYTES if self.takes_bytes else 1
        if white != wanted:
            laid = laid * np.float32(BYTES) if wanted == BYTES else laid / np.float32(BYTES)
        if np.dtype(self.dtype).kind in "iu" and laid.dtype.kind == "f":
            levels = np.iinfo(self.dtype)
            laid = np.rint(laid).clip(levels.min, levels.max)  # a source may fill up with what no picture has
        return np.ascontiguousarray(laid, self.dtype)


def picture_input(inputs: Sequence[TensorSpec], detector: Mapping[str, Any]) -> PictureInput:
    """The input for pictures of a model with these `inputs`. Raises UsageError where it takes something else."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UsageError("pictures need a model whose only input is a picture")
    (spec,) = inputs
    last = is_channels_last(spec)
    height, width = spec.shape[1:3] if last else spec.shape[2:4]
    fit: Fit = "letterbox" if detector.get("resize") == "letterbox" else "stretch"
    return PictureInput(
        spec.name,
        spec.dtype,
        last,
        width if isinstance(width, int) and width > 0 else None,
        height if isinstance(height, int) and height > 0 else None,
        fit,
        spec.dtype == "uint8" or detector.get(WHITE) == BYTES,
        fitting_of(detector),
    )


def is_channels_last(spec: TensorSpec) -> bool:
    """Whether a picture input is [N, H, W, C]: by its last dimension, else by its type (bytes are, floats are not)."""
    if len(spec.shape) != 4:
        return False
    return spec.shape[1] not in CHANNELS and (spec.shape[3] in CHANNELS or spec.dtype == "uint8")


@dataclass(frozen=True)
class Rule:
    """What counts as a detection: a score above `threshold`, and no better box of the class that overlaps by more
    than `iou`. Models with a suppression of their own have applied their own limits before."""

    threshold: float = 0.25
    iou: float = 0.45

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("iou", self.iou)):
            if not 0 <= value <= 1:
                raise UsageError(f"the {name} must lie between 0 and 1, not {value}")


@dataclass(frozen=True)
class DetectionOutputs:
    """How the outputs of a model are read: `kind` is a key of `READERS`, `detector` that of its manifest."""

    kind: str
    detector: Mapping[str, Any] = field(default_factory=dict)

    @property
    def suppresses_itself(self) -> bool:
        """Whether the suppression is the model's own: inside of it, or what its source has there, done here."""
        return self.kind != "decoded"

    def read(self, outputs: Outputs, placement: Placement, rule: Rule, picture: int = 0) -> Detections:
        """The detections on one picture of the batch, best first, relative to the picture."""
        return READERS[self.kind](
            {name: array[picture] for name, array in outputs.items()}, self.detector, placement, rule
        )


def detection_outputs(names: Iterable[str], detector: Mapping[str, Any]) -> DetectionOutputs:
    """How to read a model that gives outputs of these `names`. Raises UsageError where they are no detections."""
    given = set(names)
    for kind, needed in NEEDED.items():
        if needed <= given and (kind != "raw" or RULE in detector):
            return DetectionOutputs(kind, detector)
    if NEEDED["raw"] <= given:
        raise UsageError(
            f"the model gives {BOXES} and {SCORES}, and no artifact.json says how its source suppresses them",
            hint="convert it again if an older zoo wrote it; a suppression over all classes together is never said",
        )
    known = "; ".join(", ".join(sorted(needed)) for needed in NEEDED.values())
    raise UsageError(
        f"the model gives {', '.join(sorted(given)) or 'no outputs'}: no detections (those would be {known})",
        hint="convert a detector with its detections: Darknet --heads decoded, TensorFlow --post detections",
    )


def corner_rows(rows: Array) -> Detections:
    """Rows [K, 6] of x1, y1, x2, y2, score, class, without those of score 0, which fill up."""
    used = rows[rows[:, 4] > 0].astype(np.float64)
    boxes = np.concatenate([(used[:, :2] + used[:, 2:4]) / 2, used[:, 2:4] - used[:, :2]], axis=1)
    return Detections(boxes, used[:, 4], used[:, 5].astype(np.int64))


def _decoded(outputs: Outputs, detector: Mapping[str, Any], placement: Placement, rule: Rule) -> Detections:
    """Boxes and scores of a Darknet network. The boxes are put back onto the picture before the suppression, as
    Darknet does: how near two boxes are depends on the shape of the picture."""
    return detect(
        placement.undo(outputs["boxes"]),
        outputs["scores"],
        threshold=rule.threshold,
        iou=rule.iou,
        kind=detector.get("nms_kind", "default"),
        beta=detector.get("beta_nms", 0.6),
    )


def _rows(outputs: Outputs, detector: Mapping[str, Any], placement: Placement, rule: Rule) -> Detections:
    """Rows after the suppression that a converted Darknet network has with `--nms`."""
    found = corner_rows(outputs["detections"])
    kept = _best(found.scores, rule.threshold)
    return Detections(placement.undo(found.boxes[kept]), found.scores[kept], found.classes[kept])


def _tensorflow(outputs: Outputs, detector: Mapping[str, Any], placement: Placement, rule: Rule) -> Detections:
    """Detections of the TensorFlow zoos: corners as ymin, xmin, ymax, xmax; classes count from `first_class`. The graph
    clips boxes to its input; where more than the picture is in there, they are clipped to the picture here, as the
    source does it (but boxes with masks: those would no longer fit them)."""
    count = int(outputs["num_detections"]) if "num_detections" in outputs else len(outputs["detection_scores"])
    kept = _best(outputs["detection_scores"][:count], rule.threshold)
    boxes = placement.undo(centred(outputs["detection_boxes"][kept].astype(np.float64)))
    classes = np.rint(outputs["detection_classes"][kept]).astype(np.int64) - int(detector.get("first_class", 1))
    masks = outputs["detection_masks"][kept] if "detection_masks" in outputs else None
    if not placement.is_whole and masks is None:
        boxes = centred(cornered(boxes).clip(0, 1))
    return Detections(boxes, outputs["detection_scores"][kept], classes, masks)


def _raw(outputs: Outputs, detector: Mapping[str, Any], placement: Placement, rule: Rule) -> Detections:
    """Boxes and scores of the TensorFlow zoos before the suppression, which is the source's own. The boxes are put back
    onto the picture first: its edges are where the source clips them."""
    if not placement.is_whole:
        boxes = placement.undo(centred(outputs[BOXES].astype(np.float64)))
        outputs = {**outputs, BOXES: cornered(boxes)}
    return suppressed(outputs, detector[RULE], rule.threshold)


def _best(scores: Array, threshold: float) -> NDArray[np.intp]:
    """The positions of the scores above the threshold, best first."""
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > threshold]


# Kind of outputs → the names that it needs; the first that fits is taken.
NEEDED = {
    "rows": {"detections"},
    "decoded": {"boxes", "scores"},
    "tensorflow": {"detection_boxes", "detection_scores", "detection_classes"},
    "raw": {BOXES, SCORES},
}
READERS: dict[str, Callable[[Outputs, Mapping[str, Any], Placement, Rule], Detections]] = {
    "rows": _rows,
    "decoded": _decoded,
    "tensorflow": _tensorflow,
    "raw": _raw,
}
