"""`zoo convert … --to opencv`: writes model.onnx, detector.json and their manifest into a folder.

A file counts as written once the OpenCV that it is for has loaded it, run it and given what ONNX Runtime gives for the
original; every other OpenCV at hand is asked as well, and detector.json names those that can.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import UsageError
from zoo.base.files import atomic_folder
from zoo.convert.from_tensorflow.resizer import fitting_note, open_size, size_note
from zoo.convert.onnx_graph.graph import Graph, Value
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.onnx_graph.rewrite.sizes import has_open_pictures
from zoo.convert.onnx_graph.write import write_model
from zoo.convert.to_opencv.detector import describe
from zoo.convert.to_opencv.emit import model_of
from zoo.convert.to_opencv.installations import at_hand, of_major
from zoo.convert.to_opencv.proof import proven
from zoo.convert.to_opencv.rewrite.passes import REFUSED, fit
from zoo.convert.versions import versions

MODEL, DETECTOR = "model.onnx", "detector.json"


@dataclass(frozen=True)
class OpenCVOptions:
    """`opencv` is the major version that the file is for. `batch` (else 1), `height` and `width` are taken where
    the graph leaves them open; of pictures where the source does not say either, they have to be given."""

    opencv: int = 5
    batch: int | None = None
    height: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if self.opencv not in REFUSED:
            raise UsageError(f"expected OpenCV {' or '.join(map(str, sorted(REFUSED)))}, found {self.opencv}")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) where both are given."""
        return None if self.height is None or self.width is None else (self.height, self.width)


def onnx_to_opencv(
    onnx_path: Path,
    out: Path,
    options: OpenCVOptions = OpenCVOptions(),
    *,
    name: str = "",
    labels: Sequence[str] = (),
    sources: Sequence[FileRecord] = (),
    parent: Artifact | None = None,
) -> Artifact:
    """Convert the ONNX file `onnx_path` into the folder `out`; returns the manifest that is written there.

    `parent` is the manifest of the ONNX file: what it says carries over, unless given. Raises ConversionError where
    OpenCV cannot run the model, and then leaves nothing behind; MissingBackend where no OpenCV of that version is here.
    """
    installed = at_hand()
    wanted = of_major(options.opencv, installed)
    facts = parent.detector if parent else {}
    original = read_graph(onnx_path)
    size = None if options.size or not has_open_pictures(original) else open_size(facts)
    graph = fit(original, options.opencv, options.batch, options.size or size)
    family = parent.family if parent else "onnx"
    name, labels = name or (parent.name if parent else onnx_path.stem), labels or (parent.labels if parent else ())
    with atomic_folder(out) as folder:
        files = write_model(model_of(graph), folder / MODEL)
        proof = proven(graph, onnx_path, folder / MODEL, wanted, installed)
        content = describe(graph, name, family, facts, labels, proof)
        (folder / DETECTOR).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        notes = [
            f"runs in OpenCV {', '.join(proof.versions)}",
            size_note(MODEL, size, facts) if size else "",
            fitting_note(facts),
        ]
        artifact = Artifact(
            folder=out,
            name=name,
            format="opencv",
            family=family,
            sources=tuple(sources) or (parent.sources if parent else (FileRecord.of(onnx_path, "model"),)),
            files=(*files, FileRecord.of(folder / DETECTOR, "detector")),
            inputs=_specs(graph.inputs, parent.inputs if parent else ()),
            outputs=_specs(graph.outputs, parent.outputs if parent else ()),
            options=dataclasses.asdict(options),
            detector={**facts, **({"white": 255} if _takes_bytes(original) else {})},
            versions=versions(opencv=wanted.version, onnx=onnx.__version__),
            labels=tuple(labels),
            notes=tuple(filter(None, notes)),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def _takes_bytes(graph: Graph) -> bool:
    """Whether its pictures are 0 to 255: they still are, as the floats of a blob."""
    return any(value.dtype == np.uint8 for value in graph.inputs)


def _specs(values: Sequence[Value], known: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    meanings = {spec.name: spec.meaning for spec in known}
    return tuple(
        TensorSpec(value.name, np.dtype(value.dtype).name, _shape(value), meanings.get(value.name, ""))
        for value in values
    )


def _shape(value: Value) -> tuple[int | str, ...]:
    return tuple("?" if size is None else size for size in value.shape or ())
