"""Imports of optional packages: a missing one is an error that names the line to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from zoo.base.errors import MissingBackend

# Import name → the extra of detector-zoo that brings it.
EXTRAS = {
    "onnxruntime": "cpu",
    "torch": "torch",
    "safetensors": "torch",
    "tensorflow": "tf",
    "tf2onnx": "tf",
    "cv2": "opencv",
}


def require(module: str, purpose: str) -> ModuleType:
    """Import `module` (a key of `EXTRAS`, or a submodule of one), which `purpose` needs.

    Raises MissingBackend, with the line to install it, where it is not there or does not load.
    """
    extra = EXTRAS[module.partition(".")[0]]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingBackend(
            f"{purpose} needs the package {module!r}, which cannot be imported here: {error}",
            hint=f"install it with: pip install 'detector-zoo[{extra}]'   (zoo doctor shows what is here)",
        ) from error
