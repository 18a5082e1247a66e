"""Emitters of the layers that compute on images: convolutions, pools, resampling, normalisation."""

from __future__ import annotations

import numpy as np

from zoo.convert.from_darknet.activations import activate
from zoo.convert.from_darknet.context import Array, Context
from zoo.convert.from_darknet.weights import batch_normalization, kernel_and_bias, vector
from zoo.convert.onnx_graph.build import plain_chunks
from zoo.darknet.layers import (
    Avgpool,
    Batchnorm,
    Convolutional,
    Crop,
    Deconvolutional,
    L2norm,
    Layer,
    Local,
    Normalization,
    Pool,
    Reorg,
    Upsample,
)

BLURS = {1: np.outer((1, 2, 1), (1, 2, 1)) / 16, 2: np.full((2, 2), 1 / 4)}


def convolutional(context: Context, layer: Convolutional) -> str:
    name, graph = context.name(layer), context.graph
    owner = layer if layer.share is None else context.network.layers[layer.share]
    tensors = context.tensors(owner)
    kernel = _binary(tensors["kernel"]) if layer.xnor else None
    key = context.name(owner, "binary") if layer.xnor else context.name(owner)
    weights, bias = kernel_and_bias(context, key, tensors, kernel)
    value = _signs(context, layer) if layer.xnor else context.image(layer)
    stride = (1, 1) if layer.antialiasing else (layer.stride_y, layer.stride_x)
    normalize = not bias
    value = graph.op(
        "Conv",
        value,
        weights,
        *([] if normalize else [bias]),
        hint=name if layer.activation == "linear" and not normalize and not layer.antialiasing else f"{name}.conv",
        kernel_shape=[layer.size] * 2,
        strides=stride,
        pads=[layer.padding * layer.dilation] * 4,
        **_unless(1, dilations=layer.dilation, group=layer.groups),
    )
    if normalize:
        value = batch_normalization(context, key, tensors, value, f"{name}.norm")
    value = activate(graph, layer.activation, value, f"{name}.act" if layer.antialiasing else name)
    return _blur(context, layer, value) if layer.antialiasing else value


def _unless(default: int, dilations: int, group: int) -> dict[str, object]:
    """Attributes that differ from ONNX's defaults."""
    attributes: dict[str, object] = {} if dilations == default else {"dilations": [dilations] * 2}
    return attributes if group == default else {**attributes, "group": group}


def _binary(kernel: Array) -> Array:
    """Each filter as ± its mean absolute value; 0 counts as negative."""
    mean = np.abs(kernel).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    binary: Array = np.where(kernel > 0, mean, -mean)
    return binary


def _signs(context: Context, layer: Layer) -> str:
    graph, name = context.graph, context.name(layer)
    positive = graph.op("Greater", context.image(layer), graph.constant(0.0), hint=f"{name}.positive")
    return graph.op("Where", positive, graph.constant(1.0), graph.constant(-1.0), hint=f"{name}.signs")


def _blur(context: Context, layer: Convolutional | Pool, value: str) -> str:
    """The antialiasing filter, on every channel by itself."""
    channels, graph = layer.output_shape[0], context.graph
    blur = BLURS[layer.antialiasing].astype(np.float32)
    kernel = graph.constant(np.broadcast_to(blur, (channels, 1, *blur.shape)))
    return graph.op(
        "Conv",
        value,
        kernel,
        hint=context.name(layer),
        kernel_shape=blur.shape,
        strides=[layer.stride_y, layer.stride_x],
        pads=[1 if layer.antialiasing == 1 else 0] * 4,
        group=channels,
    )


def deconvolutional(context: Context, layer: Deconvolutional) -> str:
    name, graph, tensors = context.name(layer), context.graph, context.tensors(layer)
    kernel = graph.blob(f"{name}.kernel", tensors["kernel"].shape, plain_chunks(tensors["kernel"]))
    value = graph.op(
        "ConvTranspose",
        context.image(layer),
        kernel,
        *([] if layer.batch_normalize else [vector(context, f"{name}.bias", tensors["bias"])]),
        hint=f"{name}.conv",
        kernel_shape=[layer.size] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
    )
    if layer.batch_normalize:
        value = batch_normalization(context, name, tensors, value, f"{name}.norm")
    return activate(graph, layer.activation, value, name)


