"""Inputs of a model as small pictures inside a report. They are for the eye only; nothing is judged by them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from zoo.verify.runtimes.protocol import Array

LONGEST = 320  # pixels
LARGEST = 40_000  # bytes
QUALITIES = (85, 70, 50, 30)  # tried in turn until the picture is small enough


def thumbnail(feed: Array) -> tuple[str, float] | None:
    """A data URI of a JPEG, and width / height, of one input: float in 0..1 or uint8, [1, C, H, W] or [1, H, W, C].

    None where the input is no picture of one or three channels, or cannot be made small enough.
    """
    pixels = _pixels(feed)
    if pixels is None:
        return None
    image = Image.fromarray(pixels)
    aspect = image.width / image.height
    image.thumbnail((LONGEST, LONGEST))
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if len(file.getvalue()) <= LARGEST:
            return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"), aspect
    return None


def _pixels(feed: Array) -> Array | None:
    """uint8 [H, W, 3]."""
    if feed.ndim != 4 or 0 in feed.shape or not {1, 3} & {feed.shape[1], feed.shape[3]}:
        return None
    picture = feed[0] if feed.shape[3] in (1, 3) else feed[0].transpose(1, 2, 0)
    levels = picture if picture.dtype == np.uint8 else np.rint(np.clip(np.nan_to_num(picture), 0, 1) * 255)
    rgb: Array = np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)), np.uint8)
    return rgb
