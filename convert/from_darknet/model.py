"""A Darknet network and its weights → an ONNX model. The table of emitters, and which values become outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from zoo.base.errors import UsageError
from zoo.convert.from_darknet import heads, joins, nms, recurrent, spatial, vectors
from zoo.convert.from_darknet.context import Context, layer_error
from zoo.convert.from_darknet.options import DarknetOptions
from zoo.convert.onnx_graph.build import GraphBuilder, Model
from zoo.darknet import Layer, Network, Weights
from zoo.darknet import layers as types
from zoo.darknet.layers import Head, Softmax, size_of

EMITTERS: dict[type[Layer], Callable[[Context, Any], str]] = {
    types.Activation: vectors.activation,
    types.Avgpool: spatial.avgpool,
    types.Batchnorm: spatial.batchnorm,
    types.Connected: vectors.connected,
    types.ConvLstm: recurrent.conv_lstm,
    types.Convolutional: spatial.convolutional,
    types.Crnn: recurrent.crnn,
    types.Crop: spatial.crop,
    types.Deconvolutional: spatial.deconvolutional,
    types.Detection: heads.raw,
    types.GaussianYolo: heads.raw,
    types.Gru: recurrent.gru,
    types.Implicit: vectors.implicit,
    types.L2norm: spatial.l2norm,
    types.Local: spatial.local,
    types.Lstm: recurrent.lstm,
    types.Normalization: spatial.normalization,
    types.Passing: vectors.passing,
    types.Pool: spatial.pool,
    types.Region: heads.raw,
    types.Reorg: spatial.reorg,
    types.Rnn: recurrent.rnn,
    types.Route: joins.route,
    types.Sam: joins.sam,
    types.Scale: joins.scale,
    types.Shortcut: joins.shortcut,
    types.Softmax: vectors.softmax,
    types.Upsample: spatial.upsample,
    types.Yolo: heads.raw,
}

# Layers whose graph does not depend on height and width; all others need them fixed.
SIZE_FREE = (
    types.Activation,
    types.Avgpool,
    types.Batchnorm,
    types.Convolutional,
    types.Crnn,
    types.Deconvolutional,
    types.GaussianYolo,
    types.L2norm,
    types.Normalization,
    types.Passing,
    types.Pool,
    types.Region,
    types.Route,
    types.Sam,
    types.Scale,
    types.Shortcut,
    types.Upsample,
    types.Yolo,
)


def build_model(network: Network, weights: Weights, options: DarknetOptions) -> onnx.ModelProto:
    """The model in memory, weights included."""
    return build(network, weights, options).proto()


def build(network: Network, weights: Weights, options: DarknetOptions) -> Model:
    """The model, its big weights still to be made. Raises ConversionError where ONNX cannot express the network."""
    if options.dynamic_size:
        _check_size_free(network)
    graph = GraphBuilder("darknet")
    context = Context(network, weights, options, graph, "")
    _input(context)
    for layer in network.layers:
        value = EMITTERS[type(layer)](context, layer)
        context.values.append(value)
    if options.heads == "raw":
        _raw_outputs(context)
    elif network.heads:
        _detector_outputs(context)
    else:
        _last_output(context)
    return graph.model({"zoo.cfg": network.path.name, "zoo.dialect": network.dialect})


def _input(context: Context) -> None:
    net = context.network.net
    first = context.network.layers[0]
    if first.input_shape[1:] == (1, 1) and not net.width * net.height * net.channels:
        context.input = context.mark_vector(context.graph.input("inputs", (context.batch, net.inputs)))
        return
    size: tuple[int | str, ...] = ("height", "width") if context.options.dynamic_size else (net.height, net.width)
    context.input = context.graph.input("images", (context.batch, net.channels, *size))


def _check_size_free(network: Network) -> None:
    """dynamic_size: layers that need a fixed size may only come after the map was averaged away."""
    fixed: set[int] = set()
    for layer in network.layers:
        if isinstance(layer, types.Avgpool) or (layer.sources and all(source in fixed for source in layer.sources)):
            fixed.add(layer.index)
        elif not isinstance(layer, SIZE_FREE) or (isinstance(layer, types.Upsample) and layer.reverse):
            raise layer_error(network, layer, "needs a fixed height and width", hint="convert without dynamic size")
        elif isinstance(layer, types.Shortcut | types.Route) and (layer.flat or _sizes_differ(network, layer)):
            raise layer_error(network, layer, "joins maps of different sizes", hint="convert without dynamic size")


def _sizes_differ(network: Network, layer: Layer) -> bool:
    return len({network.layers[source].output_shape[1:] for source in layer.sources if source >= 0}) > 1


def _detector_outputs(context: Context) -> None:
    network, options, graph = context.network, context.options, context.graph
    boxes, scores, count, classes = heads.decode(context, network.heads)
    rows: int | str = "boxes" if options.dynamic_size else count
    graph.output(boxes, (context.batch, rows, 4))
    graph.output(scores, (context.batch, rows, classes))
    if options.nms:
        if options.dynamic_size:
            raise UsageError("nms needs a fixed size: choose nms or dynamic_size")
        last = network.heads[-1]
        name = nms.suppress(context, boxes, scores, count, classes, last.nms_kind, last.beta_nms)
        graph.output(name, (context.batch, detections_of(network, options), 6))


def detections_of(network: Network, options: DarknetOptions) -> int:
    """How many rows `detections` has."""
    candidates = sum(heads.count_boxes(head) for head in network.heads) * network.heads[0].classes
    limit = candidates if network.heads[-1].nms_kind in ("default", "cornersnms") else min(nms.CANDIDATES, candidates)
    return min(options.max_detections, limit)


def _final(network: Network) -> Layer:
    """The last layer that computes something."""
    computing = [layer for layer in network.layers if not isinstance(layer, types.Passing)]
    return (computing or network.layers)[-1]


def _last_output(context: Context) -> None:
    if context.options.nms:
        raise UsageError("nms needs a detector: this network has no yolo, region or detection layer")
    last = _final(context.network)
    name = "probabilities" if isinstance(last, Softmax) else "output"
    _output(context, last, context.values[last.index], name)


def _raw_outputs(context: Context) -> None:
    """Heads and softmaxes with their inputs, contrastive; the last layer where there is none of them."""
    wanted: list[Layer] = [
        layer for layer in context.network.layers if isinstance(layer, Head | Softmax) or layer.type == "contrastive"
    ]
    for layer in wanted or [_final(context.network)]:
        _output(context, layer, context.values[layer.index], context.name(layer))
        if isinstance(layer, Softmax):
            before = layer.sources[0]
            logits = context.vector(layer)
            name = context.graph.op("Identity", logits, hint=f"{max(before, 0):03}_logits")
            context.graph.output(name, (context.batch, size_of(layer.input_shape)))


def _output(context: Context, layer: Layer, value: str, name: str) -> None:
    """Declare an output; a node that only renames is added where the value has another name."""
    flat = layer.flat or value in context.vectors
    if flat and value not in context.vectors:
        value = context.flatten(value, name)
    if value != name:
        value = context.graph.op("Identity", value, hint=name)
    c, h, w = layer.output_shape
    size: tuple[int | str, ...] = (c, h, w)
    if context.options.dynamic_size and not flat:
        size = (c, f"{name}.height", f"{name}.width")
    context.graph.output(value, (context.batch, *((size_of(layer.output_shape),) if flat else size)))
