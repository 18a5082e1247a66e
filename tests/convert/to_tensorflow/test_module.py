"""The module computes what ONNX Runtime computes, in both layouts, and is one that TensorFlow people can train."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.convert.judge import run_onnxruntime
from tests.convert.to_tensorflow.graphs import Array, detector, model, noise
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.to_tensorflow import module_from_onnx
from zoo.convert.to_tensorflow.backend import tf

node = helper.make_node
PICTURE_SHAPE = (2, 4, 8, 8)
PICTURE = helper.make_tensor_value_info("x", 1, PICTURE_SHAPE)


def kinds(module: Any) -> list[str]:
    return [operation.type for operation in module.concrete.graph.get_operations()]


def close(found: Any, expected: Array) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.numpy() - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("batch", [1, 3])
def test_a_detector_agrees_in_both_layouts(batch: int) -> None:
    made, images = detector(), noise(batch, 3, 16, 16)
    (expected,) = run_onnxruntime(made, images)
    close(module_from_onnx(made)(images)[0], expected)
    close(module_from_onnx(made, layout="nhwc")(images.transpose(0, 2, 3, 1))[0], expected)


def test_pictures_stay_channels_last_all_the_way() -> None:
    assert kinds(module_from_onnx(detector(), layout="nhwc")).count("Transpose") == 1  # the head's order of boxes
    assert kinds(module_from_onnx(detector(), layout="nchw")).count("Transpose") == 2  # and the input's


@pytest.mark.parametrize(
    "attributes, weight, forms",
    [
        ({"pads": [1, 1, 1, 1]}, (4, 6, 3, 3), {"padding": b"SAME"}),
        ({"pads": [1, 1, 1, 1], "strides": [2, 2]}, (4, 6, 3, 3), {"padding": b"EXPLICIT"}),
        ({"pads": [0, 0, 1, 1], "strides": [2, 2]}, (4, 6, 3, 3), {"padding": b"SAME"}),
        ({"pads": [0, 2, 1, 0]}, (4, 6, 3, 3), {"padding": b"EXPLICIT"}),
        ({"pads": [2, 2, 2, 2], "dilations": [2, 2]}, (4, 6, 3, 3), {"padding": b"SAME"}),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (4, 6, 4, 4), {"padding": b"SAME"}),
        ({"auto_pad": "SAME_LOWER"}, (4, 6, 2, 2), {"padding": b"EXPLICIT"}),
        ({"group": 2}, (4, 3, 3, 3), {}),
        ({"group": 6, "pads": [1, 1, 1, 1]}, (6, 1, 3, 3), None),
        ({"group": 6, "pads": [1, 1, 1, 1], "strides": [2, 2]}, (12, 1, 3, 3), None),
    ],
)
def test_convolutions_take_tensorflows_own_forms(
    attributes: dict[str, Any], weight: tuple[int, ...], forms: dict[str, Any] | None
) -> None:
    """`forms` None: the depthwise one."""
    made = model([node("Conv", ["x", "w"], ["y"], **attributes)], {"x": ("n", 6, 10, 10)}, ["y"], {"w": noise(*weight)})
    module = module_from_onnx(made, layout="nhwc")
    images = noise(2, 6, 10, 10)
    close(module(images.transpose(0, 2, 3, 1))[0], run_onnxruntime(made, images)[0])
    kind = "DepthwiseConv2dNative" if forms is None else "Conv2D"
    (operation,) = (found for found in module.concrete.graph.get_operations() if found.type == kind)
    assert all(operation.get_attr(name) == value for name, value in (forms or {}).items())


@pytest.mark.parametrize("kind", ["LeakyRelu", "Relu", "Elu", "Mish", "Sigmoid", "Tanh", "HardSwish"])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_activation_after_a_sum_survives_tensorflows_fusion(kind: str, is_first: bool) -> None:
    """Convolution, bias, sum and activation become one kernel: its leaky ReLU had another slope."""
    terms = ["c", "r"] if is_first else ["r", "c"]
    attributes: dict[str, Any] = {"alpha": 0.1} if kind == "LeakyRelu" else {}
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        node("Conv", ["x", "v"], ["r"]),
        node("Add", terms, ["s"]),
        node(kind, ["s"], ["y"], **attributes),
        node("Conv", ["y", "u"], ["z"]),
    ]
    weights = {"w": noise(4, 3, 3, 3), "b": noise(4), "v": noise(4, 3, 1, 1, seed=2), "u": noise(2, 4, 1, 1, seed=3)}
    made = model(nodes, {"x": ("n", 3, 8, 8)}, ["z"], weights, opset=18)
    images = noise(1, 3, 8, 8)
    close(module_from_onnx(made)(images)[0], run_onnxruntime(made, images)[0])


@pytest.mark.parametrize(
    "name, attributes",
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [0, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    ],
)
@pytest.mark.parametrize("size", [9, 10])
def test_pooling_agrees_at_odd_and_even_sizes(name: str, attributes: dict[str, Any], size: int) -> None:
    made = model([node(name, ["x"], ["y"], **attributes)], {"x": (1, 2, size, size)}, ["y"])
    images = noise(1, 2, size, size) - 3  # below zero: a wrong fill of the border would show
    close(module_from_onnx(made)(images)[0], run_onnxruntime(made, images)[0])


@pytest.mark.parametrize("name", ["Conv", "MaxPool", "AveragePool"])
def test_same_upper_is_tensorflows_same_at_any_size(name: str) -> None:
    attributes: dict[str, Any] = {"auto_pad": "SAME_UPPER", "kernel_shape": [3, 3], "strides": [2, 2]}
    weights = {"w": noise(4, 2, 3, 3)} if name == "Conv" else {}
    made = model([node(name, ["x", *weights], ["y"], **attributes)], {"x": ("n", 2, "h", "w")}, ["y"], weights)
    module = module_from_onnx(made)
    for height, width in ((7, 8), (10, 5)):
        images = noise(2, 2, height, width)
        close(module(images)[0], run_onnxruntime(made, images)[0])


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("rule", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
def test_resize_keeps_sizes_dynamic(mode: str, rule: str) -> None:
    """Height and width are known only when the model runs, and so is the wanted size."""
    how = {"mode": mode, "coordinate_transformation_mode": rule, "nearest_mode": "floor"}
    nodes = [
        node("Shape", ["y"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["size"]),
        node("Shape", ["x"], ["own"]),
        node("Slice", ["own", "zero", "two"], ["front"]),
        node("Concat", ["front", "size"], ["sizes"], axis=0),
        node("Resize", ["x", "", "", "sizes"], ["z"], **how),
    ]
    numbers = {name: np.array([value], np.int64) for name, value in (("zero", 0), ("two", 2), ("four", 4))}
    made = model(nodes, {"x": ("n", 2, "h", "w"), "y": ("n", 2, "H", "W")}, ["z"], numbers)
    module = module_from_onnx(made)
    for height, width in ((5, 7), (11, 4)):
        x, y = noise(2, 2, 6, 5), noise(2, 2, height, width)
        close(module(x, y)[0], run_onnxruntime(made, x, y)[0])


def test_shape_arithmetic_stays_numbers_beside_a_dynamic_batch() -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Cast", ["shape"], ["short"], to=6),
        node("Gather", ["short", "last"], ["width"], axis=0),
        node("Mul", ["width", "two"], ["double"]),
        node("Gather", ["short", "first"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "axis"], ["b"]),
        node("Unsqueeze", ["double", "axis"], ["d"]),
        node("Concat", ["b", "minus", "d"], ["target"], axis=0),
        node("Cast", ["target"], ["long"], to=7),
        node("Reshape", ["x", "long"], ["y"]),
    ]
    weights: dict[str, Array] = {
        "last": np.array(2, np.int64),
        "first": np.array(0, np.int64),
        "two": np.array(2, np.int32),
        "axis": np.array([0], np.int64),
        "minus": np.array([-1], np.int32),
    }
    made = model(nodes, {"x": ("n", 4, 6)}, ["y"], weights)
    module = module_from_onnx(made)
    x = noise(3, 4, 6)
    close(module(x)[0], run_onnxruntime(made, x)[0])
    assert module.concrete.outputs[0].shape[2] == 12


def test_coordinates_are_divided_as_onnx_does() -> None:
    """places · (size / 300) for each size: the product with 1/300 differs in the last bit for many."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Cast", ["shape"], ["size"], to=1),
        node("Div", ["size", "count"], ["step"]),
        node("Mul", ["places", "step"], ["y"]),
    ]
    weights = {"count": np.array(300, np.float32), "places": np.arange(300, dtype=np.float32)}
    made = model(nodes, {"x": ("n",)}, ["y"], weights)
    module = module_from_onnx(made)
    for size in (333, 480, 500, 640):
        x = np.zeros(size, np.float32)
        assert np.array_equal(module(x)[0].numpy(), run_onnxruntime(made, x)[0])


