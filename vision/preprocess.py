"""A picture → the input of a Darknet network, by Darknet's own rules (image.c), and boxes back to the picture.

Resizing is bilinear with aligned corners in float32, first along the rows, then along the columns; it is not the
half-pixel rule of OpenCV, Pillow or TensorFlow. Pictures are [C, H, W], RGB, bytes or float32 in 0..1. Draws nothing.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from zoo.base.errors import UsageError

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Fit = Literal["stretch", "letterbox"]

BYTE = np.float32(255)
GREY = np.float32(0.5)  # what Darknet fills the letterbox with
MAX_PIXELS = 100_000_000  # 300 MB decoded; a larger picture is refused before it is decoded
# Told by the file's content, whatever its name. Of the other kinds Pillow hands some to programs (PostScript).
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "TGA")


@dataclass(frozen=True)
class Placement:
    """Where a picture lies inside the network input, in pixels of that input: `left`, `top`, `width`, `height`; in its
    middle, or in its upper left corner.

    The integers are where Darknet pastes the picture; `undo` uses the exact middle, as Darknet's correction does.
    """

    network_width: int
    network_height: int
    width: int
    height: int
    corner: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing but the picture is in the input."""
        return (self.width, self.height) == (self.network_width, self.network_height)

    @property
    def left(self) -> int:
        return 0 if self.corner else (self.network_width - self.width) // 2

    @property
    def top(self) -> int:
        return 0 if self.corner else (self.network_height - self.height) // 2

    def undo(self, boxes: NDArray[Any]) -> NDArray[Any]:
        """Boxes [..., 4] (centre x, y, width, height relative to the network input) relative to the picture."""
        network = np.array([self.network_width, self.network_height], boxes.dtype)
        inside = np.array([self.width, self.height], boxes.dtype)
        begin = np.zeros_like(network) if self.corner else (network - inside) / 2 / network
        centre = (boxes[..., :2] - begin) / (inside / network)
        return np.concatenate([centre, boxes[..., 2:] * (network / inside)], axis=-1)


def load_picture(path: Path) -> Array:
    """Decode a picture file to float32 [3, H, W], RGB, 0..1. See `load_pixels`."""
    return _in_units(np.ascontiguousarray(load_pixels(path).transpose(2, 0, 1)))


def load_pixels(file: Path | BinaryIO, name: str = "") -> Pixels:
    """Decode a picture to uint8 [H, W, 3], RGB; `name` is what errors call a file without a path.

    Grey pictures become RGB, transparency is dropped, as in Darknet. JPEG pixels can differ from Darknet's by a few
    of 255 levels: its decoder (stb_image) and Pillow's (libjpeg) round and upsample the colours differently. Raises
    UsageError where the file is missing, not a picture, broken, or larger than `MAX_PIXELS`.
    """
    name = name or (file.name if isinstance(file, Path) else "the picture")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise UsageError(
                    f"{name}: expected a picture of at most {MAX_PIXELS} pixels, "
                    f"found {picture.width} × {picture.height}",
                    hint="scale it down first; a network sees a few hundred pixels in each direction",
                )
            return np.asarray(_eight_bits(picture).convert("RGB"))
    except UnidentifiedImageError as error:
        found = "something else" if _has_content(file) else "an empty file"
        raise UsageError(f"{name}: expected a picture (JPEG, PNG, …), found {found}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot read the picture {file if isinstance(file, Path) else name}: {error}") from error


