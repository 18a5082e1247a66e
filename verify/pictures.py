"""The user's pictures as samples: read, fitted to the model's input as the source's own program fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.verify.runtimes.protocol import Array
from zoo.vision.contract import picture_input
from zoo.vision.preprocess import load_pixels

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def find_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder by name, not those in folders below. Raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of pictures")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"{folder} has no pictures", hint=f"looked for names ending in {', '.join(SUFFIXES)}")
    return found


def load_pictures(paths: Sequence[Path], inputs: Sequence[TensorSpec], detector: Mapping[str, Any]) -> dict[str, Array]:
    """File name → array for the only input, whose height and width are known.

    Raises UsageError where a file is no picture, or the model does not take one.
    """
    if not paths:
        return {}
    taken = picture_input(inputs, detector)
    if taken.width is None or taken.height is None:
        raise UsageError(f"the size of the input {taken.name} is not known: {list(inputs[0].shape)}")
    return {path.name: taken.fill(load_pixels(path))[0] for path in paths}