def test_loop_and_if_run_as_tensorflow_control_flow() -> None:
    body = helper.make_graph(
        [
            node("Add", ["total", "step"], ["more"]),
            node("ReduceSum", ["more"], ["sum"], keepdims=0),
            node("Less", ["sum", "limit"], ["again"]),
            node("Identity", ["more"], ["seen"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("total", 1, [2]),
        ],
        [
            helper.make_tensor_value_info("again", 9, []),
            helper.make_tensor_value_info("more", 1, [2]),
            helper.make_tensor_value_info("seen", 1, [2]),
        ],
    )
    made = model(
        [node("Abs", ["x"], ["step"]), node("Loop", ["", "", "x"], ["last", "history"], body=body)],
        {"x": (2,)},
        ["last", "history"],
        {"limit": np.array(7, np.float32)},
    )
    x = np.array([0.5, 1], np.float32)
    for found, expected in zip(module_from_onnx(made)(x), run_onnxruntime(made, x), strict=True):
        close(found, expected)


def test_non_maximum_suppression_agrees_with_onnx_runtime() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 1, (2, 60, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, (2, 60, 2)).astype(np.float32)], 2)
    scores = rng.uniform(0, 1, (2, 4, 60)).astype(np.float32)
    made = model(
        [node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["kept"])],
        {"boxes": ("n", 60, 4), "scores": ("n", 4, 60)},
        ["kept"],
        {"most": np.array([7]), "overlap": np.array([0.4], np.float32), "least": np.array([0.3], np.float32)},
    )
    expected = run_onnxruntime(made, boxes, scores)[0]
    found = module_from_onnx(made)(boxes, scores)[0]
    assert len(expected) > 20
    assert np.array_equal(found, expected)


