"""detector.json: what it says of TF resizers and backgrounds, and that OpenCV's own reader takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.schemas import WRITTEN, problems
from zoo.convert.from_tensorflow.resizer import open_size
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_opencv.detector import describe
from zoo.convert.to_opencv.proof import Proof

PADDING = {"resizer": {"min_dimension": "4", "max_dimension": "8", "pad_to_max_dimension": "true"}, "num_classes": 6}


def graph(scores: int) -> Graph:
    """Normalises a picture as the API's EfficientDets do: (x / 255 - mean) / deviation."""
    numbers = {"byte": [255.0], "mean": [0.5, 0.4, 0.2], "deviation": [0.25, 0.5, 1.0], "more": np.ones((1, 9, scores))}
    nodes = [
        helper.make_node("Transpose", ["input_tensor"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Div", ["t", "byte"], ["d"]),
        helper.make_node("Sub", ["d", "mean"], ["s"]),
        helper.make_node("Div", ["s", "deviation"], ["n"]),
        helper.make_node("ReduceMean", ["n"], ["m"], axes=[1, 3], keepdims=0),
        helper.make_node("Mul", ["m", "one"], ["raw_detection_boxes"]),
        helper.make_node("Mul", ["m", "more"], ["raw_detection_scores"]),
    ]
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(np.ones((1, 9, 4), np.float32), "one"))
    values = {"input_tensor": [1, 3, 8, 1], "raw_detection_boxes": [1, 9, 4], "raw_detection_scores": [1, 9, scores]}
    picture, *outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()
    ]
    made = helper.make_graph(nodes, "graph", [picture], outputs, constants)
    return graph_of(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def described(scores: int, **facts: Any) -> dict[str, Any]:
    told = {"box_format": "yxyx", **facts}
    content = describe(graph(scores), "name", "tensorflow", told, ("a dog", "a “cat”"), Proof(("5.0.0",), "new"))
    assert problems(content, WRITTEN["detector.json"]) == []
    return content


@pytest.mark.parametrize(("scores", "background"), [(6, 0), (7, 1)])
def test_columns_that_are_no_class_are_background(scores: int, background: int) -> None:
    assert described(scores, num_classes=6)["output"]["background"] == background


def test_a_letterbox_is_filled_with_what_is_zero_after_the_normalisation() -> None:
    source = described(6, **PADDING)["input"]
    assert (source["resize"], source["place"]) == ("letterbox", "corner")
    assert source["pad"] == [127.5, 102.0, 51.0]


def test_centernet_fills_up_before_it_normalises() -> None:
    assert described(6, **PADDING, architecture="center_net")["input"]["pad"] == [0, 0, 0]


@pytest.mark.parametrize(
    ("resizer", "size"),
    [
        ({"height": "300", "width": "400"}, (300, 400)),
        (PADDING["resizer"], (8, 8)),
        ({"min_dimension": "4", "max_dimension": "8"}, (4, 4)),
        ({}, None),
    ],
)
def test_the_size_that_a_resizer_stands_for(resizer: dict[str, str], size: tuple[int, int] | None) -> None:
    assert open_size({"resizer": resizer}) == size


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("input", {"pad": [0, 0]}),
        ("input", {"width": None}),
        ("output", {"kind": "detections"}),
        ("thresholds", {"a": 1}),
    ],
)
def test_another_description_is_refused_by_the_schema(where: str, what: dict[str, object]) -> None:
    content = described(6)
    content[where].update(what)
    assert problems(content, WRITTEN["detector.json"])


def test_opencv_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(described(7, num_classes=6), indent=2, ensure_ascii=False), encoding="utf-8")
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    source, output = storage.getNode("input"), storage.getNode("output")
    assert source.getNode("swapRB").real() == 1
    assert source.getNode("pad").at(2).real() == 127.5
    assert output.getNode("scores").string() == "raw_detection_scores"
    assert storage.getNode("labels").at(1).string() == "a “cat”"
