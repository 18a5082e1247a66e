"""From an ONNX model in memory to a living nn.Module: the written source, executed.

`module_from_onnx` runs exactly the text that `onnx_to_torch` writes as `model.py`, so the two cannot differ. That the
text may be run at all rests on code.py: a name or attribute of an ONNX file only ever becomes a quoted literal or, by
naming.py, a new identifier. Whoever imports `model.py` relies on the same, so running it here adds no risk.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import onnx

from zoo.base.artifact import TensorSpec
from zoo.base.optional import require
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_torch.source import Header, write_source
from zoo.convert.to_torch.writer import write_program

if TYPE_CHECKING:
    from torch import Tensor, nn


def module_from_onnx(model: onnx.ModelProto) -> nn.Module:
    """The model as a module in eval mode, on the CPU: positional inputs in the graph's order, a tuple of outputs.

    Raises ConversionError where the model is damaged or has an operator that cannot be written, MissingBackend where
    PyTorch is not installed.
    """
    require("torch", "converting to PyTorch")
    graph = simplified(graph_of(model))
    program = write_program(graph)
    return module_from_source(write_source(program, header_of(graph)), program.state())


def header_of(graph: Graph, title: str = "", lines: tuple[str, ...] = ()) -> Header:
    """The header that says what is known of the graph's inputs and outputs."""
    inputs, outputs = (tuple(spec_of(value) for value in values) for values in (graph.inputs, graph.outputs))
    return Header(title or "A model written by zoo from ONNX.", lines, inputs, outputs)


def spec_of(value: Value) -> TensorSpec:
    shape = value.shape if value.shape is not None else ("...",)
    sizes = tuple("?" if size is None else size for size in shape)
    return TensorSpec(value.name, value.dtype.name if value.dtype is not None else "sequence", sizes)


def module_from_source(source: str, state: dict[str, np.ndarray]) -> nn.Module:
    """An instance of the class `Model` of `source`, with copies of the weights in `state`, in eval mode."""
    import torch

    namespace = _imported(source)
    with torch.device("meta"):
        module: nn.Module = namespace.Model()
    module.load_state_dict({name: _tensor(array) for name, array in state.items()}, assign=True)
    return module.eval()


def module_from_file(path: Path, weights: str) -> nn.Module:
    """What `load()` of a written `model.py` returns, its weights mapped from the file `weights` beside it."""
    namespace = _imported(path.read_text(encoding="utf-8"))
    module: nn.Module = namespace.load(path.with_name(weights))
    return module


def _imported(source: str) -> ModuleType:
    """The text as a module. torch.compile and torch.export want to find it in `sys.modules`."""
    name = f"zoo_model_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(name, _Text(source))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def _tensor(array: np.ndarray) -> Tensor:
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array.view(np.int16), order="C")).view(torch.bfloat16)
    return torch.from_numpy(np.array(array, order="C"))  # a copy: the array is read-only and may be a mapped file


class _Text(importlib.abc.InspectLoader):
    """Imports a module from text, so that tracebacks and torch.compile can show its lines."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return self._source