def local(context: Context, layer: Local) -> str:
    """Unrolled by a depthwise convolution with one-hot kernels, then one matrix for each place."""
    name, graph, tensors = context.name(layer), context.graph, context.tensors(layer)
    n, h, w = layer.output_shape
    channels, area = layer.input_shape[0], layer.size * layer.size
    one_hot = np.eye(area, dtype=np.float32).reshape(area, 1, layer.size, layer.size)
    unrolled = graph.op(
        "Conv",
        context.image(layer),
        graph.constant(np.tile(one_hot, (channels, 1, 1, 1))),
        hint=f"{name}.unrolled",
        kernel_shape=[layer.size] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.pad] * 4,
        group=channels,
    )
    columns = context.reshape(unrolled, (channels * area, h * w), f"{name}.columns")
    columns = graph.op("Transpose", columns, hint=f"{name}.places", perm=[2, 1, 0])
    kernel = tensors["kernel"].reshape(h * w, n, channels * area)
    matrices = graph.blob(f"{name}.kernel", kernel.shape, plain_chunks(kernel))
    value = graph.op("MatMul", matrices, columns, hint=f"{name}.products")
    value = graph.op("Transpose", value, hint=f"{name}.filters", perm=[2, 1, 0])
    value = context.reshape(value, (n, h, w), f"{name}.map")
    bias = graph.blob(f"{name}.bias", (n, h, w), plain_chunks(tensors["bias"]))
    linear = layer.activation == "linear"
    value = graph.op("Add", value, bias, hint=name if linear else f"{name}.sum")
    return activate(graph, layer.activation, value, name)


def pool(context: Context, layer: Pool) -> str:
    graph, name = context.graph, context.name(layer)
    if layer.depth:
        return _depth_pool(context, layer)
    left = layer.padding // 2
    right = layer.padding - left
    average = {} if layer.type == "maxpool" else {"count_include_pad": 0}
    value = graph.op(
        "MaxPool" if layer.type == "maxpool" else "AveragePool",
        context.image(layer),
        hint=f"{name}.max" if layer.antialiasing else name,
        kernel_shape=[layer.size] * 2,
        strides=[1, 1] if layer.antialiasing else [layer.stride_y, layer.stride_x],
        pads=[left, left, right, right],
        **average,
    )
    return _blur(context, layer, value) if layer.antialiasing else value


def _depth_pool(context: Context, layer: Pool) -> str:
    """Maximum of the channels g, g + depth, …: slices of `depth` channels, the last one perhaps shorter."""
    graph, name = context.graph, context.name(layer)
    channels, depth = layer.input_shape[0], layer.depth
    starts = range(0, channels, depth)
    if channels % depth:
        padding = graph.integers(0, 0, 0, 0, 0, -channels % depth, 0, 0)
        lowest = graph.constant(np.finfo(np.float32).min)
        padded = graph.op("Pad", context.image(layer), padding, lowest, hint=f"{name}.padded")
    else:
        padded = context.image(layer)
    slices = [
        graph.op(
            "Slice",
            padded,
            graph.integers(start),
            graph.integers(start + depth),
            graph.integers(1),
            hint=f"{name}.slice",
        )
        for start in starts
    ]
    return graph.op("Max", *slices, hint=name)


def avgpool(context: Context, layer: Avgpool) -> str:
    return context.graph.op("GlobalAveragePool", context.image(layer), hint=context.name(layer))


def upsample(context: Context, layer: Upsample) -> str:
    graph, name, value = context.graph, context.name(layer), context.image(layer)
    scale = layer.scale
    inner = name if scale == 1 and not layer.reverse else f"{name}.resized"
    if layer.reverse:
        sides = [layer.stride] * 2
        value = graph.op("AveragePool", value, hint=inner, kernel_shape=sides, strides=sides)
        scale *= layer.stride**2
    else:
        scales = graph.constant((1.0, 1.0, layer.stride, layer.stride))
        modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        value = graph.op("Resize", value, "", scales, hint=inner, **modes)
    return value if inner == name else graph.op("Mul", value, graph.constant(scale), hint=name)


