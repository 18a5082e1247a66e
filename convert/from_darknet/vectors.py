"""Emitters of the layers that work on vectors or pass values on: connected, softmax, activation and the like."""

from __future__ import annotations

from zoo.convert.from_darknet.activations import activate
from zoo.convert.from_darknet.context import Context
from zoo.convert.from_darknet.tree import tree_softmax
from zoo.convert.from_darknet.weights import batch_normalization, kernel_and_bias
from zoo.convert.onnx_graph.build import plain_chunks
from zoo.darknet.layers import Activation, Connected, Implicit, Layer, Passing, Softmax, size_of


def product(context: Context, layer: Layer, part: str, value: str, hint: str) -> str:
    """value · kernelᵀ + bias with batch norm, [N, out]; `part` is of a recurrent layer."""
    tensors, name = context.tensors(layer, part), context.name(layer, part)
    kernel, bias = kernel_and_bias(context, name, tensors)
    if bias:
        return context.mark_vector(context.graph.op("Gemm", value, kernel, bias, hint=hint, transB=1))
    value = context.graph.op("Gemm", value, kernel, hint=f"{name}.product", transB=1)
    return context.mark_vector(batch_normalization(context, name, tensors, value, hint))


def connected(context: Context, layer: Connected) -> str:
    name = context.name(layer)
    hint = name if layer.activation == "linear" else f"{name}.sum"
    value = product(context, layer, "", context.vector(layer), hint)
    return context.mark_vector(activate(context.graph, layer.activation, value, name))


def passing(context: Context, layer: Passing) -> str:
    if layer.type != "contrastive":
        return context.source(layer)
    zero = context.graph.constant(0.0)  # the program leaves its output as it was made
    return context.mark_vector(context.graph.op("Mul", context.vector(layer), zero, hint=context.name(layer)))


def activation(context: Context, layer: Activation) -> str:
    value = context.source(layer)
    out = activate(context.graph, layer.activation, value, context.name(layer))
    return context.mark_vector(out) if value in context.vectors else out


def implicit(context: Context, layer: Implicit) -> str:
    graph, name = context.graph, context.name(layer)
    weights = context.tensors(layer)["weights"].reshape(1, *layer.output_shape)
    constant = graph.blob(f"{name}.weights", weights.shape, plain_chunks(weights))
    sizes = graph.op("Shape", context.input, hint=f"{name}.sizes")
    batch = graph.op("Slice", sizes, graph.integers(0), graph.integers(1), hint=f"{name}.batch")
    shape = graph.op("Concat", batch, graph.integers(*layer.output_shape), hint=f"{name}.shape", axis=0)
    return graph.op("Expand", constant, shape, hint=name)


def softmax(context: Context, layer: Softmax) -> str:
    graph, name, value = context.graph, context.name(layer), context.vector(layer)
    if layer.temperature != 1:
        value = graph.op("Div", value, graph.constant(layer.temperature), hint=f"{name}.scaled")
    if layer.tree:
        return context.mark_vector(tree_softmax(graph, layer.tree, value, name, rank=2))
    if layer.groups == 1:
        return context.mark_vector(graph.op("Softmax", value, hint=name, axis=1))
    inputs = size_of(layer.input_shape)
    chunks = context.reshape(value, (layer.groups, inputs // layer.groups), f"{name}.chunks")
    chunks = graph.op("Softmax", chunks, hint=f"{name}.softmax", axis=2)
    return context.flatten(chunks, name)