def test_weights_are_variables_named_after_the_layers_and_train() -> None:
    module = module_from_onnx(detector(), layout="nhwc")
    assert set(module.weights) == {
        "layer_0_convolutional/kernel",
        "layer_0_convolutional/bias",
        "layer_1_convolutional/kernel",
        "layer_4_convolutional/kernel",
        "layer_4_convolutional/bias",
    }
    assert module.weights["layer_0_convolutional/kernel"].shape == (3, 3, 3, 8)
    images = noise(2, 16, 16, 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(module(images)[0])
    gradients = tape.gradient(loss, module.trainable_variables)
    assert len(gradients) == 5
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    before = float(loss)
    for variable, gradient in zip(module.trainable_variables, gradients, strict=True):
        variable.assign_sub(gradient)
    assert float(tf.reduce_mean(module(images)[0])) < before


def test_weights_can_be_constants_of_the_graph() -> None:
    module = module_from_onnx(detector(), layout="nhwc", constants=True)
    assert not module.weights
    assert not module.concrete.graph.captures
    images = noise(2, 16, 16, 3)
    close(module(images)[0], run_onnxruntime(detector(), images.transpose(0, 3, 1, 2))[0])


def test_a_constant_of_several_layers_is_written_once_in_each_graph() -> None:
    body = helper.make_graph(
        [node("Conv", ["x", "w"], ["again"]), node("Identity", ["go"], ["going"])],
        "body",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, []), PICTURE],
        [helper.make_tensor_value_info("going", 9, []), helper.make_tensor_value_info("again", 1, PICTURE_SHAPE)],
    )
    nodes = [
        node("Conv", ["images", "w"], ["once"]),
        node("Loop", ["times", "", "once"], ["often"], body=body),
        node("Conv", ["often", "w"], ["last"]),
    ]
    weights = {"w": noise(4, 4, 1, 1), "times": np.array(3)}
    made, images = model(nodes, {"images": PICTURE_SHAPE}, ["last"], weights), noise(*PICTURE_SHAPE)
    module = module_from_onnx(made, constants=True)
    close(module(images)[0], run_onnxruntime(made, images)[0])
    constants = [one.outputs[0] for one in module.concrete.graph.get_operations() if one.type == "Const"]
    assert sum(constant.shape == (1, 1, 4, 4) for constant in constants) == 1