def reorg(context: Context, layer: Reorg) -> str:
    graph, name, value = context.graph, context.name(layer), context.image(layer)
    c, h, w = layer.input_shape
    stride = layer.stride
    if layer.flatten:
        return _flatten_places(context, layer, value)
    if layer.extra:
        padding = graph.integers(0, 0, 0, layer.extra)
        flat = context.flatten(value, f"{name}.flat")
        return context.mark_vector(graph.op("Pad", flat, padding, hint=name))
    if stride == 1:
        return value
    if layer.type == "reorg" and not layer.reverse:
        value = context.reshape(value, (c // stride**2, h * stride, w * stride), f"{name}.block")
    if layer.type == "reorg3d" and layer.reverse:
        value = context.reshape(value, layer.output_shape, f"{name}.block")
    moved = "DepthToSpace" if layer.reverse else "SpaceToDepth"
    exact = (layer.type == "reorg") == layer.reverse  # the result already has the layer's shape
    value = graph.op(moved, value, hint=name if exact else f"{name}.moved", blocksize=stride)
    return value if exact else context.reshape(value, layer.output_shape, name)


def _flatten_places(context: Context, layer: Reorg, value: str) -> str:
    """Channels × places → places × channels in memory; the shape stays the layer's."""
    c, h, w = layer.input_shape
    rows = (h * w, c) if layer.reverse else (c, h * w)
    name = context.name(layer)
    value = context.reshape(value, rows, f"{name}.rows")
    value = context.graph.op("Transpose", value, hint=f"{name}.columns", perm=[0, 2, 1])
    return context.reshape(value, layer.output_shape, name)


def crop(context: Context, layer: Crop) -> str:
    graph, name = context.graph, context.name(layer)
    (_, h, w), (_, out_h, out_w) = layer.input_shape, layer.output_shape
    top, left = (h - out_h) // 2, (w - out_w) // 2
    value = context.image(layer)
    if (h, w) != (out_h, out_w):
        starts, ends = graph.integers(top, left), graph.integers(top + out_h, left + out_w)
        hint = name if layer.noadjust else f"{name}.cropped"
        value = graph.op("Slice", value, starts, ends, graph.integers(2, 3), hint=hint)
    if layer.noadjust:
        return value
    doubled = graph.op("Mul", value, graph.constant(2.0), hint=f"{name}.doubled")
    return graph.op("Sub", doubled, graph.constant(1.0), hint=name)


def batchnorm(context: Context, layer: Batchnorm) -> str:
    name = context.name(layer)
    return batch_normalization(context, name, context.tensors(layer), context.image(layer), name)


def normalization(context: Context, layer: Normalization) -> str:
    """The window sums are a 1×1 convolution with a matrix of ones, and at the edges what the program leaves."""
    graph, name, value = context.graph, context.name(layer), context.image(layer)
    channels = layer.input_shape[0]
    matrix = window_matrix(channels, layer.size) * layer.alpha
    kernel = graph.constant(matrix.reshape(channels, channels, 1, 1))
    bias = graph.constant(np.full(channels, layer.kappa))
    square = graph.op("Mul", value, value, hint=f"{name}.square")
    norms = graph.op("Conv", square, kernel, bias, hint=f"{name}.norms", kernel_shape=[1, 1])
    power = graph.op("Pow", norms, graph.constant(-layer.beta), hint=f"{name}.power")
    return graph.op("Mul", value, power, hint=name)


def window_matrix(channels: int, size: int) -> Array:
    """Row k says how often the square of each channel is in the program's running sum for channel k."""
    matrix = np.zeros((channels, channels), np.float32)
    matrix[0, : size // 2] = 1
    for k in range(1, channels):
        matrix[k] = matrix[k - 1]
        before, after = k - (size - 1) // 2 - 1, k + size // 2
        if before >= 0:
            matrix[k, before] -= 1
        if after < channels:
            matrix[k, after] += 1
    return matrix


def l2norm(context: Context, layer: L2norm) -> str:
    graph, name, value = context.graph, context.name(layer), context.image(layer)
    norm = graph.op("ReduceL2", value, hint=f"{name}.norm", axes=[1], keepdims=1)
    return graph.op("Div", value, norm, hint=name)
