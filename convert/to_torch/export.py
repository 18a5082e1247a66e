"""`model.pt2`: a module through torch.export, with every dynamic size of the ONNX model left dynamic.

A `.pt2` runs without zoo and without `model.py`. Not every module can be exported: control flow that depends on data
cannot, and then the reason is given and `model.py` remains.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.convert.onnx_graph.graph import Graph, Value

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 2  # torch.export takes a size of 1 for a constant
SIZES = (96, 128, 160, 192, 224, 256, 288, 320)  # different ones, else torch.export takes equal sizes for the same one


@dataclass(frozen=True)
class Exported:
    """`reason` says why there is no `.pt2`; `fixed` names the dynamic sizes that the export could not keep dynamic."""

    reason: str = ""
    fixed: tuple[str, ...] = ()


def export(module: nn.Module, graph: Graph, path: Path, size: tuple[int, int], *, open_sizes: bool = True) -> Exported:
    """Export `module`, written from `graph`, to the file `path`. Nothing is written where it cannot be exported.

    As much stays dynamic as torch.export can carry: every size, unless `open_sizes` is False; else the batch, the first
    dimension of each input, with `size` (height, width) in place of the others; else nothing, at batch 1.
    """
    for value in graph.inputs:
        if value.shape is None or value.dtype is None:
            return Exported(reason=f"the shape of the input {value.name!r} is unknown")
    exported = Exported()
    for fixed in _attempts(graph, size, open_sizes):
        exported = _attempt(module, graph, path, fixed)
        if not exported.reason:
            break
    return exported


def _attempts(graph: Graph, size: tuple[int, int], open_sizes: bool) -> list[dict[str, int]]:
    """The sizes to fix, by name, in one attempt after the other. Where a graph leaves little open they are fewer."""
    batches, others = _open_names(graph)
    sizes = dict(zip(others, size, strict=False))
    attempts = [*([{}] if open_sizes else []), sizes, {**sizes, **dict.fromkeys(batches, 1)}]
    return [fixed for number, fixed in enumerate(attempts) if fixed not in attempts[:number]]


def _open_names(graph: Graph) -> tuple[list[str], list[str]]:
    """The names of the open sizes of all inputs: those of first dimensions, and the others."""
    axes = [item for value in graph.inputs for item in _open_axes(value).items()]
    batches = dict.fromkeys(name for axis, name in axes if axis == 0)
    return list(batches), list(dict.fromkeys(name for _, name in axes if name not in batches))


def _open_axes(value: Value) -> dict[int, str]:
    """The name of each open size of an input, by axis; a size without a name is no other one."""
    sizes = enumerate(value.shape or ())
    return {axis: size or f"{value.name} {axis}" for axis, size in sizes if not isinstance(size, int)}


def _attempt(module: nn.Module, graph: Graph, path: Path, fixed: dict[str, int]) -> Exported:
    """Export with the sizes `fixed`, by name; the other open ones stay dynamic."""
    import torch

    try:
        arguments, dynamic = _arguments(graph, fixed)
        with _quiet(), torch.no_grad():
            _own_storage(module)
            program = torch.export.export(module, arguments, dynamic_shapes=dynamic, strict=False)
            _forget_origin(program)
            torch.export.save(program, path)
    except Exception as error:  # torch.export raises what its passes and the module raise
        path.unlink(missing_ok=True)
        return Exported(reason=_reason(error))
    return Exported(fixed=_fixed(program, graph))


def _own_storage(module: nn.Module) -> None:
    """Mapped weights are views of one file, and torch.export would save the whole file for each of them."""
    module.load_state_dict({name: tensor.clone() for name, tensor in module.state_dict().items()}, assign=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch.export warns of its own deprecations and prints whole graphs when it fails; the reason is in the error."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _arguments(graph: Graph, fixed: dict[str, int]) -> tuple[tuple[Tensor, ...], tuple[dict[int, Any], ...]]:
    """Example inputs, and which of their sizes are dynamic. Equal names of sizes get equal numbers."""
    import numpy as np
    import torch
    from torch.export import Dim

    batches, others = _open_names(graph)
    examples = dict(zip(others, cycle(SIZES), strict=False))
    numbers = {**dict.fromkeys(batches, BATCH), **examples, **fixed}
    arguments, dynamic = [], []
    for value in graph.inputs:
        names = _open_axes(value)
        shape = [numbers[names[axis]] if axis in names else size for axis, size in enumerate(value.shape or ())]
        arguments.append(torch.from_numpy(np.zeros(shape, value.dtype)))
        dynamic.append({axis: Dim.AUTO for axis, name in names.items() if name not in fixed})
    return tuple(arguments), tuple(dynamic)


def _forget_origin(program: Any) -> None:
    """Drop the stack traces, which hold paths of this machine, and the example inputs, which would be pickled."""
    program.example_inputs = None
    for graph_module in program.graph_module.modules():
        for node in getattr(getattr(graph_module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)


def _fixed(program: Any, graph: Graph) -> tuple[str, ...]:
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"][-len(graph.inputs) :]
    return tuple(
        f"size {axis} of {value.name} ({size or 'unnamed'}) is fixed to {node.meta['val'].shape[axis]}"
        for node, value in zip(placeholders, graph.inputs, strict=True)
        for axis, size in enumerate(value.shape or ())
        if not isinstance(size, int) and isinstance(node.meta["val"].shape[axis], int)
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
