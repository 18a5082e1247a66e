"""`zoo convert … --to torch`: writes model.py, model.safetensors, model.pt2 and their manifest into a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnx

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.files import atomic_folder
from zoo.base.optional import require
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_torch.code import VARIABLE
from zoo.convert.to_torch.export import Exported, export
from zoo.convert.to_torch.module import header_of, module_from_file
from zoo.convert.to_torch.program import Assign, Program
from zoo.convert.to_torch.safetensors import write_safetensors
from zoo.convert.to_torch.source import Header, write_source
from zoo.convert.to_torch.writer import write_program
from zoo.convert.versions import versions

SOURCE, WEIGHTS, EXPORTED = "model.py", "model.safetensors", "model.pt2"

SIZE_DEPENDENT = {"pad_same", "same_pads"}  # functions of a program whose sizes torch.export cannot follow
# Paddings that depend on a size, one on the other's result: with more torch.export works for minutes, or hours.
MOST_PADDINGS = 4


@dataclass(frozen=True)
class TorchOptions:
    """`export`: write model.pt2 as well. `size`: the height and width to which model.pt2 is fixed where they cannot
    stay dynamic: a padding that follows the size, in every layer, is more than torch.export's symbols can carry.
    """

    export: bool = True
    size: tuple[int, int] = (480, 640)


def onnx_to_torch(
    onnx_path: Path,
    out: Path,
    options: TorchOptions = TorchOptions(),
    *,
    name: str = "",
    labels: Sequence[str] = (),
    sources: Sequence[FileRecord] = (),
    parent: Artifact | None = None,
) -> Artifact:
    """Convert the ONNX file `onnx_path` into the folder `out`; returns the manifest that is written there.

    The file with the role "model" is model.pt2, or model.py where torch.export cannot express the model; the manifest's
    notes then give the reason. `parent` is the manifest of the ONNX file: name, family, labels, sources, detector and
    the meaning of inputs and outputs carry over, unless given. Raises ConversionError and then leaves nothing behind.
    """
    torch = require("torch", "converting to PyTorch")
    graph = simplified(read_graph(onnx_path))
    program = write_program(graph)
    name = name or (parent.name if parent else onnx_path.stem)
    with ThreadPoolExecutor(1) as aside, atomic_folder(out) as folder:
        hashed = aside.submit(_origin, onnx_path, sources, parent)
        weights = write_safetensors(folder / WEIGHTS, program.state(), "weights")
        origin = hashed.result()
        header = _header(graph, name, origin, parent)
        (folder / SOURCE).write_text(write_source(program, header, WEIGHTS), encoding="utf-8")
        exported = Exported(reason="not asked for")
        if options.export:
            module = module_from_file(folder / SOURCE, WEIGHTS)
            exported = export(module, graph, folder / EXPORTED, options.size, open_sizes=not _follows_size(program))
        artifact = Artifact(
            folder=out,
            name=name,
            format="torch",
            family=parent.family if parent else "onnx",
            sources=origin,
            files=(*_files(folder, exported), weights),
            inputs=header.inputs,
            outputs=header.outputs,
            options={**dataclasses.asdict(options), "size": list(options.size)},
            detector=parent.detector if parent else {},
            versions=versions(torch=torch.__version__, onnx=onnx.__version__),
            labels=tuple(labels) or (parent.labels if parent else ()),
            notes=_notes(exported, options),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def _follows_size(program: Program) -> bool:
    """True where paddings depend on the size of what they pad, layer after layer."""
    values = (statement.value for statement in program.statements if isinstance(statement, Assign))
    paddings = sum(value.startswith("F.pad(") and len(set(VARIABLE.findall(value))) > 1 for value in values)
    return bool(SIZE_DEPENDENT & program.helpers) or paddings > MOST_PADDINGS


def _origin(onnx_path: Path, sources: Sequence[FileRecord], parent: Artifact | None) -> tuple[FileRecord, ...]:
    return tuple(sources) or (parent.sources if parent else (FileRecord.of(onnx_path, "model"),))


def _header(graph: Graph, name: str, sources: Sequence[FileRecord], parent: Artifact | None) -> Header:
    lines = [f"Made from {record.name}, sha256 {record.sha256}." for record in sources]
    title = f"{name} in PyTorch, written by zoo."
    header = header_of(graph, title, (*lines, f"Its weights are in {WEIGHTS}; load() reads them."))
    if parent is None:
        return header
    return dataclasses.replace(
        header,
        inputs=_with_meaning(header.inputs, parent.inputs),
        outputs=_with_meaning(header.outputs, parent.outputs),
    )


def _with_meaning(specs: tuple[TensorSpec, ...], known: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    by_name = {spec.name: spec for spec in known}
    return tuple(by_name.get(spec.name, spec) for spec in specs)


def _files(folder: Path, exported: Exported) -> tuple[FileRecord, ...]:
    if exported.reason:
        return (FileRecord.of(folder / SOURCE, "model"),)
    return FileRecord.of(folder / EXPORTED, "model"), FileRecord.of(folder / SOURCE, "source")


def _notes(exported: Exported, options: TorchOptions) -> tuple[str, ...]:
    if not options.export:
        return ()
    if exported.reason:
        return (f"no {EXPORTED}: torch.export cannot express this model ({exported.reason}); use {SOURCE}",)
    return tuple(f"{EXPORTED}: {fixed}" for fixed in exported.fixed)
