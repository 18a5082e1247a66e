"""Rewrites of single nodes give the same numbers, in ONNX Runtime, as the node they replace."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, helper, numpy_helper

from zoo.convert.onnx_graph.rewrite.tidy import attributes_of, with_explicit_pads, with_plain_nearest


def run(node: NodeProto, x: np.ndarray, constants: dict[str, np.ndarray]) -> np.ndarray:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value("x", 1, x.shape)],
        [value("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result: np.ndarray = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    return result


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 2), (5, 3)])
def test_padding_in_numbers_is_the_same_padding(mode: str, kernel: int, stride: int) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 11, 14)).astype(np.float32)
    weights = {"w": np.random.default_rng(1).normal(size=(3, 2, kernel, kernel)).astype(np.float32)}
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[stride, stride])
    changed = with_explicit_pads(node, {"x": x.shape, "w": weights["w"].shape})
    assert "auto_pad" not in attributes_of(changed)
    assert np.array_equal(run(node, x, weights), run(changed, x, weights))


def test_a_dilated_window_is_padded_by_its_whole_width() -> None:
    """ONNX Runtime refuses auto_pad here, so there is nothing to compare with: 3 cells 2 apart span 5."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", dilations=[2, 2])
    assert attributes_of(with_explicit_pads(node, {"x": (1, 2, 9, 9), "w": (3, 2, 3, 3)}))["pads"] == [2, 2, 2, 2]


def test_padding_that_depends_on_an_unknown_size_stays() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2])
    assert with_explicit_pads(node, {"x": (None, 8, None, None)}) is node


@pytest.mark.parametrize(("scale", "plain"), [(2.0, True), (3.0, True), (1.5, False), (0.5, False)])
def test_whole_enlargements_become_plain(scale: float, plain: bool) -> None:
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
    assert (changed is not node) is plain
    if plain:
        wanted = x.repeat(int(scale), axis=2).repeat(int(scale), axis=3)
        assert np.array_equal(run(changed, x, constants), wanted)
