"""What may be asked of the converter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo.base.errors import UsageError


@dataclass(frozen=True)
class DarknetOptions:
    """`heads` "decoded" gives boxes and scores (or probabilities), "raw" what Darknet holds after each head.

    `nms` appends `detections` [N, max_detections, 6]. `keep_batch_norm` leaves batch normalisation as nodes.
    `dynamic_size` leaves height and width open. `batch` None is dynamic. `width`, `height` override the cfg's.
    `layers` converts the first layers only: what a partial weights file (.conv.74) holds.
    """

    heads: Literal["decoded", "raw"] = "decoded"
    nms: bool = False
    iou_threshold: float = 0.45
    score_threshold: float = 0.25
    max_detections: int = 300
    keep_batch_norm: bool = False
    dynamic_size: bool = False
    batch: int | None = None
    width: int | None = None
    height: int | None = None
    dialect: Literal["auto", "alexey", "pj"] = "auto"
    layers: int | None = None

    def __post_init__(self) -> None:
        if self.heads not in ("decoded", "raw"):
            raise UsageError(f"expected heads decoded or raw, found {self.heads!r}")
        if self.nms and self.heads == "raw":
            raise UsageError("nms needs decoded heads, found heads raw")
        for name in ("batch", "width", "height", "layers", "max_detections"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"expected {name} of at least 1, found {value}")
        if not (0 < self.iou_threshold <= 1 and 0 < self.score_threshold <= 1):
            raise UsageError("expected thresholds above 0 and at most 1")
