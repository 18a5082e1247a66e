"""Emitters of the recurrent layers: one step, with the state as explicit inputs and outputs of the model.

Darknet keeps the state between calls and starts with zeros; a caller feeds each `*_next` output back as the input of
the same name without `_next`.
"""

from __future__ import annotations

from zoo.convert.from_darknet.activations import activate
from zoo.convert.from_darknet.context import Context
from zoo.convert.from_darknet.vectors import product
from zoo.convert.from_darknet.weights import batch_normalization, kernel_and_bias
from zoo.darknet.layers import ConvLstm, Crnn, Gru, Layer, Lstm, Rnn


def rnn(context: Context, layer: Rnn) -> str:
    graph, name = context.graph, context.name(layer)
    state = context.state(layer, "state", (layer.hidden, 1, 1), vector=True)
    inner = product(context, layer, "input", context.vector(layer), f"{name}.from_input")
    own = product(context, layer, "self", state, f"{name}.from_state")
    inner = activate(graph, layer.activation, inner, f"{name}.input_act")
    own = activate(graph, layer.self_activation, own, f"{name}.state_act")
    value = _next(context, layer, inner, own, state if layer.shortcut else "")
    context.next_state(layer, "state", value, vector=True)
    hint = name if layer.activation == "linear" else f"{name}.sum"
    out = product(context, layer, "output", value, hint)
    return context.mark_vector(activate(graph, layer.activation, out, name))


def _next(context: Context, layer: Layer, inner: str, own: str, state: str) -> str:
    graph, name = context.graph, context.name(layer)
    value = graph.op("Add", inner, own, hint=f"{name}.next")
    return graph.op("Add", value, state, hint=f"{name}.next") if state else value


def gru(context: Context, layer: Gru) -> str:
    graph, name = context.graph, context.name(layer)
    state = context.state(layer, "state", layer.output_shape, vector=True)
    value = context.vector(layer)

    def gate(part: str, source: str, activation: str) -> str:
        inner = product(context, layer, f"i{part}", value, f"{name}.{part}_input")
        own = product(context, layer, f"s{part}", source, f"{name}.{part}_state")
        return activate(graph, activation, graph.op("Add", inner, own, hint=f"{name}.{part}_sum"), f"{name}.{part}")

    z, r = gate("z", state, "logistic"), gate("r", state, "logistic")
    forgotten = graph.op("Mul", state, r, hint=f"{name}.forgotten")
    h = gate("h", forgotten, "tanh" if layer.tanh else "logistic")
    change = graph.op("Mul", z, graph.op("Sub", state, h, hint=f"{name}.difference"), hint=f"{name}.change")
    out = context.mark_vector(graph.op("Add", h, change, hint=name))
    context.next_state(layer, "state", out, vector=True)
    return out


def lstm(context: Context, layer: Lstm) -> str:
    name = context.name(layer)
    c = context.state(layer, "c", layer.output_shape, vector=True)
    h = context.state(layer, "h", layer.output_shape, vector=True)
    value = context.vector(layer)

    def gate(part: str) -> str:
        own = product(context, layer, f"w{part}", h, f"{name}.{part}_state")
        inner = product(context, layer, f"u{part}", value, f"{name}.{part}_input")
        return context.graph.op("Add", own, inner, hint=f"{name}.{part}_sum")

    gates = {part: _gate(context, layer, part, gate(part)) for part in "figo"}
    cell, out = _cell(context, layer, gates, c)
    context.mark_vector(out)
    context.next_state(layer, "c", cell, vector=True)
    context.next_state(layer, "h", out, vector=True)
    return out


def _gate(context: Context, layer: Layer, part: str, value: str) -> str:
    return activate(context.graph, "tanh" if part == "g" else "logistic", value, context.name(layer, part))


def _cell(context: Context, layer: Layer, gates: dict[str, str], c: str) -> tuple[str, str]:
    """c' = f·c + i·g and h' = o·tanh(c')."""
    graph, name = context.graph, context.name(layer)
    kept = graph.op("Mul", gates["f"], c, hint=f"{name}.kept")
    new = graph.op("Mul", gates["i"], gates["g"], hint=f"{name}.new")
    cell = graph.op("Add", kept, new, hint=f"{name}.cell")
    return cell, graph.op("Mul", gates["o"], graph.op("Tanh", cell, hint=f"{name}.tanh"), hint=name)


def _convolution(context: Context, layer: Crnn | ConvLstm, part: str, value: str) -> str:
    """One of the layer's convolutions with its activation."""
    tensors, name = context.tensors(layer, part), context.name(layer, part)
    kernel, bias = kernel_and_bias(context, name, tensors)
    value = context.graph.op(
        "Conv",
        value,
        kernel,
        *([bias] if bias else []),
        hint=f"{name}.conv",
        kernel_shape=[layer.size] * 2,
        pads=[layer.padding * layer.dilation] * 4,
        dilations=[layer.dilation] * 2,
        group=layer.groups,
    )
    if not bias:
        value = batch_normalization(context, name, tensors, value, f"{name}.norm")
    return activate(context.graph, layer.activation, value, f"{name}.act")


def crnn(context: Context, layer: Crnn) -> str:
    shape = (layer.hidden, *layer.input_shape[1:])
    state = context.state(layer, "state", shape, vector=False)
    inner = _convolution(context, layer, "input", context.image(layer))
    own = _convolution(context, layer, "self", state)
    value = _next(context, layer, inner, own, state if layer.shortcut else "")
    context.next_state(layer, "state", value, vector=False)
    return _convolution(context, layer, "output", value)


def conv_lstm(context: Context, layer: ConvLstm) -> str:
    graph, name = context.graph, context.name(layer)
    c = context.state(layer, "c", layer.output_shape, vector=False)
    h = context.state(layer, "h", layer.output_shape, vector=False)
    value = context.image(layer)

    def total(part: str) -> str:
        own = _convolution(context, layer, f"w{part}", h)
        return graph.op("Add", own, _convolution(context, layer, f"u{part}", value), hint=f"{name}.{part}_sum")

    def peep(part: str, summed: str, cell: str) -> str:
        if not layer.peephole:
            return summed
        return graph.op("Add", summed, _convolution(context, layer, f"v{part}", cell), hint=f"{name}.{part}_peep")

    sums = {part: total(part) for part in "figo"}
    gates = {
        part: _gate(context, layer, part, peep(part, sums[part], c) if part != "g" else sums[part]) for part in "fig"
    }
    kept = graph.op("Mul", gates["f"], c, hint=f"{name}.kept")
    new = graph.op("Mul", gates["i"], gates["g"], hint=f"{name}.new")
    cell = graph.op("Add", kept, new, hint=f"{name}.cell")
    o = _gate(context, layer, "o", peep("o", sums["o"], cell))
    out = graph.op("Mul", o, graph.op("Tanh", cell, hint=f"{name}.tanh"), hint=name)
    if layer.state_constrain:
        limit = abs(layer.state_constrain)
        cell = graph.op("Clip", cell, graph.constant(-limit), graph.constant(limit), hint=f"{name}.limited")
    context.next_state(layer, "c", cell, vector=False)
    context.next_state(layer, "h", out, vector=False)
    return out
