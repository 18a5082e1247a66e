"""A picture → the input of a file that was written for one size from a TensorFlow detector, as its source does it.

The rules are those of the manifest's `detector`: `resize`, `place`, `pad` and `coordinates` (see docs/convert.md); what
they are zoo.convert finds in the source. Resizing is ResizeBilinear (resize_bilinear_op.cc) in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import UsageError
from zoo.vision.preprocess import Array, Fit, Pixels, Placement, refuse_nothing

AGAIN = "convert the model again: zoo convert … --to …"
Colour = tuple[float, float, float]

HALF = np.float32(0.5)
GREY = (127.5, 127.5, 127.5)  # where nobody knows what the source fills up with
EXTREME = 1e6  # of a colour's levels: a source may fill up with what no picture has

# Rule → for the pixels 0, 1, … of the result and the sizes of the picture and the result: the points in the picture.
POINTS: dict[str, Callable[[Array, int, int], Array]] = {
    "asymmetric": lambda pixels, old, new: pixels * np.float32(old / new),
    "half_pixel": lambda pixels, old, new: (pixels + HALF) * np.float32(old / new) - HALF,
    "align_corners": lambda pixels, old, new: pixels * np.float32((old - 1) / max(new - 1, 1)),
}


@dataclass(frozen=True)
class Fitting:
    """How a picture comes into an input of one size. `corner`: a letterbox begins in the upper left corner, else the
    picture is in its middle; `pad` is the colour around it, 0 to 255; `coordinates` is a key of `POINTS`."""

    fit: Fit
    corner: bool
    pad: Colour
    coordinates: str

    def __call__(self, pixels: Pixels, width: int, height: int) -> tuple[Array, Placement]:
        """uint8 [H, W, 3] → float32 [1, 3, height, width], 0 to 255, and where the picture lies in it."""
        placement = self._place(pixels.shape[1], pixels.shape[0], width, height)
        output = np.empty((height, width, 3), np.float32)
        output[:] = self.pad
        rows = slice(placement.top, placement.top + placement.height)
        columns = slice(placement.left, placement.left + placement.width)
        output[rows, columns] = resize(pixels, placement.width, placement.height, self.coordinates)
        return output.transpose(2, 0, 1)[np.newaxis], placement

    def _place(self, width: int, height: int, network_width: int, network_height: int) -> Placement:
        """As much of the input as keeps the picture's shape, rounded as the API's resize_to_range does."""
        if self.fit == "stretch":
            return Placement(network_width, network_height, network_width, network_height)
        scale = min(network_width / width, network_height / height)
        inner = round(width * scale), round(height * scale)
        placement = Placement(network_width, network_height, *inner, self.corner)
        refuse_nothing(width, height, placement, "crop it")
        return placement


def fitting_of(detector: Mapping[str, Any]) -> Fitting | None:
    """What a manifest's `detector` says of the source's own resizer; None where it says nothing."""
    if not {"place", "coordinates"} & set(detector):
        return None
    coordinates = detector.get("coordinates", "half_pixel")
    if not isinstance(coordinates, str) or coordinates not in POINTS:
        raise UsageError(f"artifact.json names an unknown rule to resize by: {coordinates!r}", hint=AGAIN)
    fit: Fit = "letterbox" if detector.get("resize") == "letterbox" else "stretch"
    return Fitting(fit, detector.get("place") == "corner", _colour(detector.get("pad", GREY)), coordinates)


def _colour(told: Any) -> Colour:
    is_colour = isinstance(told, (list, tuple)) and len(told) == 3
    if not is_colour or not all(isinstance(level, (int, float)) and abs(level) <= EXTREME for level in told):
        raise UsageError(f"artifact.json names a colour that is none: {told!r}", hint=AGAIN)
    red, green, blue = told
    return float(red), float(green), float(blue)


def resize(pixels: Pixels, width: int, height: int, coordinates: str) -> Array:
    """uint8 [H, W, 3] → float32 [height, width, 3], 0 to 255: in each direction the two neighbours of a point, blended
    as a + (b - a) · share."""
    upper, lower, down = _neighbours(pixels.shape[0], height, coordinates)
    left, right, across = _neighbours(pixels.shape[1], width, coordinates)
    used, place = np.unique(np.concatenate([upper, lower]), return_inverse=True)
    taken = pixels[used]
    rows = _blend(np.take(taken, left, axis=1), np.take(taken, right, axis=1), across[:, None])
    return _blend(rows[place[:height]], rows[place[height:]], down[:, None, None])


def _neighbours(old: int, new: int, coordinates: str) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """For each pixel of the result the pixels before and behind its point, and how far between them that lies."""
    points = POINTS[coordinates](np.arange(new, dtype=np.float32), old, new)
    floor = np.floor(points)
    before, behind = np.maximum(floor, 0), np.minimum(np.ceil(points), old - 1)
    return before.astype(np.intp), behind.astype(np.intp), points - floor


def _blend(first: NDArray[Any], second: NDArray[Any], share: Array) -> Array:
    start = first.astype(np.float32)
    result: Array = start + (second - start) * share
    return result
