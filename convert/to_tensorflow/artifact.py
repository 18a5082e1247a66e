"""`zoo convert … --to tf`: writes saved_model/, model.tflite where asked for, and their manifest into a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import UsageError
from zoo.base.files import atomic_folder
from zoo.convert.from_tensorflow.resizer import open_size, size_note
from zoo.convert.from_tensorflow.source import SAVED_NAME
from zoo.convert.onnx_graph.graph import Value
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.onnx_graph.rewrite.sizes import has_open_pictures, with_fixed_sizes
from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.module import LAYOUTS, module_of, picture_inputs
from zoo.convert.to_tensorflow.saved_model import signature_names, write_saved_model
from zoo.convert.to_tensorflow.tflite import tflite_of
from zoo.convert.versions import versions

SAVED_MODEL, TFLITE = "saved_model", "model.tflite"


@dataclass(frozen=True)
class TensorFlowOptions:
    """`layout` of picture inputs. With `constants` the weights are constants of the SavedModel's graph, not variables:
    faster on a CPU, but nothing to fine-tune. `tflite` writes model.tflite too: float32, with `fp16` float16 weights,
    with `calibrate` int8 whose ranges come from these pictures and folders of pictures. It is for one picture, of the
    size that the manifest of the ONNX file says its source scales pictures to, where the ONNX file leaves that open.
    """

    layout: Literal["nhwc", "nchw"] = "nhwc"
    constants: bool = False
    tflite: bool = False
    fp16: bool = False
    calibrate: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"expected layout nhwc or nchw, found {self.layout!r}")
        if (self.fp16 or self.calibrate) and not self.tflite:
            raise UsageError("fp16 and calibrate say how the .tflite is written", hint="ask for tflite as well")
        if self.fp16 and self.calibrate:
            raise UsageError("a .tflite holds float16 or int8 weights, not both", hint="give fp16 or calibrate")
        for path in self.calibrate:
            if not path.exists():
                raise UsageError(f"{path}: no picture to calibrate with is there", hint="check the path")


def onnx_to_tensorflow(
    onnx_path: Path,
    out: Path,
    options: TensorFlowOptions = TensorFlowOptions(),
    *,
    name: str = "",
    labels: Sequence[str] = (),
    sources: Sequence[FileRecord] = (),
    parent: Artifact | None = None,
) -> Artifact:
    """Convert the ONNX file `onnx_path` into the folder `out`; returns the manifest that is written there.

    The file with the role "model" is saved_model/saved_model.pb: TensorFlow opens the folder it lies in. `parent` is
    the manifest of the ONNX file: name, family, labels, sources, detector and the meaning of inputs and outputs carry
    over, unless given. Raises ConversionError and then leaves nothing behind.
    """
    graph = read_graph(onnx_path)
    pictures = picture_inputs(graph) if options.layout == "nhwc" else set()
    inputs, outputs = _specs(graph.inputs, parent, pictures), _specs(graph.outputs, parent)
    names = [spec.name for spec in inputs], [spec.name for spec in outputs]
    size = open_size(parent.detector) if parent and has_open_pictures(graph) else None
    fixed = with_fixed_sizes(graph, "a .tflite", size) if options.tflite else None
    with atomic_folder(out) as folder:
        written = write_saved_model(module_of(graph, options.layout, options.constants), folder / SAVED_MODEL, *names)
        files = [record_of(path, folder) for path in written]
        if fixed:
            module = module_of(fixed, options.layout)
            content = tflite_of(module, *names, fp16=options.fp16, calibrate=options.calibrate)
            (folder / TFLITE).write_bytes(content)
            files.append(FileRecord.of(folder / TFLITE, "tflite"))
        artifact = Artifact(
            folder=out,
            name=name or (parent.name if parent else onnx_path.stem),
            format="tf",
            family=parent.family if parent else "onnx",
            sources=tuple(sources) or (parent.sources if parent else (FileRecord.of(onnx_path, "model"),)),
            files=tuple(files),
            inputs=inputs,
            outputs=outputs,
            options=_described(options),
            detector=parent.detector if parent else {},
            versions=versions(tensorflow=str(tf.__version__), onnx=onnx.__version__),
            labels=tuple(labels) or (parent.labels if parent else ()),
            notes=(size_note(TFLITE, size, parent.detector),) if parent and fixed and size else (),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def record_of(path: Path, folder: Path) -> FileRecord:
    """A SavedModel's file, by its path inside the artifact."""
    role = "model" if path.name == SAVED_NAME else "weights"
    return FileRecord.of(path, role, path.relative_to(folder).as_posix())


def _specs(
    values: Sequence[Value], parent: Artifact | None, pictures: set[str] | frozenset[str] = frozenset()
) -> tuple[TensorSpec, ...]:
    """The signature's inputs or outputs, with the meaning that the ONNX file's manifest gives."""
    known = {spec.name: spec.meaning for spec in (*parent.inputs, *parent.outputs)} if parent else {}
    specs = []
    for value, name in zip(values, signature_names([value.name for value in values]), strict=True):
        sizes = ["unknown" if size is None else size for size in value.shape or ()]
        if value.name in pictures:
            sizes = [sizes[axis] for axis in (0, 2, 3, 1)]
        original = value.name if value.name != name else ""
        specs.append(TensorSpec(name, str(value.dtype), tuple(sizes), known.get(value.name, ""), original))
    return tuple(specs)


def _described(options: TensorFlowOptions) -> dict[str, Any]:
    """The options as the manifest holds them: no path of this machine."""
    return {**dataclasses.asdict(options), "calibrate": [path.name for path in options.calibrate]}
