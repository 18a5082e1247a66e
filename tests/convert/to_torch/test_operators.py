"""Operators where converters go wrong, against ONNX Runtime. ONNX's own node tests are in tests/conformance."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.convert.to_torch.graphs import assert_same, model, node, noise, run_torch
from zoo.base.errors import ConversionError
from zoo.convert.to_torch import module_from_onnx


def one(
    op: str, x: Any, opset: int = 17, extra: dict[str, Any] | None = None, outputs: int = 1, **attributes: Any
) -> None:
    """One node with the input x and constant further inputs gives what ONNX Runtime gives."""
    names = ["y", "y2", "y3"][:outputs]
    extra = extra or {}
    constants = {name: np.asarray(value) for name, value in extra.items() if name}
    inputs = [name if value is not None else "" for name, value in extra.items()]
    proto = model([node(op, ["x", *inputs], names, **attributes)], {"x": x}, names, opset, constants)
    for unused in [tensor for tensor in proto.graph.initializer if not tensor.ByteSize()]:
        proto.graph.initializer.remove(unused)
    assert_same(proto, x, atol=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [0, 1, 2, 0]},
        {"pads": [1, 1, 1, 1], "strides": [2, 3], "dilations": [2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID"},
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(attributes: dict[str, Any], groups: int) -> None:
    one("Conv", noise(2, 4, 9, 8), extra={"w": noise(6, 4 // groups, 3, 2)}, group=groups, **attributes)


def test_convolutions_of_one_and_three_dimensions_and_of_computed_weights() -> None:
    one("Conv", noise(2, 3, 9), extra={"w": noise(4, 3, 3), "b": noise(4)})
    one("Conv", noise(1, 2, 5, 6, 7), extra={"w": noise(4, 2, 3, 3, 3)}, pads=[1] * 6)
    proto = model(
        [node("Mul", ["w", "w"], ["v"]), node("Conv", ["x", "v"], ["y"])],
        {"x": [1, 3, 5, 5], "w": [2, 3, 3, 3]},
        ["y"],
    )
    assert_same(proto, noise(1, 3, 5, 5), noise(2, 3, 3, 3), atol=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [3, 2], "output_padding": [1, 1]},
        {"strides": [2, 2], "pads": [1, 0, 0, 2]},
        {"strides": [3, 2], "output_shape": [10, 8]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"dilations": [2, 2], "pads": [1, 1, 1, 1]},
    ],
)
def test_transposed_convolution(attributes: dict[str, Any]) -> None:
    one("ConvTranspose", noise(1, 4, 4, 3), extra={"w": noise(4, 2, 3, 3)}, group=2, **attributes)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [5, 5], "pads": [4, 4, 4, 4], "strides": [3, 3]},
        {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_pooling(op: str, attributes: dict[str, Any]) -> None:
    one(op, noise(2, 3, 10, 9), **attributes)


def test_pooling_of_padding_and_of_whole_maps() -> None:
    one("AveragePool", noise(1, 2, 6, 6), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    one("AveragePool", noise(1, 2, 6, 6), kernel_shape=[3, 3], pads=[0, 1, 1, 0], count_include_pad=1)
    one("GlobalAveragePool", noise(2, 3, 4, 5))
    one("GlobalMaxPool", noise(2, 3, 4, 5))
    one("LpPool", noise(1, 2, 6, 6), 18, kernel_shape=[2, 2], strides=[2, 2], p=3)
    one("MaxPool", noise(2, 2, 4, 6), kernel_shape=[2, 2], strides=[2, 2], outputs=2)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
)
@pytest.mark.parametrize("sizes", [(1, 2, 7, 11), (1, 2, 3, 4), (1, 2, 10, 5)])
def test_resize_to_sizes(mode: str, coordinates: str, sizes: tuple[int, ...]) -> None:
    one(
        "Resize",
        noise(1, 2, 5, 6),
        19,
        extra={"": None, "scales": np.zeros(0, np.float32), "sizes": np.array(sizes)},
        mode=mode,
        coordinate_transformation_mode=coordinates,
    )


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 1.5), (1, 1, 0.6, 0.5)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
def test_resize_by_factors(rounding: str, scales: tuple[float, ...], coordinates: str) -> None:
    one(
        "Resize",
        noise(1, 2, 5, 6),
        extra={"": None, "scales": np.array(scales, np.float32)},
        mode="nearest",
        nearest_mode=rounding,
        coordinate_transformation_mode=coordinates,
    )


def test_resize_of_a_crop_and_of_older_opsets() -> None:
    one(
        "Resize",
        noise(1, 1, 6, 6),
        extra={
            "roi": np.array([0, 0, 0.2, -0.1, 1, 1, 0.8, 1.2], np.float32),
            "scales": np.zeros(0, np.float32),
            "sizes": np.array([1, 1, 4, 5]),
        },
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.0,
    )
    one("Resize", noise(1, 1, 4, 4), 10, extra={"scales": np.array([1, 1, 2, 1.5], np.float32)}, mode="linear")
    one("Upsample", noise(1, 1, 4, 4), 9, extra={"scales": np.array([1, 1, 2, 3], np.float32)}, mode="nearest")


def nms(boxes: np.ndarray, scores: np.ndarray, centre: int = 0, **limits: Any) -> onnx.ModelProto:
    names = {"most": np.int64, "iou": np.float32, "least": np.float32}
    given = [name if name in limits else "" for name in names]
    while given and not given[-1]:
        given.pop()
    constants = {name: np.array([limits[name]], kind) for name, kind in names.items() if name in limits}
    nodes = [node("NonMaxSuppression", ["boxes", "scores", *given], ["y"], center_point_box=centre)]
    return model(nodes, {"boxes": boxes, "scores": scores}, ["y"], 17, constants)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("centre", [0, 1])
def test_non_max_suppression(seed: int, centre: int) -> None:
    """Random boxes, equal scores among them: the same boxes in the same order as ONNX Runtime."""
    random = np.random.default_rng(seed)
    boxes = random.random((2, 40, 4), np.float32)
    boxes[0, :5] = boxes[0, 5:10]
    scores = np.round(random.random((2, 3, 40), np.float32), 1)
    assert_same(nms(boxes, scores, centre, most=7, iou=0.3, least=0.35), boxes, scores)
    assert_same(nms(boxes, scores, centre, most=40, iou=0.0), boxes, scores)


def test_non_max_suppression_of_nothing() -> None:
    boxes, scores = noise(1, 5, 4), np.zeros((1, 2, 5), np.float32)
    for proto in (nms(boxes, scores, most=5, iou=0.5, least=0.5), nms(boxes, scores), nms(boxes, scores, most=0)):
        (result,) = assert_and_run(proto, boxes, scores)
        assert result.shape == (0, 3)
    empty = np.zeros((1, 0, 4), np.float32), np.zeros((1, 2, 0), np.float32)
    (result,) = run_torch(module_from_onnx(nms(*empty, most=5, iou=0.5, least=0.5)), *empty)
    assert result.shape == (0, 3)


def assert_and_run(proto: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    return run_torch(assert_same(proto, *inputs), *inputs)


@pytest.mark.parametrize(
    "attributes", [{"sampling_ratio": 2}, {}, {"coordinate_transformation_mode": "output_half_pixel"}]
)
def test_roi_align(attributes: dict[str, Any]) -> None:
    rois = np.array([[0, 0, 9, 9], [2, 3, 7.5, 4], [-2, 1, 3, 20], [5, 5, 5, 5]], np.float32)
    extra = {"rois": rois, "image": np.array([0, 1, 1, 0])}
    one("RoiAlign", noise(2, 3, 8, 10), extra=extra, output_height=3, output_width=2, spatial_scale=0.7, **attributes)


def test_top_k_gives_ties_in_order() -> None:
    x = np.round(noise(3, 50), 0)
    for largest in (0, 1):
        one("TopK", x, extra={"k": np.array([20])}, outputs=2, largest=largest)


def test_indexing_from_the_end() -> None:
    one("Gather", noise(3, 4, 5), extra={"i": np.array([[0, -1], [2, -3]])}, axis=1)
    one("Gather", noise(3, 4, 5), extra={"i": np.array(-2)}, axis=-1)
    one("GatherElements", noise(3, 4), extra={"i": np.array([[0, -1], [2, -3], [1, 1]])}, axis=1)
    one("GatherND", noise(2, 3, 4), extra={"i": np.array([[[0, -1]], [[-1, 2]]])}, batch_dims=1)
    one("ScatterND", noise(4, 3), extra={"i": np.array([[1], [-1]]), "u": noise(2, 3, seed=1)})
    one("ScatterElements", noise(3, 4), 18, extra={"i": np.array([[0, 1], [-1, 0]]), "u": noise(2, 2)}, reduction="add")
    one("OneHot", np.array([0, 2, -1]), extra={"d": np.array(3), "v": np.array([2, 5], np.float32)}, axis=0)


def test_slices() -> None:
    x = noise(5, 6, 7)

    def cut(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
        extra = dict(zip(("s", "e", "a", "t"), map(np.array, (starts, ends, axes, steps)), strict=True))
        one("Slice", x, extra=extra)

    cut([1], [1 << 62], [0], [1])
    cut([-3, 1], [-1, 100], [1, 2], [1, 2])
    cut([-1], [-(1 << 62)], [0], [-1])
    cut([4, 5], [0, -6], [0, 1], [-2, -1])
    cut([3], [2], [0], [1])
    one("Slice", x, 9, starts=[1, 0], ends=[3, -1], axes=[0, 2])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_padding(mode: str) -> None:
    one("Pad", noise(2, 3, 5, 6), 19, extra={"p": np.array([0, 1, 2, 3, 0, 0, 1, 2])}, mode=mode)


def test_padding_that_cuts_and_axes() -> None:
    one("Pad", noise(2, 5, 6), extra={"p": np.array([0, -1, 2, 0, 1, -3]), "v": np.array(2.5, np.float32)})
    extra = {"p": np.array([1, 2]), "v": np.array(0, np.float32), "a": np.array([-1])}
    one("Pad", noise(2, 5), 18, extra=extra)


@pytest.mark.parametrize("op", ["Div", "Mod"])
def test_integer_division_rounds_as_onnx_says(op: str) -> None:
    x = np.array([7, -7, 7, -7, 0], np.int32)
    one(op, x, extra={"d": np.array([2, 2, -2, -2, 5], np.int32)})


@pytest.mark.parametrize(("less", "divisor"), [(1, 2), (1, 1), (3, 2), (2, 3), (3, 4)])
def test_sizes_less_a_number_are_divided_towards_zero(less: int, divisor: int) -> None:
    """What the padding of SAME is computed with: below zero ONNX truncates, Python floors."""
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("Sub", ["size", "less"], ["rest"]),
        node("Div", ["rest", "divisor"], ["y"]),
    ]
    constants = {"less": np.array([less], np.int64), "divisor": np.array([divisor], np.int64)}
    proto = model(nodes, {"x": ["n", "m"]}, ["y"], constants=constants)
    for size in range(1, 6):
        assert_same(proto, noise(size, 6 - size))


def test_older_opsets() -> None:
    x = noise(2, 3, 4)
    one("Softmax", x, 11, axis=1)
    one("LogSoftmax", x, 11, axis=-1)
    one("Squeeze", noise(2, 1, 4, 1), 11, axes=[1, -1])
    one("Unsqueeze", x, 11, axes=[0, 4])
    one("ReduceSum", x, 11, axes=[1], keepdims=0)
    one("Clip", x, 6, min=-0.5, max=0.5)
    one("Dropout", x, 7, ratio=0.3)
    one("Pad", x, 10, pads=[0, 0, 1, 0, 2, 0], value=3.0)
    one("TopK", x, 10, extra={"k": np.array([2])}, outputs=2, axis=1)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent(op: str, direction: str) -> None:
    gates, ways, hidden = {"RNN": 1, "GRU": 3, "LSTM": 4}[op], 1 + (direction == "bidirectional"), 3
    extra = {
        "w": noise(ways, gates * hidden, 2),
        "r": noise(ways, gates * hidden, hidden, seed=1),
        "b": noise(ways, 2 * gates * hidden, seed=2),
        "lengths": np.array([5, 3], np.int32),
        "h": noise(ways, 2, hidden, seed=3),
    }
    options = {"linear_before_reset": 1} if op == "GRU" else {}
    one(op, noise(5, 2, 2), extra=extra, outputs=2, hidden_size=hidden, direction=direction, **options)


def test_if_takes_the_branch_that_the_data_says() -> None:
    def branch(op: str) -> onnx.GraphProto:
        return onnx.helper.make_graph(
            [node(op, ["x"], ["o"])], op, [], [onnx.helper.make_tensor_value_info("o", 1, None)]
        )

    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], ["y"], then_branch=branch("Neg"), else_branch=branch("Exp")),
    ]
    proto = model(nodes, {"x": [3]}, ["y"], zero=np.array(0, np.float32))
    assert_same(proto, np.array([1, 2, 3], np.float32))
    assert_same(proto, np.array([-1, -2, -3], np.float32))


@pytest.mark.parametrize(("trips", "limit"), [(5, 1e9), (50, 20.0), (0, 1e9), (1, 1e9)])
def test_loop_ends_by_count_or_by_condition(trips: int, limit: float) -> None:
    """Two carried values that swap places, and a value collected from each trip."""
    value = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [
            node("Add", ["a", "b"], ["sum"]),
            node("ReduceMax", ["sum"], ["top"], keepdims=0),
            node("Less", ["top", "limit"], ["more"]),
            node("Identity", ["a"], ["old"]),
            node("Cast", ["i"], ["f"], to=1),
            node("Mul", ["sum", "f"], ["item"]),
        ],
        "body",
        [value("i", 7, []), value("c", 9, []), value("a", 1, [2]), value("b", 1, [2])],
        [value("more", 9, []), value("sum", 1, [2]), value("old", 1, [2]), value("item", 1, [2])],
    )
    nodes = [
        node("Neg", ["x"], ["minus"]),
        node("Loop", ["trips", "go", "x", "minus"], ["a_end", "b_end", "items"], body=body),
    ]
    constants = {"trips": np.array(trips), "go": np.array(True), "limit": np.array(limit, np.float32)}
    proto = model(nodes, {"x": [2]}, ["a_end", "b_end", "items"], 17, constants)
    assert_same(proto, np.array([1, 2], np.float32))


def test_scan_runs_backwards_too() -> None:
    value = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [node("Add", ["s", "e"], ["t"]), node("Identity", ["t"], ["o"])],
        "body",
        [value("s", 1, [2]), value("e", 1, [2])],
        [value("t", 1, [2]), value("o", 1, [2])],
    )
    for direction in (0, 1):
        nodes = [
            node(
                "Scan",
                ["start", "x"],
                ["end", "y"],
                body=body,
                num_scan_inputs=1,
                scan_input_directions=[direction],
                scan_output_directions=[direction],
            )
        ]
        proto = model(nodes, {"x": [4, 2]}, ["end", "y"], start=np.zeros(2, np.float32))
        assert_same(proto, noise(4, 2))


def test_sequences_are_lists() -> None:
    nodes = [
        node("SplitToSequence", ["x"], ["s"], axis=0, keepdims=0),
        node("SequenceAt", ["s", "last"], ["item"]),
        node("SequenceInsert", ["s", "item", "first"], ["t"]),
        node("SequenceErase", ["t", "last"], ["u"]),
        node("ConcatFromSequence", ["u"], ["y"], axis=0, new_axis=1),
    ]
    assert_same(model(nodes, {"x": [4, 3]}, ["y"], last=np.array(-1), first=np.array(0)), noise(4, 3))


def test_no_operator_is_taken_for_a_version_it_does_not_speak_for() -> None:
    """Add of opset 6 broadcasts by an attribute."""
    proto = model([node("Add", ["x", "c"], ["y"], axis=0, broadcast=1)], {"x": [2, 3]}, ["y"], 6, c=noise(2))
    with pytest.raises(ConversionError, match=r"no PyTorch for Add version 6 \(known: 7 to"):
        module_from_onnx(proto)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Resize", {"mode": "sinc"}),
        ("Resize", {"coordinate_transformation_mode": "corner"}),
        ("Pad", {"mode": "mirror"}),
        ("Conv", {"strides": [1]}),
        ("Cast", {"to": 999}),
    ],
)
def test_attributes_without_a_meaning(op: str, attributes: dict[str, Any]) -> None:
    inputs = {
        "Resize": ["x", "", "scales"],
        "Pad": ["x", "p"],
        "Conv": ["x", "w"],
        "Cast": ["x"],
    }[op]
    constants = {"scales": np.ones(4, np.float32), "p": np.zeros(8, np.int64), "w": noise(2, 3, 3, 3)}
    proto = model([node(op, inputs, ["y"], **attributes)], {"x": [1, 3, 8, 8]}, ["y"], 19, constants)
    with pytest.raises(ConversionError, match=rf"node 0 \({op}\)"):
        module_from_onnx(proto)


def test_the_judge_is_awake() -> None:
    """ONNX Runtime really runs: another operator gives another answer."""
    proto = model([node("Relu", ["x"], ["y"])], {"x": [3]}, ["y"])
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([-1, 0, 1], np.float32)})[0].tolist() == [0, 0, 1]
