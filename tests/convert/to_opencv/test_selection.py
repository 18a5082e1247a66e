"""A suppression inside of a graph, in OpenCV, on inputs of which nothing, little and much is selected in turn."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.onnx_graph.rewrite.batched_nms import Field, NmsInputs, NmsParameters, batched_nms
from zoo.convert.to_opencv import onnx_to_opencv
from zoo.convert.to_opencv.emit import model_of
from zoo.convert.to_opencv.rewrite.selection import with_settled_selections
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.runtimes.table import load_on

ROWS, CLASSES = 12, 3
PARAMETERS = NmsParameters(
    classes=CLASSES, iou_threshold=0.5, score_threshold=0.3, limit_per_class=6, limit=10, clips=True
)
RANDOM = np.random.default_rng(0)
SHAPES = {"boxes": (1, ROWS, 4), "scores": (1, ROWS, CLASSES), "window": (1, 4), "table": (1, ROWS, 3)}
RANKS = {"boxes": 3, "scores": 2, "classes": 2, "count": 1, "field0": 3}
FEW, MANY = (2, 5), tuple(range(ROWS))


def write(path: Path, parameters: NmsParameters) -> None:
    builder = GraphBuilder("nms")
    shapes, boxes = SHAPES, "boxes"
    if parameters.boxes_by_class:  # as a table: what has four dimensions would be a picture
        shapes = SHAPES | {"boxes": (1, ROWS, CLASSES * 4)}
        boxes = builder.op("Reshape", "boxes", builder.integers(1, ROWS, CLASSES, 4), hint="boxes_by_class")
    names = batched_nms(builder, NmsInputs(boxes, "scores", "window", rows=ROWS), parameters, (Field("table", 3),))
    for name, shape in shapes.items():
        builder.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    for kind, name in names.items():
        dtype = TensorProto.INT32 if kind == "count" else TensorProto.FLOAT
        builder.outputs.append(helper.make_tensor_value_info(name, dtype, [1, *[None] * (RANKS[kind] - 1)]))
    onnx.save(builder.model({}).proto(), path)


def feeds(found: tuple[int, ...], parameters: NmsParameters) -> dict[str, np.ndarray]:
    """Boxes far apart, of which those `found` score above the threshold, in every class."""
    corners = np.array([[0, x, 0.9, x + 0.05] for x in np.linspace(0, 0.9, ROWS)], np.float32)
    boxes = np.tile(corners, CLASSES) if parameters.boxes_by_class else corners
    scores = RANDOM.uniform(0, 0.2, (ROWS, CLASSES))
    scores[list(found)] += 0.5
    tables = {"boxes": boxes, "scores": scores, "window": [0, 0, 1, 1], "table": RANDOM.normal(size=(ROWS, 3))}
    return {name: np.asarray(table, np.float32)[None] for name, table in tables.items()}


@pytest.mark.parametrize("parameters", [PARAMETERS, replace(PARAMETERS, boxes_by_class=True)])
@pytest.mark.parametrize("turns", [((), FEW), (FEW, MANY, (), FEW)])
def test_opencv_finds_what_is_there_every_time(
    parameters: NmsParameters, turns: tuple[tuple[int, ...], ...], tmp_path: Path
) -> None:
    """OpenCV 5.0.0 ends its process where nothing is selected, and throws where more is than on the first run."""
    write(tmp_path / "nms.onnx", parameters)
    artifact = onnx_to_opencv(tmp_path / "nms.onnx", tmp_path / "opencv")
    session = onnxruntime.InferenceSession(str(tmp_path / "nms.onnx"), providers=["CPUExecutionProvider"])
    with closing(load_on(artifact.model, "opencv", "cpu", Settings(threads=1))) as runner:
        for found in turns:
            given = feeds(found, parameters)
            results = runner.run(given)
            for spec, wanted in zip(session.get_outputs(), session.run(None, given), strict=True):
                np.testing.assert_allclose(results[spec.name], wanted, rtol=1e-6, err_msg=f"{spec.name} of {found}")


def test_every_size_is_known(tmp_path: Path) -> None:
    write(tmp_path / "nms.onnx", PARAMETERS)
    artifact = onnx_to_opencv(tmp_path / "nms.onnx", tmp_path / "opencv")
    assert [spec.shape for spec in artifact.outputs] == [(1, 10, 4), (1, 10), (1, 10), (1,), (1, 10, 3)]


def test_a_suppression_that_zoo_did_not_write_is_left_alone(tmp_path: Path) -> None:
    """Nothing is known of what its scores mean."""
    write(tmp_path / "nms.onnx", PARAMETERS)
    graph = read_graph(tmp_path / "nms.onnx")
    assert len(with_settled_selections(graph).nodes) > len(graph.nodes)
    nodes = tuple(replace(node, name=f"their/{node.name}") for node in graph.nodes)
    theirs = replace(graph, nodes=nodes)
    assert model_of(with_settled_selections(theirs)).proto() == model_of(theirs).proto()
