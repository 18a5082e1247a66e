"""The anchors of shapes-tiny, from the sizes of drawn shapes: `python -m zoo.shapes.anchors` prints the cfg's line.

Clustering as in YOLOv2 (Redmon and Farhadi 2017, section 2): the distance of two boxes is 1 − IoU on a shared centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.shapes.draw import SIZE, draw_scene

PICTURES = 1000
ANCHORS = 6
ROUNDS = 100

Sizes = NDArray[np.float64]


def drawn_sizes(pictures: int) -> Sizes:
    """Width and height [T, 2] of every shape of the training's first pictures, in pixels of the network's input."""
    return SIZE * np.concatenate([draw_scene(seed).boxes[:, 2:] for seed in range(pictures)])


def cluster(sizes: Sizes, count: int) -> Sizes:
    """`count` sizes [count, 2], small to large, that between them are like all of `sizes`."""
    by_area = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    centres: Sizes = by_area[np.linspace(0, len(by_area) - 1, count + 2).astype(int)[1:-1]]
    for _ in range(ROUNDS):
        shared = np.minimum(sizes[:, None], centres).prod(axis=2)
        union = sizes.prod(axis=1)[:, None] + centres.prod(axis=1) - shared
        nearest = (shared / union).argmax(axis=1)
        centres = np.stack([np.median(sizes[nearest == number], axis=0) for number in range(count)])
    return centres


def main() -> None:
    anchors = cluster(drawn_sizes(PICTURES), ANCHORS)
    print("anchors=" + ", ".join(f"{width:.0f},{height:.0f}" for width, height in anchors))


if __name__ == "__main__":
    main()
