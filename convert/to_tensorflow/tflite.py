"""Writes a module as one .tflite file: float32, float16 weights, or int8 with ranges measured on pictures.

A .tflite has fixed sizes, and so must the module. The file is opened and run once before it counts as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.base.errors import ConversionError, UsageError
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.module import GraphModule
from zoo.convert.to_tensorflow.saved_model import serving_function

MISSING = re.compile(r"^(?:TF Select|Custom) ops: (.*)$", re.MULTILINE)  # how the converter names what TFLite lacks
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
DECODED = ("PNG", "JPEG", "BMP", "WEBP")  # of what Pillow knows; some kinds it hands to programs
Pixels = NDArray[np.uint8]


def tflite_of(
    module: GraphModule,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    fp16: bool = False,
    calibrate: Sequence[Path] = (),
) -> bytes:
    """The content of the .tflite file. `inputs` and `outputs` name its signature's.

    `calibrate` are pictures, or folders of pictures: their ranges decide int8's scales. Only TFLite's own operators are
    used: what needs TensorFlow's (Flex) runs in few interpreters, and not in that of TensorFlow 2.21 for Python. Raises
    ConversionError, with the operators' names, where TFLite has not what the module needs or the file does not run;
    UsageError where there is nothing to calibrate with.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [serving_function(module, inputs, outputs).get_concrete_function()], module
    )
    if fp16 or calibrate:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if fp16:
        converter.target_spec.supported_types = [tf.float16]
    if calibrate:
        samples = list(_samples(module, calibrate))
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return _checked(converter)
    except Exception as error:  # TensorFlow documents no exception here
        raise ConversionError(
            f"TensorFlow cannot write the model as TFLite: {_reason(error)}", hint="convert without --tflite"
        ) from error


def _checked(converter: Any) -> bytes:
    """The file's content, which was run once."""
    with quietly():
        content = bytes(converter.convert())
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.invoke()
    return content


def _reason(error: Exception) -> str:
    """The operators that TFLite does not have, by the converter's message, or its first line."""
    missing = sorted({name for names in MISSING.findall(str(error)) for name in names.split(", ")})
    if missing:
        return f"TFLite has no {', '.join(missing)}"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _samples(module: GraphModule, paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Each picture as the module's input: RGB, stretched; 0..1 where the input is float, else 0..255."""
    spec = module.specs[0]
    if len(module.specs) != 1 or spec.shape.rank != 4 or 3 not in (spec.shape[1], spec.shape[-1]):
        raise UsageError("only a model with one input of RGB pictures can be calibrated with pictures")
    last = spec.shape[-1] == 3
    height, width = spec.shape[1:3] if last else spec.shape[2:4]
    for path in _pictures(paths):
        pixels = _pixels(path, width, height)
        scaled = (pixels / 255 if spec.dtype.is_floating else pixels).astype(spec.dtype.as_numpy_dtype)
        yield (scaled if last else scaled.transpose(2, 0, 1))[None]


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"{path}: no picture to calibrate with is there", hint=f"expected {', '.join(PICTURES)}")
        yield from found


def _pixels(path: Path, width: int, height: int) -> Pixels:
    try:
        with Image.open(path, formats=DECODED) as image:
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} is no picture: {error}", hint="give pictures that can be opened") from error