def _has_content(file: Path | BinaryIO) -> bool:
    return bool(file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits by its upper byte, as stb_image does; Pillow's own conversion would clip it."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def resize(picture: Array | Pixels, width: int, height: int) -> Array:
    """Darknet's resize_image: [C, H, W] → [C, height, width], float32 at every step as in C.

    Bytes (0..255) become 0..1 on the way: only the pixels that count are converted, so a large picture costs little.
    """
    if picture.shape[1:] == (height, width):
        return _in_units(picture.copy())
    old_height, old_width = picture.shape[1:]
    pixels = picture.transpose(1, 2, 0)  # so that the channels of a decoded picture lie together
    left, across = _positions(old_width, width)
    upper, down = _positions(old_height, height)
    used, place = np.unique(np.concatenate([upper, np.minimum(upper + 1, old_height - 1)]), return_inverse=True)
    columns = _columns(pixels[used], left, across)
    rows = (1 - down)[:, None] * columns[place[:height]]
    # The last row takes from one row only: nearly black where rounding puts it just before the picture's last.
    rows[:-1] += down[:-1, None] * columns[place[height:-1]]
    return np.ascontiguousarray(rows.reshape(height, width, len(picture)).transpose(2, 0, 1))


def _columns(rows: NDArray[Any], left: NDArray[np.intp], across: Array) -> Array:
    """[H, W, C] resized along x, as [H, width · C], so that one row is one stretch of memory; the last column is
    copied."""
    height, old_width, channels = rows.shape
    if old_width == 1:
        return np.tile(_in_units(rows[:, 0]), len(left))
    share = np.repeat(across, channels)
    columns = _in_units(np.take(rows, left, axis=1)).reshape(height, -1) * (1 - share)
    columns += _in_units(np.take(rows, np.minimum(left + 1, old_width - 1), axis=1)).reshape(height, -1) * share
    columns[:, -channels:] = _in_units(rows[:, -1])
    return columns


def _in_units(picture: NDArray[Any]) -> Array:
    """Bytes as float32 0..1; what is float32 already, as it is."""
    return picture.astype(np.float32) / BYTE if picture.dtype == np.uint8 else picture


def _positions(old: int, new: int) -> tuple[NDArray[np.intp], Array]:
    """For each new cell the old cell before it, and how far behind that it lies (0..1), corners aligned."""
    if new == 1:
        return np.zeros(1, np.intp), np.zeros(1, np.float32)
    exact = np.arange(new, dtype=np.float32) * (np.float32(old - 1) / np.float32(new - 1))
    before = exact.astype(np.intp)
    return before, exact - before.astype(np.float32)


def place(width: int, height: int, network_width: int, network_height: int, fit: Fit) -> Placement:
    """Where a picture of `width` × `height` goes: the whole input, or, letterboxed, as much as keeps its shape."""
    inner_width, inner_height = network_width, network_height
    if fit == "letterbox":
        if np.float32(network_width) / np.float32(width) < np.float32(network_height) / np.float32(height):
            inner_height = height * network_width // width
        else:
            inner_width = width * network_height // height
    return Placement(network_width, network_height, inner_width, inner_height)


def refuse_nothing(width: int, height: int, placement: Placement, hint: str) -> None:
    """Raise UsageError where of a picture of `width` × `height` less than a pixel is placed in some direction."""
    if placement.width < 1 or placement.height < 1:
        raise UsageError(
            f"a picture of {width} × {height} cannot be letterboxed into "
            f"{placement.network_width} × {placement.network_height}: less than one pixel would be left",
            hint=hint,
        )


def preprocess(picture: Array | Pixels, network_width: int, network_height: int, fit: Fit) -> tuple[Array, Placement]:
    """[3, H, W] → float32 [1, 3, network_height, network_width] and where the picture lies in it.

    AlexeyAB's programs stretch unless asked, pjreddie's always letterbox (with 0.5 grey).
    """
    placement = place(picture.shape[2], picture.shape[1], network_width, network_height, fit)
    refuse_nothing(picture.shape[2], picture.shape[1], placement, "stretch it instead, or crop it")
    resized = resize(picture, placement.width, placement.height)
    output = np.full((1, len(picture), network_height, network_width), GREY, np.float32)
    rows = slice(placement.top, placement.top + placement.height)
    output[0, :, rows, placement.left : placement.left + placement.width] = resized
    return output, placement
