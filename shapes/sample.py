"""The picture that `zoo demo` looks at: `python -m zoo.shapes.sample` draws sample.png again.

Its seed is none of the training's and none of the evaluation's. It was chosen, by eye, for a clear demo: every label is
on it, some shapes partly behind others, and all are found. So it measures nothing; `evaluate` does. It is a little
wider than high, so that a box mapped back wrongly shows; much wider, and stretching it to the network's square would
squeeze the shapes beyond what the training showed.
"""

from __future__ import annotations

from PIL import Image

from zoo.base.files import atomic_file
from zoo.shapes import SAMPLE
from zoo.shapes.draw import Scene, draw_scene

SEED = 2_000_097
WIDTH, HEIGHT = 360, 320


def sample_scene() -> Scene:
    """The picture and its truth."""
    return draw_scene(SEED, WIDTH, HEIGHT)


def main() -> None:
    with atomic_file(SAMPLE) as file:
        Image.fromarray(sample_scene().pixels).save(file, "PNG", optimize=True)


if __name__ == "__main__":
    main()
