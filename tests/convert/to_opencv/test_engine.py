"""Which engine of OpenCV 5 a network is given to, and that both compute it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.convert.judge import run_onnxruntime
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_opencv import onnx_to_opencv
from zoo.convert.to_opencv.engine import engines
from zoo.convert.to_opencv.installations import at_hand, run

DENSE: dict[str, Any] = {"pads": [1, 1, 1, 1]}


def network(kernel: tuple[int, ...], inputs: int, also: str = "Relu", **attributes: Any) -> onnx.ModelProto:
    """One convolution of [1, inputs, 12, 12], and an operator after it."""
    weights = (np.random.default_rng(0).normal(size=kernel) / np.sqrt(np.prod(kernel[1:]))).astype(np.float32)
    kind = TensorProto.INT64 if also == "NonZero" else TensorProto.FLOAT
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", **attributes),
        helper.make_node(also, ["c"], ["y"], "after"),
    ]
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs, 12, 12])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("kernel", "inputs", "attributes"),
    [
        ((8, 64, 3, 3), 64, DENSE),  # few channels
        ((8, 128, 1, 1), 128, {}),  # no window
        ((8, 128, 3, 3), 128, DENSE | {"strides": [2, 2]}),
        ((128, 1, 3, 3), 128, DENSE | {"group": 128}),
    ],
)
def test_other_convolutions_are_for_the_new_engine(
    kernel: tuple[int, ...], inputs: int, attributes: dict[str, Any]
) -> None:
    assert engines(graph_of(network(kernel, inputs, **attributes))) == ("new",)


def test_wide_dense_convolutions_are_for_the_classic_engine_where_it_has_all_operators() -> None:
    assert engines(graph_of(network((8, 128, 3, 3), 128, **DENSE))) == ("classic", "new")
    assert engines(graph_of(network((8, 128, 3, 3), 128, "NonZero", **DENSE))) == ("new",)


def test_a_written_file_names_its_engine_and_gives_the_same_on_both(tmp_path: Path) -> None:
    proto = network((8, 128, 3, 3), 128, **DENSE)
    onnx.save(proto, tmp_path / "model.onnx")
    artifact = onnx_to_opencv(tmp_path / "model.onnx", tmp_path / "opencv")
    assert json.loads((artifact.folder / "detector.json").read_text())["engine"] == "classic"
    (opencv,) = (one for one in at_hand() if one.python == sys.executable)
    image = np.random.default_rng(1).random((1, 128, 12, 12), np.float32)
    (expected,) = run_onnxruntime(proto, image)
    for engine in ("classic", "new"):
        found = run(opencv, "ONNX", [artifact.model], {"x": image}, engine=engine).outputs["y"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
