"""Rewrites of single nodes give the same numbers, in ONNX Runtime, as the node they replace."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.tidy import (
    attributes_of,
    with_explicit_pads,
    with_plain_mean,
    with_plain_nearest,
)


def run(
    nodes: NodeProto | list[NodeProto],
    x: np.ndarray,
    constants: dict[str, np.ndarray],
    made: GraphBuilder | None = None,
) -> np.ndarray:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes if isinstance(nodes, list) else [nodes],
        "few",
        [value("x", 1, [None] * x.ndim)],
        [value("y", 1, None)],
        [*(numpy_helper.from_array(array, name) for name, array in constants.items()), *_constants(made)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result: np.ndarray = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    return result


def _constants(builder: GraphBuilder | None) -> list[TensorProto]:
    return [] if builder is None else list(builder._constants.values())


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 2), (5, 3)])
def test_padding_in_numbers_is_the_same_padding(mode: str, kernel: int, stride: int) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 11, 14)).astype(np.float32)
    weights = {"w": np.random.default_rng(1).normal(size=(3, 2, kernel, kernel)).astype(np.float32)}
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[stride, stride])
    (changed,) = with_explicit_pads(node, {"x": x.shape, "w": weights["w"].shape}, GraphBuilder("g"))
    assert "auto_pad" not in attributes_of(changed)
    assert np.array_equal(run(node, x, weights), run(changed, x, weights))


@pytest.mark.parametrize("op", ["Conv", "MaxPool"])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size", [(10, 13), (11, 12), (2, 3)])
def test_padding_of_an_unknown_size_is_computed(op: str, mode: str, size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, *size)).astype(np.float32) - 5
    weights = {"w": np.random.default_rng(1).normal(size=(3, 2, 3, 3)).astype(np.float32)} if op == "Conv" else {}
    given: dict[str, Any] = {} if op == "Conv" else {"kernel_shape": [3, 3]}
    node = helper.make_node(op, ["x", *weights], ["y"], name="n", auto_pad=mode, strides=[2, 2], **given)
    builder = GraphBuilder("g")
    changed = with_explicit_pads(node, {"x": (None, 2, None, None), "w": (3, 2, 3, 3)}, builder)
    assert "auto_pad" not in attributes_of(changed[-1])
    assert np.array_equal(run(node, x, weights), run(changed, x, weights, builder))


def test_a_dilated_window_is_padded_by_its_whole_width() -> None:
    """ONNX Runtime refuses auto_pad here, so there is nothing to compare with: 3 cells 2 apart span 5."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", dilations=[2, 2])
    (changed,) = with_explicit_pads(node, {"x": (1, 2, 9, 9), "w": (3, 2, 3, 3)}, GraphBuilder("g"))
    assert attributes_of(changed)["pads"] == [2, 2, 2, 2]


def test_a_mean_is_taken_of_a_line_which_the_blocked_layout_leaves_alone() -> None:
    x = np.random.default_rng(0).normal(1.0, 1.0, size=(2, 16, 64, 64)).astype(np.float32)
    builder = GraphBuilder("g")
    changed = with_plain_mean(helper.make_node("GlobalAveragePool", ["x"], ["y"], name="n"), builder)
    assert [node.op_type for node in changed] == ["Reshape", "GlobalAveragePool", "Unsqueeze"]
    mean = run(changed, x, {}, builder)
    assert mean.shape == (2, 16, 1, 1)
    assert np.abs(mean[:, :, 0, 0] - x.astype(np.float64).mean(axis=(2, 3))).max() < 1e-5


def test_half_pixel_neighbours_keep_their_numbers_in_words_of_today() -> None:
    x = np.arange(35, dtype=np.float32).reshape(1, 1, 5, 7)
    given = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], **given)
    size = np.array([1, 1, 8, 4])
    rows, columns = (((np.arange(out) + 0.5) * (of / out)).astype(int) for out, of in ((8, 5), (4, 7)))
    changed = with_plain_nearest(node, {"size": size})
    assert attributes_of(changed)["coordinate_transformation_mode"] == b"half_pixel"
    assert np.array_equal(run(changed, x, {"size": size})[0, 0], x[0, 0][rows][:, columns])


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_whole_enlargements_become_plain(scale: float) -> None:
    x = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5)
    constants = {"s": np.array([1, 1, scale, scale], np.float32)}
    node = helper.make_node(
        "Resize",
        ["x", "", "s"],
        ["y"],
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="tf_half_pixel_for_nn",
    )
    changed = with_plain_nearest(node, constants)
    wanted = x.repeat(int(scale), axis=2).repeat(int(scale), axis=3)
    assert attributes_of(changed)["coordinate_transformation_mode"] == b"asymmetric"
    assert np.array_equal(run(changed, x, constants), wanted)
