"""Masks of things: from the small grid over a box, as networks give them, to pixels, and to COCO's text form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

LIMIT = 0.5  # a pixel belongs to the thing above it


def placed_mask(mask: Array, box: Array, size: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Where a mask lies on a picture of `size` (width, height): its rows, its columns, and bool [rows, columns].

    `mask` [h, w] in 0..1 covers `box` (centre x, y, width, height relative to the picture); bilinear, above `LIMIT`.
    """
    extent = np.array(size)
    low, sides = (box[:2] - box[2:] / 2) * extent, np.maximum(box[2:] * extent, 1e-6)
    first = np.clip(np.rint(low), 0, extent).astype(int)
    end = np.clip(np.rint(low + sides), first, extent).astype(int)
    columns, rows = slice(first[0], end[0]), slice(first[1], end[1])
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in shape:
        return rows, columns, np.zeros(shape, bool)
    cells = np.array(mask.shape[::-1])
    corners = np.concatenate([(first - low) / sides * cells, (end - low) / sides * cells])
    window = tuple(float(value) for value in np.clip(corners, 0, np.tile(cells, 2)))
    grid = Image.fromarray(mask.astype(np.float32))
    scaled = grid.resize(shape[::-1], Image.Resampling.BILINEAR, box=window)  # type: ignore[arg-type]
    return rows, columns, np.asarray(scaled) > LIMIT


def encode_mask(mask: Array, box: Array, size: tuple[int, int]) -> dict[str, Any]:
    """The mask on the whole picture as COCO's compressed run lengths: {"size": [height, width], "counts": text}.

    Runs go down the columns and begin with zeros; each is written as its difference to the one before the last, in
    groups of five bits from the lowest, the sixth saying that more follow, plus 48 (maskApi.c, rleToString).
    """
    whole = np.zeros(size[::-1], bool)
    rows, columns, inside = placed_mask(mask, box, size)
    whole[rows, columns] = inside
    flat = whole.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], [0] if flat[0] else [], changes, [flat.size]])).astype(int).tolist()
    text = "".join(_letters(count - (counts[at - 2] if at > 2 else 0)) for at, count in enumerate(counts))
    return {"size": [size[1], size[0]], "counts": text}


def _letters(value: int) -> str:
    letters = []
    while True:
        bits, value = value & 31, value >> 5
        more = value != (-1 if bits & 16 else 0)
        letters.append(chr(48 + (bits | 32 * more)))
        if not more:
            return "".join(letters)
