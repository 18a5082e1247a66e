"""TensorFlow's resize, crop, sigmoid and reshape in ONNX against their definitions, written out in NumPy float32."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.convert.onnx_graph.rewrite.crop_and_resize import crop_and_resize
from zoo.convert.onnx_graph.rewrite.pixels import Pixels, pixels_of
from zoo.convert.onnx_graph.rewrite.tf_reshape import tf_reshape
from zoo.convert.onnx_graph.rewrite.tf_resize import ResizeRule, tf_resize, tf_resize_features
from zoo.convert.onnx_graph.rewrite.tf_sigmoid import tf_sigmoid

F = np.float32


def run(builder: GraphBuilder, result: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    for name, array in feeds.items():
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        builder.inputs.append(helper.make_tensor_value_info(name, dtype, [None] * array.ndim))
    builder.outputs.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
    content = builder.model({}).proto().SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, feeds)[0]
    return found


def resized(picture: np.ndarray, size: tuple[int, int], rule: ResizeRule) -> np.ndarray:
    """resize_bilinear_op.cc: points, then top and bottom row, then between them; all in float32."""
    sides = []
    for out, of in zip(size, picture.shape[1:3], strict=True):
        numbers = np.arange(out, dtype=F)
        scale = F(of - 1) / F(out - 1) if rule.align_corners and out > 1 else F(of) / F(out)
        point = (numbers + F(0.5)) * scale - F(0.5) if rule.half_pixel_centers else numbers * scale
        lower = np.maximum(np.floor(point), 0).astype(int)
        upper = np.minimum(np.ceil(point), of - 1).astype(int)
        sides.append((lower, upper, point - np.floor(point)))
    (top, bottom, y), (left, right, x) = sides
    wide = x[None, None, :, None]
    rows = [picture[:, row].astype(F) for row in (top, bottom)]
    blended = [row[:, :, left] + (row[:, :, right] - row[:, :, left]) * wide for row in rows]
    result: np.ndarray = blended[0] + (blended[1] - blended[0]) * y[None, :, None, None]
    return result


@pytest.mark.parametrize("rule", [ResizeRule(), ResizeRule(align_corners=True), ResizeRule(half_pixel_centers=True)])
@pytest.mark.parametrize("size", [(7, 5), (24, 31), (1, 40)])
@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("is_bytes", [False, True])
def test_resize_is_equal_bit_by_bit(rule: ResizeRule, size: tuple[int, int], is_running: bool, is_bytes: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 13, 19, 3), np.uint8)
    builder = GraphBuilder("resize")
    result = tf_resize(builder, Pixels("x", is_bytes), "size" if is_running else size, rule)
    given = {"x": picture if is_bytes else picture.astype(F)} | (
        {"size": np.array(size, np.int32)} if is_running else {}
    )
    assert np.array_equal(run(builder, result, given), resized(picture, size, rule))


@pytest.mark.parametrize("rule", [ResizeRule(), ResizeRule(align_corners=True), ResizeRule(half_pixel_centers=True)])
@pytest.mark.parametrize("size", [(7, 5), (24, 31), (1, 40)])
@pytest.mark.parametrize("is_running", [False, True])
def test_features_are_resized_but_for_the_last_bit(rule: ResizeRule, size: tuple[int, int], is_running: bool) -> None:
    features = np.random.default_rng(0).normal(size=(2, 13, 19, 8)).astype(F)
    builder = GraphBuilder("resize")
    result = tf_resize_features(builder, "x", "size" if is_running else size, rule)
    found = run(builder, result, {"x": features} | ({"size": np.array(size, np.int32)} if is_running else {}))
    assert found.shape == (2, *size, 8)
    assert np.abs(found - resized(features, size, rule)).max() < 4 * np.finfo(F).eps * np.abs(features).max()


CHANNELS = np.array([[[0.485, 0.456, 0.406]]], F)


def normalised(builder: GraphBuilder) -> str:
    """As graphs for one image at a time do it: an axis that comes and goes, a Slice of everything, a Split into one."""
    inner = builder.integers(1)
    value = builder.op("Cast", "x", to=TensorProto.FLOAT, hint="float")
    value = builder.op("Unsqueeze", value, inner, hint="inner")
    value = builder.op("Slice", value, builder.integers(*[0] * 5), builder.integers(*[10**9] * 5), hint="whole")
    value = builder.op("Mul", builder.constant(1 / 255), value, hint="scaled")
    value = builder.op("Sub", value, builder.constant(CHANNELS), hint="centred")
    return builder.op("Squeeze", builder.op("Split", value, axis=1, hint="part"), inner, hint="done")


def test_what_is_done_to_each_pixel_before_a_resize_is_done_in_it() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 13, 19, 3), np.uint8)
    before = GraphBuilder("before")
    value = normalised(before)
    before.output(value, [2, 13, 19, 3])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in before.model({}).constants}
    pixels = pixels_of(value, {node.output[0]: node for node in before.nodes}, constants, {"x"})
    assert (pixels.picture, pixels.is_bytes, pixels.between) == ("x", True, ("done", "float"))
    assert [(step.op, step.is_first, step.constant.shape) for step in pixels.steps] == [
        ("Mul", True, ()),
        ("Sub", False, (3,)),
    ]
    builder = GraphBuilder("resize")
    found = run(builder, tf_resize(builder, pixels, (7, 5), ResizeRule()), {"x": picture})
    assert np.array_equal(found, resized(F(1 / 255) * picture.astype(F) - CHANNELS, (7, 5), ResizeRule()))


@pytest.mark.parametrize("node", [("Exp", "b"), ("Mul", "b", "b"), ("Slice", "b", "begin", "end"), ("Transpose", "b")])
def test_other_values_are_resized_as_they_are(node: tuple[str, ...]) -> None:
    op, *inputs = node
    makers = {
        "b": helper.make_node("Cast", ["x"], ["b"], to=TensorProto.FLOAT),
        "value": helper.make_node(op, inputs, ["value"]),
    }
    constants = {"begin": np.zeros(4, np.int64), "end": np.full(4, 7)}
    assert pixels_of("value", makers, constants, {"x"}) == Pixels("value")


def cropped(picture: np.ndarray, boxes: np.ndarray, index: np.ndarray, size: int, outside: float) -> np.ndarray:
    """crop_and_resize_op.cc for square crops, point by point, in float32."""
    height, width = picture.shape[1:3]
    result = np.full((len(boxes), size, size, picture.shape[3]), outside, F)

    def points(low: np.float32, high: np.float32, of: int) -> np.ndarray:
        last = F(of - 1)
        if size == 1:
            return np.array([F(0.5) * (low + high) * last], F)
        step = (high - low) * last / F(size - 1)
        found: np.ndarray = low * last + np.arange(size, dtype=F) * step
        return found

    for n, (y1, x1, y2, x2) in enumerate(boxes):
        for i, y in enumerate(points(y1, y2, height)):
            for j, x in enumerate(points(x1, x2, width)):
                if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                    t, s, b, e = int(np.floor(y)), int(np.floor(x)), int(np.ceil(y)), int(np.ceil(x))
                    own = picture[index[n]]
                    top = own[t, s] + (own[t, e] - own[t, s]) * (x - F(s))
                    bottom = own[b, s] + (own[b, e] - own[b, s]) * (x - F(s))
                    result[n, i, j] = top + (bottom - top) * (y - F(t))
    return result


@pytest.mark.parametrize("size", [1, 2, 14])
@pytest.mark.parametrize("outside", [0.0, -3.0])
def test_crops_are_tensorflow_s_at_the_border_too(size: int, outside: float) -> None:
    """Many boxes end at 1.0, where the last bit decides whether the last row lies on the picture or beyond."""
    random = np.random.default_rng(1)
    low = random.uniform(-0.2, 0.6, (60, 2)).astype(F)
    high = np.where(random.random((60, 2)) < 0.6, F(1), random.uniform(0.6, 1.2, (60, 2))).astype(F)
    boxes = np.concatenate([low, high], 1)
    boxes[0], boxes[1] = (0, 0, 1, 1), (0.9, 0.8, 0.1, 0.2)  # the whole picture; one that is turned over
    index = random.integers(0, 2, 60).astype(np.int32)
    picture = random.normal(size=(2, 19, 25, 3)).astype(F)
    builder = GraphBuilder("crop")
    result = crop_and_resize(builder, "picture", "boxes", "index", (size, size), outside)
    found = run(builder, result, {"picture": picture, "boxes": boxes, "index": index})
    wanted = cropped(picture, boxes, index, size, outside)
    assert np.array_equal(found == outside, wanted == outside)
    assert np.abs(found - wanted).max() < 1e-4


def test_sigmoid_saturates_where_tensorflow_s_does() -> None:
    x = np.concatenate([np.linspace(9, 16.6, 2000), np.linspace(16.62, 200, 500), np.linspace(-80, 9, 2000)]).astype(F)
    found = run(builder := GraphBuilder("sigmoid"), tf_sigmoid(builder, "x"), {"x": x})
    exact = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(F)
    crowded, full = x < 16.0, x > 16.62
    assert np.array_equal(found[:2000][crowded[:2000]], exact[:2000][crowded[:2000]])
    assert (found[full] == 1).all()
    assert np.allclose(found, exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("given", "sizes", "wanted"),
    [
        ((0, 10), (1, 0, -1, 2), (1, 0, 5, 2)),
        ((0, 2), (1, 5, 0, -1), (1, 5, 0, 0)),
        ((1, 0, 5, 0), (1, 0, 5, 2), (1, 0, 5, 2)),
        ((0, 3), (0, -1), (0, 3)),
        ((0, 3), (-1, 2), (0, 2)),
        ((4, 0), (2, -1), (2, 0)),
        ((3, 10), (1, 3, -1, 2), (1, 3, 5, 2)),
        ((3, 10), (5, 6), (5, 6)),
    ],
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_what_is_empty_is_reshaped_as_by_tensorflow(
    given: tuple[int, ...], sizes: tuple[int, ...], wanted: tuple[int, ...], dtype: type[np.generic]
) -> None:
    """The shapes on the right are those that TensorFlow 2.21 gives."""
    x = np.arange(np.prod(given), dtype=F).reshape(given)
    builder = GraphBuilder("reshape")
    found = run(builder, tf_reshape(builder, "x", "sizes"), {"x": x, "sizes": np.array(sizes, dtype)})
    assert found.shape == wanted
    assert np.array_equal(found.ravel(), x.ravel())
