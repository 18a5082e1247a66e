"""Draws the synthetic pictures on which shapes-tiny is trained and judged, with the boxes of what is on them.

A picture is decided by its seed and its size alone. Nothing is read from a file, and nothing is learned here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 160  # pixels, the network's input
MOST_SHAPES = 8
RADIUS = (0.06, 0.25)  # of the picture's shorter side, drawn log-uniformly
STRETCH = (0.8, 1.25)  # height to width of a shape
HIDDEN = 0.25  # two boxes may share at most this part of the smaller one
SUPERSAMPLING = 4

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One picture and its truth.

    `pixels` is uint8 [H, W, 3] RGB; `boxes` [K, 4] centre x, y, width, height relative to the picture; `classes`
    [K] indexes `LABELS`. Every shape lies wholly on the picture.
    """

    pixels: Pixels
    boxes: Floats
    classes: NDArray[np.int64]


def draw_scene(seed: int, width: int = SIZE, height: int = SIZE) -> Scene:
    """Draw the picture of `seed`, with 1 to `MOST_SHAPES` shapes on it."""
    random = np.random.Generator(np.random.PCG64(seed))
    canvas = _background(random, width, height)
    corners: list[Floats] = []
    classes: list[int] = []
    wanted = int(random.integers(1, MOST_SHAPES + 1))
    for _ in range(4 * wanted):  # a place may be taken; a crowded picture gets fewer shapes than wanted
        label = int(random.integers(len(LABELS)))
        outlines = _place(random, OUTLINES[LABELS[label]], width, height)
        box = np.concatenate([outlines[0].min(axis=0), outlines[0].max(axis=0)])
        if all(_hidden(box, other) <= HIDDEN for other in corners):
            _paint(random, canvas, outlines, box)
            corners.append(box)
            classes.append(label)
        if len(classes) == wanted:
            break
    canvas += random.normal(0, random.uniform(1, 9), canvas.shape)
    pixels = np.rint(canvas).clip(0, 255).astype(np.uint8)
    return Scene(pixels, _centred(np.array(corners), width, height), np.array(classes, np.int64))


def _polygon(*radii: float, points: int) -> Floats:
    """A closed outline around the origin [points, 2], whose corners take the given radii in turn."""
    angles = 2 * math.pi * np.arange(points) / points
    radius = np.resize(radii, points)
    return np.stack([radius * np.sin(angles), -radius * np.cos(angles)], axis=1)


def _cross(arm: float) -> Floats:
    """An upright cross with arms of half-width `arm`, all corners within radius 1."""
    tip = math.sqrt(1 - arm * arm)
    quarter = np.array([(arm, -arm), (arm, -tip), (-arm, -tip)])
    turn = np.array([(0, -1), (1, 0)])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


# Label → its outline, and where it has a hole, the outline of that. The order is the order of classes.
OUTLINES: dict[str, tuple[Floats, ...]] = {
    "circle": (_polygon(1, points=64),),
    "square": (_polygon(1, points=4),),
    "triangle": (_polygon(1, points=3),),
    "star": (_polygon(1, 0.42, points=10),),
    "ring": (_polygon(1, points=64), _polygon(0.55, points=64)),
    "cross": (_cross(0.3),),
}
LABELS = tuple(OUTLINES)


def _background(random: np.random.Generator, width: int, height: int) -> Floats:
    """A gradient between two colours, with soft clouds and with stripes of random strength [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    angle = random.uniform(0, 2 * math.pi)
    along = (np.cos(angle) * x + np.sin(angle) * y)[..., None]
    first, second = random.uniform(20, 235, (2, 3))
    clouds = random.normal(0, random.uniform(0, 24), (7, 7)).astype(np.float32)
    soft = np.asarray(Image.fromarray(clouds).resize((width, height), Image.Resampling.BICUBIC))[..., None]
    angle, cycles = random.uniform(0, 2 * math.pi), random.uniform(4, 30)
    stripes = np.sin(2 * math.pi * cycles * (np.cos(angle) * x + np.sin(angle) * y))[..., None]
    return np.asarray(first + (second - first) * along + soft + random.uniform(0, 14) * stripes)


def _place(random: np.random.Generator, outlines: tuple[Floats, ...], width: int, height: int) -> list[Floats]:
    """The outlines turned, stretched and moved to a random place on the picture, in pixels."""
    radius = min(width, height) * math.exp(random.uniform(*np.log(RADIUS)))
    stretch, angle = random.uniform(*STRETCH), random.uniform(0, 2 * math.pi)
    turn = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    placed = [outline @ turn * (radius / math.sqrt(stretch), radius * math.sqrt(stretch)) for outline in outlines]
    low, high = placed[0].min(axis=0), placed[0].max(axis=0)
    centre = random.uniform(-low, np.array([width, height]) - high)
    return [outline + centre for outline in placed]


def _hidden(a: Floats, b: Floats) -> float:
    """The part of the smaller of two boxes (x1, y1, x2, y2) that the other covers."""
    shared = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return float(shared / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def _paint(random: np.random.Generator, canvas: Floats, outlines: list[Floats], box: Floats) -> None:
    """Paint one shape on the canvas, in a colour that stands out there, a little lighter towards one side."""
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    patch = canvas[top:bottom, left:right]
    mask = _mask([outline - (left, top) for outline in outlines], right - left, bottom - top)
    candidates = random.uniform(0, 255, (4, 3))
    colour = candidates[np.argmax(np.linalg.norm(candidates - patch.mean(axis=(0, 1)), axis=1))]
    y, x = np.mgrid[-1 : 1 : patch.shape[0] * 1j, -1 : 1 : patch.shape[1] * 1j]
    slope = random.uniform(-20, 20, 2)
    patch += mask * (colour + (slope[0] * x + slope[1] * y)[..., None] - patch)


def _mask(outlines: list[Floats], width: int, height: int) -> Floats:
    """How much of each pixel the first outline, less the others, covers [height, width, 1]."""
    image = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(image)
    for fill, outline in zip((255, 0), outlines, strict=False):
        draw.polygon([tuple(point) for point in (outline * SUPERSAMPLING).tolist()], fill=fill)
    return np.asarray(image.reduce(SUPERSAMPLING), np.float64)[..., None] / 255


def _centred(corners: Floats, width: int, height: int) -> Floats:
    """x1, y1, x2, y2 in pixels as centre x, y, width, height, relative."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1) / [width, height, width, height]
