"""Judges the PyTorch module written from a converted Darknet network: ONNX Runtime's numbers at batch 1 and 3."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

from tests.convert.to_torch.parity import MARGIN, Runtime, compare, feeds, torch_run
from tests.goldens.cases import CASE_NAMES, Case, load_case
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_torch.module import header_of, module_from_source
from zoo.convert.to_torch.source import write_source
from zoo.convert.to_torch.writer import write_program
from zoo.darknet import Layer, read_network


def check_torch(runtime: Runtime, data: Path) -> None:
    """Assert that the module written from the ONNX file of `runtime` gives its numbers."""
    torch.set_num_threads(1)  # the processes of a test run share the cores
    run = torch_run(module_of(runtime.path))
    for batch in (1, 3):
        given = feeds(runtime.inputs, batch, data)
        parity = compare(runtime, given, run(given), sparing=True)
        assert parity.in_noise <= MARGIN, f"{runtime.path}, batch {batch}: {parity}"


def is_first_of_its_network(case: Case) -> bool:
    """False where a recording before this one has the same layers: another picture, loss or training makes no other
    module.
    """
    before = CASE_NAMES[: CASE_NAMES.index(case.name)]
    alike = (
        other for name in before if (other := load_case(name, case.root)).record["params"] == case.record["params"]
    )
    layers = layers_of(case)
    return all(layers_of(other) != layers for other in alike)


def layers_of(case: Case) -> list[Layer]:
    """The layers of a recorded network, wherever they stand in its cfg."""
    network = read_network(case.cfg, dialect=case.dialect)
    return [dataclasses.replace(layer, line=0) for layer in network.layers]


def module_of(path: Path) -> nn.Module:
    """What `load()` of the written model.py gives, without the files."""
    graph = simplified(read_graph(path))
    program = write_program(graph)
    return module_from_source(write_source(program, header_of(graph)), program.state())
