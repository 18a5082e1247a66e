"""How each writer's result is run on a case: one entry for each target of the scoreboard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from tests.conformance.cases import Run
from tests.convert.judge import run_onnxruntime


def run_torch(model: onnx.ModelProto, inputs: list[np.ndarray]) -> list[np.ndarray]:
    import torch

    from zoo.convert.to_torch import module_from_onnx

    module = module_from_onnx(model)
    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(np.array(array)) for array in inputs))
    return [output.numpy() for output in outputs]


def run_tensorflow(model: onnx.ModelProto, inputs: list[np.ndarray]) -> list[np.ndarray]:
    from zoo.convert.to_tensorflow import module_from_onnx

    return [np.asarray(output.numpy()) for output in module_from_onnx(model)(*inputs)]


# Operators that the reader turns into initializers before a writer sees them.
READ = ("Constant",)


def torch_operators() -> set[str]:
    from zoo.convert.to_torch import operators  # noqa: F401  (importing it fills the table)
    from zoo.convert.to_torch.table import TABLE

    return {*TABLE, *READ}


def tensorflow_operators() -> set[str]:
    from zoo.convert.to_tensorflow import module  # noqa: F401  (importing it fills the table)
    from zoo.convert.to_tensorflow.operators.table import TABLE

    return {*TABLE, *READ}


# Target → how a case runs on it, and the operators that its table has (None: no table, all count).
WRITERS: dict[str, tuple[Run, Callable[[], set[str]] | None]] = {
    "PyTorch": (run_torch, torch_operators),
    "TensorFlow": (run_tensorflow, tensorflow_operators),
    "ONNX Runtime": (lambda model, inputs: run_onnxruntime(model, *inputs), None),
}
