"""Draws detections on a picture: mask, frame, label and score of each. Decides nothing about what is shown.

Line width and text follow the size of the picture; each class always has the same colour, whatever else is found.
"""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo.vision.masks import placed_mask
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels

Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two belong to it
Size = tuple[int, int]  # width, height

GOLDEN = 0.618034  # of the colour circle from one class to the next: neighbours in number differ most
MARK: Colour = (255, 0, 200)  # the frame around what is marked; no class has it
MASK = 0.45  # how much of a mask's pixels is its colour
HALO: Colour = (20, 20, 20)  # around a frame, so that it shows on its own colour too
LINE = 1 / 180  # of the picture's shorter side
TEXT = 1 / 34
SMALLEST_TEXT = 11  # pixels


def draw_detections(
    picture: Image.Image | Pixels,
    detections: Detections,
    labels: Sequence[str],
    marked: Collection[int] = (),
) -> Image.Image:
    """A copy of `picture` with the detections drawn on it: see `draw_on`."""
    pixels = np.asarray(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture
    return Image.fromarray(draw_on(pixels, detections, labels, marked))


def draw_on(picture: Pixels, detections: Detections, labels: Sequence[str], marked: Collection[int] = ()) -> Pixels:
    """A copy of uint8 [H, W, 3] RGB with the detections drawn on it, the best on top.

    `detections.boxes` are relative to the picture. A class beyond `labels` is shown by its number. Those at the
    positions `marked` get a second, striking frame. Only the pixels that change are touched after the one copy: a
    video has no time for more.
    """
    pixels = _with_masks(picture, detections)
    size = (pixels.shape[1], pixels.shape[0])
    shorter = min(size)
    line, height = max(1, round(shorter * LINE)), max(SMALLEST_TEXT, shorter * TEXT)
    colours = [class_colour(int(label)) for label in detections.classes]
    frames = [_frame(box, size) for box in detections.boxes]
    texts = [f"{label_of(int(c), labels)} {s:.2f}" for c, s in zip(detections.classes, detections.scores, strict=True)]
    tags = [_tag(text, colour, height, line) for text, colour in zip(texts, colours, strict=True)]
    plates: list[Rectangle] = []
    for frame, tag in zip(frames, tags, strict=True):
        plates.append(_plate(frame, (tag.shape[1], tag.shape[0]), size, plates))
    for number in reversed(range(len(frames))):
        if number in marked:
            _outline(pixels, _grown(frames[number], 2 * line + 1), MARK, 2 * line)
        _outline(pixels, frames[number], colours[number], line)
    for number in reversed(range(len(frames))):
        left, top, right, bottom = plates[number]
        place = pixels[top : bottom + 1, left : right + 1]
        place[:] = tags[number][: place.shape[0], : place.shape[1]]
    return pixels


@functools.lru_cache(maxsize=256)
def _tag(text: str, colour: Colour, height: float, line: int) -> Pixels:
    """The plate with the text on it; on a video the same ones come again and again."""
    font = text_font(height)
    image = Image.new("RGB", _text_size(font, text, line), colour)
    ImageDraw.Draw(image).text((line, line), text, fill=text_colour(colour), font=font, anchor="la")
    return np.asarray(image)


@functools.lru_cache(maxsize=8)
def text_font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font in a size of pixels: the same on every machine."""
    return ImageFont.load_default(size)


def class_colour(label: int) -> Colour:
    """The colour of a class: hues by the golden ratio, in two strengths."""
    red, green, blue = colorsys.hsv_to_rgb((0.56 + label * GOLDEN) % 1, 0.9 if label % 2 else 0.7, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever has the higher contrast by WCAG 2.2 (relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 >= 1.05 * 0.05 else (255, 255, 255)


def _with_masks(picture: Pixels, detections: Detections) -> Pixels:
    """A copy of the picture, with the masks over it, each in the colour of its class."""
    pixels = picture.copy()
    size = (pixels.shape[1], pixels.shape[0])
    for number in reversed(range(0 if detections.masks is None else len(detections))):
        assert detections.masks is not None
        rows, columns, inside = placed_mask(detections.masks[number], detections.boxes[number], size)
        colour = np.array(class_colour(int(detections.classes[number])), np.float32)
        part = pixels[rows, columns]  # a view
        part[inside] = np.rint(part[inside] * (1 - MASK) + colour * MASK).astype(np.uint8)
    return pixels


def _grown(frame: Rectangle, by: int) -> Rectangle:
    return frame[0] - by, frame[1] - by, frame[2] + by, frame[3] + by


def label_of(label: int, labels: Sequence[str]) -> str:
    """The name of a class, or its number where it has none."""
    return (labels[label] if label < len(labels) else "") or f"class {label}"


def _frame(box: NDArray[Any], size: Size) -> Rectangle:
    """Centre x, y, width, height, relative → the rectangle, as far as it is on the picture."""
    centre, half, last = np.array(box[:2]), np.array(box[2:]) / 2, np.array(size) - 1
    low = np.rint((centre - half) * size).clip(0, last)
    high = np.rint((centre + half) * size).clip(low, last)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _outline(pixels: Pixels, frame: Rectangle, colour: Colour, line: int) -> None:
    _hollow(pixels, _grown(frame, 1), HALO, line + 2)
    _hollow(pixels, frame, colour, line)


def _hollow(pixels: Pixels, frame: Rectangle, colour: Colour, line: int) -> None:
    """A frame of `line` pixels inwards, as far as it is on the picture."""
    left, top, right, bottom = (max(0, side) for side in (frame[0], frame[1], frame[2] + 1, frame[3] + 1))
    inner_left, inner_top, inner_right, inner_bottom = (
        max(0, side) for side in (frame[0] + line, frame[1] + line, frame[2] + 1 - line, frame[3] + 1 - line)
    )
    pixels[top : min(inner_top, bottom), left:right] = colour
    pixels[max(inner_bottom, top) : bottom, left:right] = colour
    pixels[top:bottom, left : min(inner_left, right)] = colour
    pixels[top:bottom, max(inner_right, left) : right] = colour


def _text_size(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, pad: int) -> Size:
    """Width and height of the text's plate; the height is the same for every text."""
    width, height = font.getbbox(text)[2], font.getbbox("Ág")[3]
    return round(width) + 2 * pad, round(height) + 2 * pad


def _plate(frame: Rectangle, text: Size, size: Size, taken: Sequence[Rectangle]) -> Rectangle:
    """Where the text goes: above the frame, below, or inside it; the first place that is on the picture and free.

    Where none is, it goes inside, over what is there. The plate never leaves the picture while it fits on it.
    """
    left = max(0, min(frame[0], size[0] - text[0]))
    tops = (frame[1] - text[1], frame[3] + 1, frame[1])
    plates = [(left, top, left + text[0] - 1, top + text[1] - 1) for top in tops]
    for plate in plates:
        if plate[1] >= 0 and plate[3] < size[1] and not any(_meet(plate, other) for other in taken):
            return plate
    top = max(0, min(frame[1], size[1] - text[1]))
    return left, top, left + text[0] - 1, top + text[1] - 1


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
