"""Judges the PyTorch module written from a converted Darknet network: ONNX Runtime's numbers at batch 1 and 3."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.convert.to_torch.parity import MARGIN, compare, feeds, runtime_of, torch_run
from tests.goldens.cases import CASE_NAMES, FOLDER
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_torch.module import header_of, module_from_source
from zoo.convert.to_torch.source import write_source
from zoo.convert.to_torch.writer import write_program

# One recording of each cfg: another picture or another of the two programs makes no other module.
DISTINCT = sorted({(FOLDER / name / "net.cfg").read_bytes(): name for name in reversed(CASE_NAMES)}.values())


def check_torch(path: Path, data: Path) -> float:
    """Assert that the module written from the ONNX file `path` gives ONNX Runtime's numbers; returns the error."""
    torch.set_num_threads(1)  # the processes of a test run share the cores
    run, runtime = torch_run(module_of(path)), runtime_of(path)
    error = 0.0
    for batch in (1, 3):
        given = feeds(runtime.inputs, batch, data)
        parity = compare(runtime, given, run(given))
        assert parity.in_noise <= MARGIN, f"{path}, batch {batch}: {parity}"
        error = max(error, parity.error)
    return error


def module_of(path: Path) -> nn.Module:
    """What `load()` of the written model.py gives, without the files."""
    graph = simplified(read_graph(path))
    program = write_program(graph)
    return module_from_source(write_source(program, header_of(graph)), program.state())
