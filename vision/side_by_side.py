"""Several pictures of the same thing beside each other, each under its title. Draws; compares nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from zoo.vision.draw import Colour, text_font

WIDEST = 3840  # pixels of the whole; panels are scaled down to fit
GROUND: Colour = (24, 26, 30)
INK: Colour = (240, 240, 240)
SAME: Colour = (94, 200, 130)
DIFFERENT: Colour = (255, 120, 215)
GAP = 1 / 100  # of a panel's width
TITLE = 1 / 32  # of a panel's width


@dataclass(frozen=True)
class Panel:
    """A picture, its title, and a line of findings: `good` colours it."""

    picture: Image.Image
    title: str
    finding: str
    good: bool


def side_by_side(panels: Sequence[Panel]) -> Image.Image:
    """The panels, which are all of one size, in rows of at most `per_row`; width and height are even (for video)."""
    per_row = columns_of(len(panels), panels[0].picture.size)
    rows = math.ceil(len(panels) / per_row)
    width = min(panels[0].picture.width, WIDEST // per_row)
    height = max(1, round(panels[0].picture.height * width / panels[0].picture.width))
    gap, text = max(2, round(width * GAP)), max(12, round(width * TITLE))
    head = round(text * 3.1)
    size = (per_row * width + (per_row - 1) * gap, rows * (height + head))
    whole = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), GROUND)
    for number, panel in enumerate(panels):
        left, top = number % per_row * (width + gap), number // per_row * (height + head)
        _head(whole, panel, (left, top), width, text)
        same = panel.picture.size == (width, height)
        whole.paste(panel.picture if same else panel.picture.resize((width, height)), (left, top + head))
    return whole


def columns_of(count: int, size: tuple[int, int]) -> int:
    """How many panels of this size go in a row: so many that the whole is about as wide as a screen is (16:9)."""
    width, height = size
    shapes = {columns: columns * width / (math.ceil(count / columns) * height) for columns in range(1, count + 1)}
    return min(shapes, key=lambda columns: (abs(math.log(shapes[columns] / (16 / 9))), columns))


def _head(whole: Image.Image, panel: Panel, corner: tuple[int, int], width: int, text: int) -> None:
    """Title and finding, each on a line, smaller where they would not fit."""
    draw = ImageDraw.Draw(whole)
    pad = text // 3
    colour = SAME if panel.good else DIFFERENT
    for line, (words, ink) in enumerate(((panel.title, INK), (panel.finding, colour))):
        needed = text_font(text).getbbox(words)[2]
        font = text_font(max(8, math.floor(text * min(1, (width - 2 * pad) / max(1, needed)))))
        draw.text((corner[0] + pad, corner[1] + pad + line * text * 1.3), words, fill=ink, font=font, anchor="la")
