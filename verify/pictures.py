"""The user's pictures as samples: read, fitted to the model's input as the source's own program fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.verify.inputs import is_channels_last
from zoo.verify.runtimes.protocol import Array
from zoo.vision.preprocess import Fit, load_picture, preprocess

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
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UsageError("pictures need a model whose only input is a picture")
    (spec,) = inputs
    height, width = spec.shape[1:3] if is_channels_last(spec) else spec.shape[2:4]
    if not isinstance(height, int) or not isinstance(width, int):
        raise UsageError(f"the size of the input {spec.name} is not known: {list(spec.shape)}")
    fit: Fit = "letterbox" if detector.get("resize") == "letterbox" else "stretch"
    return {path.name: _as_input(preprocess(load_picture(path), width, height, fit)[0], spec) for path in paths}


def _as_input(picture: Array, spec: TensorSpec) -> Array:
    """[1, 3, H, W] in 0..1 in the layout and type of the input."""
    laid = picture.transpose(0, 2, 3, 1) if is_channels_last(spec) else picture
    return np.rint(laid * 255).astype(np.uint8) if spec.dtype == "uint8" else laid.astype(spec.dtype)
