"""A detector of three layers, made by hand as ONNX, and a float64 reference for it that is not ONNX Runtime.

It has what a Darknet detector has: images in, boxes and scores out, nodes named after layers. For the tests of verify
that must not depend on the readers of other rooms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.verify.detections import Suppression
from zoo.verify.inputs import Sample
from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Observation

SIZE, CELLS, ANCHORS, CLASSES = 16, 8, 2, 3
INPUTS = (TensorSpec("images", "float32", ("batch", 3, SIZE, SIZE)),)
OUTPUTS = (
    TensorSpec("boxes", "float32", ("batch", ANCHORS * CELLS * CELLS, 4)),
    TensorSpec("scores", "float32", ("batch", ANCHORS * CELLS * CELLS, CLASSES)),
)


def detector(seed: int = 1) -> onnx.ModelProto:
    """The model, float32, with random weights of a size that keeps the signal."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        values: Array = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return values.astype(np.float32)

    grid = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), -1).reshape(1, 1, CELLS * CELLS, 2)
    constants: dict[str, Array] = {
        "w0": weights(8, 3, 3, 3) * 2,
        "b0": weights(8, 1)[:, 0],
        "w1": weights(8, 8, 3, 3) * 2,
        "b1": weights(8, 1)[:, 0],
        "w2": weights(ANCHORS * (5 + CLASSES), 8, 1, 1) * 3,
        "b2": weights(ANCHORS * (5 + CLASSES), 1)[:, 0],
        "grid": grid.astype(np.float32),
        "cells": np.array(CELLS, np.float32),
        "anchors": np.array([[0.2, 0.3], [0.5, 0.4]], np.float32).reshape(1, ANCHORS, 1, 2),
        "split": np.array([2, 2, 1, CLASSES]),
        "by_anchor": np.array([0, ANCHORS, 5 + CLASSES, CELLS * CELLS]),
        "flat_boxes": np.array([0, -1, 4]),
        "flat_scores": np.array([0, -1, CLASSES]),
    }
    return _model(_nodes(), constants)


def _nodes() -> list[onnx.NodeProto]:
    def node(layer: str, kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs.split(), outputs.split(), name=f"{layer}/{kind}_{outputs}", **attributes)

    first, second, third, head = "000_convolutional", "001_convolutional", "002_convolutional", "003_yolo"
    return [
        node(first, "Conv", "images w0 b0", "c0", pads=[1, 1, 1, 1]),
        node(first, "LeakyRelu", "c0", "l0", alpha=0.1),
        node(second, "Conv", "l0 w1 b1", "c1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node(second, "LeakyRelu", "c1", "l1", alpha=0.1),
        node(third, "Conv", "l1 w2 b2", "c2"),
        node(head, "Reshape", "c2 by_anchor", "split_anchors"),
        node(head, "Transpose", "split_anchors", "cells_last", perm=[0, 1, 3, 2]),
        node(head, "Split", "cells_last split", "xy wh object class", axis=-1),
        node(head, "Sigmoid", "xy", "xy_open"),
        node(head, "Add", "xy_open grid", "xy_grid"),
        node(head, "Div", "xy_grid cells", "centres"),
        node(head, "Exp", "wh", "wh_open"),
        node(head, "Mul", "wh_open anchors", "sides"),
        node(head, "Concat", "centres sides", "boxes_by_anchor", axis=-1),
        node(head, "Reshape", "boxes_by_anchor flat_boxes", "boxes"),
        node(head, "Sigmoid", "object", "object_open"),
        node(head, "Sigmoid", "class", "class_open"),
        node(head, "Mul", "object_open class_open", "scores_by_anchor"),
        node(head, "Reshape", "scores_by_anchor flat_scores", "scores"),
    ]


def _model(nodes: list[onnx.NodeProto], constants: dict[str, Array]) -> onnx.ModelProto:
    def values(specs: Sequence[TensorSpec]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in specs]

    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", values(INPUTS), values(OUTPUTS), tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write(model: onnx.ModelProto, folder: Path, sources: tuple[FileRecord, ...] = ()) -> Artifact:
    """The model as an artifact in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    artifact = Artifact(
        folder=folder,
        name="tiny",
        format="onnx",
        family="darknet",
        sources=sources,
        files=(FileRecord.of(folder / "model.onnx", "model"),),
        inputs=INPUTS,
        outputs=OUTPUTS,
    )
    artifact.write()
    return artifact


SOURCE = FileRecord("cfg", "tiny.cfg", "0" * 64, 1)


@dataclass
class TinyReference:
    """ONNX's own NumPy evaluator, in float64 for the truth and in float32 for the noise."""

    model: onnx.ModelProto
    description: str = "onnx reference evaluator"
    from_source: bool = True
    sources: tuple[FileRecord, ...] = (SOURCE,)
    inputs: tuple[TensorSpec, ...] = INPUTS
    outputs: tuple[str, ...] = ("boxes", "scores")
    detector: dict[str, Any] = field(default_factory=dict)
    suppression: Suppression | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    seen: dict[bytes, Observation] = field(default_factory=dict)

    def observe(self, sample: Sample, precision: str) -> Observation:
        key = sample.feeds["images"].tobytes()
        self.seen[key] = self.seen.get(key) or self._observe(sample)
        return self.seen[key]

    def _observe(self, sample: Sample) -> Observation:
        return Observation(_evaluate(_double(self.model), sample, np.float64), (_evaluate(self.model, sample),))

    def layers(self, sample: Sample) -> list[Layer]:
        exposed = onnx.ModelProto()
        exposed.CopyFrom(self.model)
        names = ("l0", "l1", "c2")
        del exposed.graph.output[:]
        exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        truth, rough = _evaluate(_double(exposed), sample, np.float64), _evaluate(exposed, sample)
        layers = [
            Layer(index, "convolutional", 10 * index + 5, truth[name], (compare(rough[name], truth[name]),))
            for index, name in enumerate(names)
        ]
        head = dataclasses.replace(layers[-1], index=3, type="yolo", line=35, boxes=ANCHORS * CELLS * CELLS)
        return [*layers, head]


def _evaluate(model: onnx.ModelProto, sample: Sample, dtype: Any = np.float32) -> dict[str, Array]:
    evaluator = ReferenceEvaluator(model)
    values = evaluator.run(None, {name: array.astype(dtype) for name, array in sample.feeds.items()})
    assert isinstance(values, list)
    return dict(zip(evaluator.output_names, values, strict=True))


def _double(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with float64 weights."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float64), tensor.name))
    return wide
