"""`module_from_onnx`: a module that behaves like one a person wrote."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tests.convert.judge import run_onnxruntime
from tests.convert.to_torch.graphs import assert_same, detector, model, node, noise, run_torch
from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_torch import module_from_onnx
from zoo.convert.to_torch.module import header_of
from zoo.convert.to_torch.source import write_source
from zoo.convert.to_torch.writer import write_program


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return module_from_onnx(detector())


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 64, 96)])
def test_a_detector_of_any_batch_and_size(shape: tuple[int, ...]) -> None:
    """Selections are compared as sets: scores that differ by a rounding error may change places."""
    proto = detector()
    images = noise(*shape)
    boxes, scores, selected = run_torch(module_from_onnx(proto), images)
    expected = run_onnxruntime(proto, images)
    np.testing.assert_allclose(boxes, expected[0], atol=1e-5)
    np.testing.assert_allclose(scores, expected[1], atol=1e-5)
    assert len(selected) > 10
    assert set(map(tuple, selected)) == set(map(tuple, expected[2]))


def test_layers_are_standard_and_named_after_their_nodes(module: nn.Module) -> None:
    layers = dict(module.named_children())
    assert isinstance(layers["convolutional_0"], nn.Conv2d)
    assert isinstance(layers["convolutional_0_norm"], nn.BatchNorm2d)
    assert isinstance(layers["convolutional_0_leaky"], nn.LeakyReLU)
    assert layers["convolutional_0_leaky"].negative_slope == 0.1
    assert not module.training


def test_the_source_reads_like_the_network() -> None:
    graph = simplified(graph_of(detector()))
    source = write_source(write_program(graph), header_of(graph))
    forward = source[source.index("def forward") :]
    assert "x = self.convolutional_0(images)\n        x = self.convolutional_0_norm(x)" in forward
    assert ".reshape(convolutional_3.shape[0], 3, 8, convolutional_3.shape[2], convolutional_3.shape[3])" in forward
    assert "xywh, class_scores = x.split([4, 4], dim=4)" in forward
    assert "torch.tensor" not in forward, "shape arithmetic must stay Python integers"
    assert "import onnx" not in source
    assert "zoo" not in source.split('"""')[2]


def test_weights_are_parameters_and_can_be_trained(module: nn.Module) -> None:
    parameters = dict(module.named_parameters())
    assert parameters["convolutional_0.weight"].requires_grad
    module.train()
    boxes, scores, _ = module(torch.from_numpy(noise(2, 3, 32, 32)))
    (boxes.sum() + scores.sum()).backward()
    assert all(parameter.grad is not None for parameter in parameters.values())
    module.eval()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_module_changes_its_number_type(dtype: torch.dtype) -> None:
    proto = model(
        [
            node("Cast", ["pixels"], ["f"], to=1),
            node("Conv", ["f", "w"], ["c"]),
            node("Mul", ["c", "scale"], ["d"]),
            node("ReduceMean", ["d"], ["y"], axes=[2, 3]),
        ],
        {"pixels": np.zeros((1, 3, 8, 8), np.uint8)},
        ["y"],
        w=noise(4, 3, 3, 3),
        scale=noise(4, 1, 1),
    )
    module = module_from_onnx(proto)
    pixels = torch.arange(192, dtype=torch.uint8).reshape(1, 3, 8, 8)
    (expected,) = module(pixels)
    (result,) = module.to(dtype)(pixels)
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), expected, rtol=0.03, atol=1.0)


def test_new_tensors_follow_the_inputs_device() -> None:
    """On the meta device nothing is computed, but a tensor made on the CPU in between would be an error."""
    proto = model(
        [
            node("Shape", ["x"], ["s"]),
            node("ConstantOfShape", ["s"], ["zeros"]),
            node("Gather", ["s", "one"], ["w"]),
            node("Range", ["nothing", "w", "step"], ["r"]),
            node("Cast", ["r"], ["f"], to=1),
            node("Add", ["zeros", "f"], ["y"]),
        ],
        {"x": ["n", "w"]},
        ["y"],
        one=np.array(1),
        nothing=np.array(0),
        step=np.array(1),
    )
    assert_same(proto, noise(2, 5))
    (result,) = module_from_onnx(proto).to("meta")(torch.empty(2, 5, device="meta"))
    assert result.device.type == "meta"


def test_the_same_weights_are_stored_once() -> None:
    proto = model(
        [
            node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            node("Conv", ["a", "w"], ["b"], pads=[1, 1, 1, 1]),
            node("Add", ["b", "offset"], ["c"]),
            node("Sub", ["c", "offset"], ["y"]),
        ],
        {"x": [1, 3, 8, 8]},
        ["y"],
        w=noise(3, 3, 3, 3),
        offset=noise(3, 1, 1),
    )
    assert len(assert_same(proto, noise(1, 3, 8, 8), atol=1e-4).state_dict()) == 2


def test_an_unknown_operator_is_refused_by_name() -> None:
    proto = model([node("TfIdfVectorizer", ["x"], ["y"], "counts", mode="TF")], {"x": [3]}, ["y"])
    with pytest.raises(ConversionError, match=r"node 0 \(TfIdfVectorizer 'counts'\): no PyTorch for TfIdfVectorizer"):
        module_from_onnx(proto)


def test_ten_thousand_nodes_deep() -> None:
    names = ["x", *(f"v{i}" for i in range(9_998)), "y"]
    nodes = [node("Neg", [a], [b]) for a, b in pairwise(names)]
    module = module_from_onnx(model(nodes, {"x": [2]}, ["y"]))
    (result,) = run_torch(module, noise(2))
    np.testing.assert_array_equal(result, -noise(2))


def test_the_module_survives_compile_tracing() -> None:
    """torch.compile finds one graph, without breaks; the backend here only runs it."""
    proto = model(
        [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["y"])],
        {"x": ["n", 3, 8, 8]},
        ["y"],
        w=noise(4, 3, 3, 3),
    )
    module = module_from_onnx(proto)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    x = torch.from_numpy(noise(2, 3, 8, 8))
    torch.testing.assert_close(compiled(x), module(x))