def test_more_constants_than_a_graph_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.convert.to_tensorflow.module.MOST_CONSTANTS", 1000)
    with pytest.raises(ConversionError, match=r"bytes of weights, more than the 1,000 that a graph can hold"):
        module_from_onnx(detector(), constants=True)


def test_xla_compiles_where_sizes_are_fixed() -> None:
    made, images = detector(batch=2), noise(2, 3, 16, 16)
    compiled = tf.function(module_from_onnx(made), jit_compile=True, autograph=False)
    close(compiled(tf.constant(images))[0], run_onnxruntime(made, images)[0])


def test_an_operator_without_an_entry_is_refused_by_name_with_its_node() -> None:
    nodes = [node("Abs", ["x"], ["a"]), node("StringNormalizer", ["a"], ["y"], name="odd/one")]
    made = model(nodes, {"x": (2,)}, [])
    made.graph.output.add(name="y")
    with pytest.raises(ConversionError, match=r"node 1 \(StringNormalizer 'odd/one'\).*opset 18"):
        module_from_onnx(made)


@pytest.mark.parametrize(
    "made, message",
    [
        (
            model(
                [node("Conv", ["x", "w"], ["y"], name="bad", auto_pad="SAME_LOWER", strides=[2, 2])],
                {"x": ("n", 2, "h", "w")},
                ["y"],
                {"w": noise(3, 2, 3, 3)},
            ),
            r"node 0 \(Conv 'bad'\): auto_pad SAME_LOWER with a stride needs fixed sizes",
        ),
        (
            model([node("Squeeze", ["x", "k"], ["y"], name="bad")], {"x": (1, 2), "k": (1,)}, []),
            r"node 0 \(Squeeze 'bad'\): axes \(input 1\) is computed while the model runs",
        ),
        (
            model([node("BitShift", ["x", "x"], ["y"], name="bad", direction="LEFT")], {"x": (2,)}, []),
            r"node 0 \(BitShift 'bad'\): TensorFlow cannot express it",
        ),
    ],
)
def test_what_cannot_be_expressed_names_the_node_and_why(made: onnx.ModelProto, message: str) -> None:
    if not made.graph.output:
        made.graph.output.add(name="y")
    with pytest.raises(ConversionError, match=message):
        module_from_onnx(made)


def test_wrong_calls_are_usage_errors() -> None:
    made = model([node("MatMul", ["x", "w"], ["y"])], {"x": ("n", "k")}, ["y"], {"w": noise(3, 2)})
    with pytest.raises(UsageError, match="layout 'nhcw'"):
        module_from_onnx(made, layout="nhcw")
    with pytest.raises(UsageError, match="takes 1 inputs, got 2"):
        module_from_onnx(made)(noise(4, 3), noise(4, 3))


@pytest.mark.parametrize("name", ['"; import os', "class", "a\nb", "../../x", "", "ü" * 300, "a:0", "/"])
def test_hostile_names_are_only_names(name: str) -> None:
    nodes = [node("Conv", ["x", "w"], [name or "y"], name=name), node("Relu", [name or "y"], ["z"])]
    made = model(nodes, {"x": (1, 2, 4, 4)}, ["z"], {"w": noise(3, 2, 1, 1)})
    module = module_from_onnx(made)
    x = noise(1, 2, 4, 4)
    close(module(x)[0], run_onnxruntime(made, x)[0])
    (weight,) = module.weights
    assert weight.replace("_", "").replace("/", "").replace(".", "").replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("given", "target", "shape"),
    [((1,), (), ()), ((2, 3), (-1,), (6,)), ((2, 3, 4), (0, -1), (2, 12)), ((2, 3), (0, 0, -1), (2, 3, 1))],
)
def test_reshape_to_what_the_axes_hold(given: tuple[int, ...], target: tuple[int, ...], shape: tuple[int, ...]) -> None:
    node = helper.make_node("Reshape", ["x", "target"], ["y"])
    proto = model([node], {"x": given}, ["y"], {"target": np.array(target, np.int64)})
    array = np.arange(np.prod(given), dtype=np.float32).reshape(given)
    assert np.array_equal(module_from_onnx(proto)(array)[0].numpy(), array.reshape(shape))
