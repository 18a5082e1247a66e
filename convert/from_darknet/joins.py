"""Emitters of the layers that read several others: route, shortcut, scale_channels, sam."""

from __future__ import annotations

import numpy as np

from zoo.convert.from_darknet.activations import activate
from zoo.convert.from_darknet.context import Context, Factors
from zoo.darknet.layers import Route, Sam, Scale, Shape, Shortcut


def route(context: Context, layer: Route) -> str:
    name, graph = context.name(layer), context.graph
    numbers = range(len(layer.sources))
    if layer.flat:
        parts = [context.vector(layer, number) for number in numbers]
        return context.mark_vector(graph.op("Concat", *parts, hint=name, axis=1)) if len(parts) > 1 else parts[0]
    parts = [_slice(context, layer, number) for number in numbers]
    return graph.op("Concat", *parts, hint=name, axis=1) if len(parts) > 1 else parts[0]


def _slice(context: Context, layer: Route, number: int) -> str:
    """Group `group_id` of one source's channels."""
    value = context.image(layer, number)
    if layer.groups == 1:
        return value
    graph = context.graph
    width = context.shape(layer.sources[number])[0] // layer.groups
    start = layer.group_id * width
    hint = context.name(layer, "part") if len(layer.sources) > 1 else context.name(layer)
    return graph.op("Slice", value, graph.integers(start), graph.integers(start + width), graph.integers(1), hint=hint)


def shortcut(context: Context, layer: Shortcut) -> str:
    name, graph = context.name(layer), context.graph
    factors = _factors(context, layer)
    value = ""
    for number, factor in enumerate(factors):
        part = _fitted(context, layer, number)
        if factor is not None:
            constant = graph.constant(factor.reshape(-1, 1, 1) if factor.size > 1 else factor.reshape(()))
            part = graph.op("Mul", part, constant, hint=f"{name}.weighted")
        last = number == len(factors) - 1 and layer.activation == "linear"
        value = graph.op("Add", value, part, hint=name if last else f"{name}.sum") if value else part
    return activate(graph, layer.activation, value, name)


def _factors(context: Context, layer: Shortcut) -> list[Factors | None]:
    """What each source is multiplied by; None is 1. The normalised weights are those that the program deploys."""
    count = len(layer.sources)
    if layer.weights_type != "none":
        return list(normalized(context.tensors(layer)["weights"].astype(np.float64), layer.weights_normalization))
    if (layer.alpha, layer.beta) == (1, 1):
        return [None] * count
    _check_alpha(context, layer)
    return [np.asarray([layer.alpha]), *[np.asarray([layer.beta])] * (count - 1)]


def _check_alpha(context: Context, layer: Shortcut) -> None:
    """The program scales only the elements to which something is added."""
    _, h, w = context.shape(layer.sources[1])
    c = context.shape(layer.sources[1])[0]
    if c < layer.output_shape[0] or (h, w) != layer.output_shape[1:]:
        raise context.error(
            layer, f"alpha={layer.alpha:g}: expected a source of {layer.output_shape}, found {(c, h, w)}"
        )


def normalized(weights: Factors, how: str) -> Factors:
    """Shortcut weights [sources, ...] as the program deploys them: relu as max(w, 0.001), both with sum + 1e-4."""
    if how == "none":
        return weights
    positive = np.maximum(weights, 0.001) if how == "relu" else np.exp(weights - weights.max(axis=0))
    total: Factors = positive / (positive.sum(axis=0) + 1e-4)
    return total


def _fitted(context: Context, layer: Shortcut, number: int) -> str:
    """A source in the layer's shape: other strides, then other channel counts."""
    value, shape, target = context.image(layer, number), context.shape(layer.sources[number]), layer.output_shape
    if number == 0 or shape == target:
        return value
    name = context.name(layer, "from")
    if shape[1:] != target[1:]:
        value = _resampled(context, name, value, shape, target)
    return _channels(context, name, value, shape[0], target[0])


def _channels(context: Context, name: str, value: str, found: int, wanted: int) -> str:
    graph = context.graph
    if found > wanted:
        return graph.op("Slice", value, graph.integers(0), graph.integers(wanted), graph.integers(1), hint=name)
    if found < wanted:
        return graph.op("Pad", value, graph.integers(0, 0, 0, 0, 0, wanted - found, 0, 0), hint=name)
    return value


def _resampled(context: Context, name: str, value: str, shape: Shape, target: Shape) -> str:
    """pj: every stride-th cell of a larger map; a smaller one is scattered into zeros."""
    graph = context.graph
    (c, h, w), (_, out_h, out_w) = shape, target
    stride = max(w // out_w, 1)
    if (h, w) > (out_h, out_w):
        ends = (min(h, out_h) * stride, min(w, out_w) * stride)
        steps = graph.integers(stride, stride)
        return graph.op(
            "Slice", value, graph.integers(0, 0), graph.integers(*ends), graph.integers(2, 3), steps, hint=name
        )
    sample = max(out_w // w, 1)
    ones = graph.constant(np.ones((c, 1, 1, 1)))
    sides = {"kernel_shape": [1, 1], "strides": [sample, sample], "group": c}
    spread = graph.op("ConvTranspose", value, ones, hint=name, **sides)
    rest = (out_h - (h - 1) * sample - 1, out_w - (w - 1) * sample - 1)
    return graph.op("Pad", spread, graph.integers(0, 0, 0, 0, 0, 0, *rest), hint=name)


def scale(context: Context, layer: Scale) -> str:
    return _product(context, layer, layer.activation)


def sam(context: Context, layer: Sam) -> str:
    return _product(context, layer, layer.activation)


def _product(context: Context, layer: Scale | Sam, activation: str) -> str:
    name = context.name(layer)
    hint = name if activation == "linear" else f"{name}.product"
    value = context.graph.op("Mul", context.image(layer, 1), context.image(layer, 0), hint=hint)
    return activate(context.graph, activation, value, name)
