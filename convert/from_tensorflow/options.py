"""What can be asked of a conversion from TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.base.errors import UsageError

PRE = ("image", "raw")
POST = ("detections", "raw")


@dataclass(frozen=True)
class TensorFlowSourceOptions:
    """`batch`, `width` and `height` fix the input's sizes; None leaves them to the caller of the model.

    `pre`: "image" takes uint8 pictures of any size, as the source does; "raw" takes what the network itself takes,
    resized and normalised. `post`: "detections" gives all that the source gives; "raw" the decoded boxes and the scores
    before suppression. `signature` is the SavedModel's; `time_limit`, in seconds, ends a conversion that hangs.
    """

    batch: int | None = None
    width: int | None = None
    height: int | None = None
    pre: str = "image"
    post: str = "detections"
    signature: str = "serving_default"
    time_limit: float = 900.0

    def __post_init__(self) -> None:
        for name in ("batch", "width", "height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        for name, known in (("pre", PRE), ("post", POST)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
