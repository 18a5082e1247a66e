"""detector.json: what it says of TF resizers and backgrounds, and that OpenCV's own reader takes it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.schemas import WRITTEN, problems
from zoo.base.artifact import Artifact, FileRecord
from zoo.convert.from_tensorflow.resizer import corrected, fitting_note, open_size, size_note
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_opencv.detector import describe, fault_in
from zoo.convert.to_opencv.proof import Proof
from zoo.vision.fitting import fitting_of

PADDING = {"resizer": {"min_dimension": "4", "max_dimension": "8", "pad_to_max_dimension": "true"}, "num_classes": 6}


def network(scores: int) -> ModelProto:
    """From a picture to candidates."""
    nodes = [
        helper.make_node("ReduceMean", ["input_tensor"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Reshape", ["m", "shape"], ["n"]),
        helper.make_node("Mul", ["n", "four"], ["raw_detection_boxes"]),
        helper.make_node("Mul", ["n", "more"], ["raw_detection_scores"]),
    ]
    numbers = {"four": np.ones((1, 1, 4)), "more": np.ones((1, 1, scores))}
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in numbers.items()]
    constants.append(numpy_helper.from_array(np.array([1, 3, 1]), "shape"))
    values = {"input_tensor": [1, 3, 8, 1], "raw_detection_boxes": [1, 3, 4], "raw_detection_scores": [1, 3, scores]}
    picture, *outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()
    ]
    made = helper.make_graph(nodes, "graph", [picture], outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def graph(scores: int) -> Graph:
    return graph_of(network(scores))


def described(scores: int, **facts: Any) -> dict[str, Any]:
    told = {"box_format": "yxyx", **facts}
    content = describe(graph(scores), "name", "tensorflow", told, ("a dog", "a “cat”"), Proof(("5.0.0",), "new"))
    assert problems(content, WRITTEN["detector.json"]) == []
    return content


def written(folder: Path, content: dict[str, Any], **facts: Any) -> Artifact:
    """An artifact of that network, with `content` as its detector.json."""
    (folder / "model.onnx").write_bytes(network(7).SerializeToString())
    (folder / "detector.json").write_text(json.dumps(content), encoding="utf-8")
    files = tuple(
        FileRecord.of(folder / name, role) for role, name in (("model", "model.onnx"), ("detector", "detector.json"))
    )
    told = {"box_format": "yxyx", "num_classes": 6, "white": 255, **facts}
    labels = ("a dog", "a “cat”")
    return Artifact(folder, "name", "opencv", "tensorflow", (), files, (), (), detector=told, labels=labels)


def test_a_description_as_it_was_written_has_no_fault(tmp_path: Path) -> None:
    """Which OpenCVs were tried is no part of the model; in memory facts may be tuples; 1 is as good as true."""
    content = described(7, num_classes=6, resize="letterbox", place="corner", pad=[1.0, 2.0, 3.0])
    content.update(opencv=["4.6.0"], engine="classic")
    content["input"]["swapRB"] = 1
    facts = {"resize": "letterbox", "place": "corner", "pad": (1.0, 2.0, 3.0)}
    assert fault_in(written(tmp_path, content, **facts)) == ""
    assert fault_in(dataclasses.replace(written(tmp_path, content), files=())) == ""


@pytest.mark.parametrize(
    ("where", "what", "says", "right"),
    [
        ("input", {"scale": 0.5}, "input.scale is 0.5", "1.0"),
        ("input", {"swapRB": False}, "input.swapRB is false", "true"),
        ("input", {"resize": "letterbox"}, 'input.resize is "letterbox"', '"stretch"'),
        ("input", {"shape": [1, 3, 8, 2]}, "input.shape is [1, 3, 8, 2]", "[1, 3, 8, 1]"),
        ("output", {"background": 0}, "output.background is 0", "1"),
        ("thresholds", {"nms": 0.9}, "thresholds.nms is 0.9", "0.6"),
        ("", {"labels": ["a cat"]}, 'labels is ["a cat"]', '["a dog", "a “cat”"]'),
        ("", {"schema": 2}, "schema is 2", "1"),
    ],
)
def test_what_a_description_says_wrongly_is_told(
    tmp_path: Path, where: str, what: dict[str, Any], says: str, right: str
) -> None:
    content = described(7, num_classes=6)
    (content[where] if where else content).update(what)
    expected = f"detector.json: {says}, by the manifest and the model it is {right}"
    assert fault_in(written(tmp_path, content)) == expected


def test_what_a_description_lacks_or_has_too_much_is_told(tmp_path: Path) -> None:
    content = described(7, num_classes=6)
    del content["thresholds"]["score"]
    assert "thresholds.score is not there" in fault_in(written(tmp_path, content))
    assert "output.clip is 1, and stands for nothing" in fault_in(
        written(tmp_path, described(7, num_classes=6) | {"output": content["output"] | {"clip": 1}})
    )


def test_a_description_that_cannot_be_judged_is_a_fault(tmp_path: Path) -> None:
    artifact = written(tmp_path, described(7, num_classes=6), suppression="none")
    assert "the manifest describes no detector" in fault_in(artifact)
    (tmp_path / "detector.json").write_text("{")
    assert "detector.json cannot be read" in fault_in(artifact)


@pytest.mark.parametrize(("scores", "background"), [(6, 0), (7, 1)])
def test_columns_that_are_no_class_are_background(scores: int, background: int) -> None:
    assert described(scores, num_classes=6)["output"]["background"] == background


def test_pictures_are_fitted_as_the_manifest_says() -> None:
    facts = {"resize": "letterbox", "place": "corner", "pad": [127.5, 102.0, 51.0]}
    source = described(6, **facts)["input"]
    assert {key: source[key] for key in facts} == facts


def test_a_darknet_letterbox_lies_in_the_middle_of_grey() -> None:
    source = described(6, resize="letterbox")["input"]
    assert (source["place"], source["pad"]) == ("centre", [127.5, 127.5, 127.5])


@pytest.mark.parametrize(
    ("resizer", "size"),
    [
        ({"height": "300", "width": "400"}, (300, 400)),
        (PADDING["resizer"], (4, 8)),
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


def test_what_a_square_cannot_do_is_noted() -> None:
    """A source that keeps the shape of pictures and pads none of them sees no square."""
    kept = {"min_dimension": "4", "max_dimension": "8"}
    assert "so give --width and --height of yours" in size_note("model.onnx", (4, 4), {"resizer": kept})
    assert "--width" not in size_note("model.onnx", (8, 8), PADDING)
    assert "for that give --width 4 --height 8" in size_note("model.onnx", (4, 8), PADDING)


def test_a_manifest_of_an_older_zoo_is_noted() -> None:
    """It has the resizer of pipeline.config, and not what the source showed."""
    assert "convert the ONNX file again" in fitting_note(PADDING)
    assert fitting_note(PADDING | {"place": "corner"}) == fitting_note({}) == ""


def test_what_pads_but_takes_only_squares_is_not_stretched_to_them() -> None:
    told = {"resize": "stretch", "coordinates": "asymmetric"}
    assert corrected(told, PADDING) == told | {"resize": "letterbox", "place": "corner"}
    assert corrected(told, {"resizer": {"height": "4", "width": "4"}}) == told
    assert corrected({}, PADDING) == {}


@pytest.mark.parametrize("size", [(60, 100), (30, 40), (50, 200), (7, 7)])
def test_what_is_wider_than_high_becomes_as_large_as_in_the_source(size: tuple[int, int]) -> None:
    """The source scales to 4 in the shorter direction, or, where the other were more than 8 then, to 8 in that."""
    height, width = size
    scale = min(4 / min(size), 8 / max(size))
    fitting, (rows, columns) = fitting_of({"resize": "letterbox", "place": "corner"}), open_size(PADDING) or (0, 0)
    assert fitting
    _, placement = fitting(np.zeros((*size, 3), np.uint8), columns, rows)
    assert (placement.height, placement.width) == (round(height * scale), round(width * scale))


def test_opencv_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(described(7, num_classes=6), indent=2, ensure_ascii=False), encoding="utf-8")
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    source, output = storage.getNode("input"), storage.getNode("output")
    assert source.getNode("swapRB").real() == 1
    assert source.getNode("pad").at(2).real() == 127.5
    assert output.getNode("scores").string() == "raw_detection_scores"
    assert storage.getNode("labels").at(1).string() == "a “cat”"
