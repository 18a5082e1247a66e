"""Writes a module as one .tflite file: float32, float16 weights, or int8 with ranges measured on pictures.

A .tflite has fixed sizes: a dynamic batch becomes 1. The file is opened and run once before it counts as written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo.base.errors import ConversionError, UsageError
from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.module import GraphModule
from zoo.convert.to_tensorflow.saved_model import serving_function

FLEX = "model.tflite uses operators of TensorFlow: the interpreter needs the Flex delegate (Select TF ops)"


def with_fixed_batch(graph: Graph) -> Graph:
    """The graph with a first axis of dynamic size fixed to 1. Raises UsageError where another size is dynamic."""
    return dataclasses.replace(graph, inputs=tuple(_fixed(value) for value in graph.inputs))


def _fixed(value: Value) -> Value:
    shape = value.shape or ()
    sizes = tuple(1 if axis == 0 and not isinstance(size, int) else size for axis, size in enumerate(shape))
    if not all(isinstance(size, int) for size in sizes):
        raise UsageError(
            f"a .tflite has fixed sizes, but input {value.name!r} is {list(shape)}",
            hint="convert a model with fixed height and width to TFLite",
        )
    return dataclasses.replace(value, shape=sizes)


def tflite_of(
    module: GraphModule,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    fp16: bool = False,
    calibrate: Sequence[Path] = (),
) -> tuple[bytes, str]:
    """The content of the .tflite file, and a note: "" or what the file needs to run.

    `inputs` and `outputs` name its signature's. `calibrate` are pictures: their ranges decide int8's scales. Raises
    ConversionError where TensorFlow cannot express the module in TFLite or the file does not run.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [serving_function(module, inputs, outputs).get_concrete_function()], module
    )
    if fp16 or calibrate:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if fp16:
        converter.target_spec.supported_types = [tf.float16]
    if calibrate:
        converter.representative_dataset = lambda: _samples(module, calibrate)
    kinds = tf.lite.OpsSet
    own = [kinds.TFLITE_BUILTINS_INT8, kinds.TFLITE_BUILTINS] if calibrate else [kinds.TFLITE_BUILTINS]
    try:
        return _checked(converter, own), ""
    except Exception:  # TensorFlow documents no exception here: what TFLite lacks, TensorFlow's operators may give
        pass
    try:
        return _checked(converter, [*own, kinds.SELECT_TF_OPS]), FLEX
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ConversionError(
            f"TensorFlow cannot write the model as TFLite: {reason}", hint="convert without --tflite"
        ) from error


def _checked(converter: Any, operators: list[Any]) -> bytes:
    """The file's content, which was run once."""
    converter.target_spec.supported_ops = operators
    with quietly():
        content = bytes(converter.convert())
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.invoke()
    return content


def _samples(module: GraphModule, pictures: Sequence[Path]) -> Iterator[list[np.ndarray]]:
    """Each picture as the module's input: RGB, stretched; 0..1 where the input is float, else 0..255."""
    (spec,) = module.specs
    last = spec.shape[-1] == 3
    height, width = spec.shape[1:3] if last else spec.shape[2:4]
    for path in pictures:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        scaled = (pixels / 255 if spec.dtype.is_floating else pixels).astype(spec.dtype.as_numpy_dtype)
        yield [(scaled if last else scaled.transpose(2, 0, 1))[None]]
