"""Each layer type of Darknet → how it is computed: the table `RULES`, over the pure functions of this room.

A rule sees one `Step` and returns the layer's output, [N, …]; the caller gives it the layer's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.darknet import Network, Weights
from zoo.darknet import layers as darknet
from zoo.darknet.tree import Tree
from zoo.verify.reference import heads, linear, recurrent, spatial
from zoo.verify.reference.activations import activate

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Step:
    """One layer about to be computed: what it reads, in the order of its sources, its weights, and the states of the
    whole network, which a recurrent layer reads and replaces."""

    layer: Any
    inputs: Sequence[Array]
    network: Network
    weights: Weights
    state: dict[str, Array]

    @property
    def x(self) -> Array:
        return self.inputs[0]

    @property
    def tensors(self) -> Mapping[str, Array]:
        return self.weights[self.layer.index]

    def remembered(self, name: str, shape: tuple[int, ...]) -> Array:
        """The state `name` of this layer [N, …]; zeros before the first call."""
        found = self.state.get(self.state_name(name))
        return np.zeros((len(self.x), *shape), self.x.dtype) if found is None else found.astype(self.x.dtype)

    def remember(self, name: str, value: Array) -> None:
        self.state[self.state_name(name)] = value

    def state_name(self, name: str) -> str:
        return f"{self.layer.index:03d}_{self.layer.type}_{name}"


def _normalize(step: Step, x: Array, tensors: Mapping[str, Array]) -> Array:
    """Batch norm where the layer has one, else the bias alone."""
    if "scale" not in tensors:
        return x + linear.per_channel(tensors["bias"], x)
    bias = tensors.get("bias", np.zeros_like(tensors["scale"]))
    dialect = step.network.dialect
    return linear.batch_norm(x, tensors["mean"], tensors["variance"], tensors["scale"], bias, dialect)


def _convolutional(step: Step) -> Array:
    layer, x, kernel = step.layer, step.x, step.tensors["kernel"]
    stride = (layer.stride_y, layer.stride_x)
    if layer.xnor:
        x, kernel = linear.binarize_input(x), linear.binarize_kernel(kernel.astype(x.dtype))
    x = linear.convolve(
        x,
        kernel,
        stride=(1, 1) if layer.antialiasing else stride,
        padding=layer.padding * layer.dilation,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    x = activate(_normalize(step, x, step.tensors), layer.activation)
    return linear.blur(x, layer.antialiasing, stride) if layer.antialiasing else x


def _deconvolutional(step: Step) -> Array:
    layer, tensors = step.layer, step.tensors
    x = linear.deconvolve(step.x, tensors["kernel"], stride=layer.stride, padding=layer.padding)
    return activate(_normalize(step, x, tensors), layer.activation)


def _local(step: Step) -> Array:
    layer, tensors = step.layer, step.tensors
    x = linear.locally_connect(step.x, tensors["kernel"], stride=layer.stride, padding=layer.pad)
    return activate(x + tensors["bias"].astype(x.dtype), layer.activation)


def _connected(step: Step) -> Array:
    x = linear.connect(step.x, step.tensors["kernel"])
    return activate(_normalize(step, x, step.tensors), step.layer.activation)


def _pool(step: Step) -> Array:
    layer, stride = step.layer, (step.layer.stride_y, step.layer.stride_x)
    if layer.type == "local_avgpool":
        return spatial.local_average_pool(step.x, layer.size, stride, layer.padding)
    if layer.depth:
        x = spatial.max_pool_channels(step.x, layer.depth)
    else:
        x = spatial.max_pool(step.x, layer.size, (1, 1) if layer.antialiasing else stride, layer.padding)
    return linear.blur(x, layer.antialiasing, stride) if layer.antialiasing else x


def _route(step: Step) -> Array:
    inputs = [x.reshape(len(x), -1, 1, 1) for x in step.inputs] if step.layer.flat else step.inputs
    return spatial.route(inputs, step.layer.groups, step.layer.group_id)


def _shortcut(step: Step) -> Array:
    layer, (x, *others) = step.layer, step.inputs
    if step.network.dialect == "pj":
        return activate(spatial.shortcut_across_strides(x, others[0], layer.alpha, layer.beta), layer.activation)
    weights = None
    if layer.weights_type != "none":
        stored = step.tensors["weights"].astype(x.dtype).reshape(1 + len(others), -1)
        weights = spatial.normalize_shortcut(stored, layer.weights_normalization)
    return activate(spatial.shortcut(x, others, weights), layer.activation)


def _scale(step: Step) -> Array:
    """scale_channels and sam: the previous layer times another, broadcast where its shape asks for it."""
    return activate(step.inputs[0] * step.inputs[1], step.layer.activation)


def _upsample(step: Step) -> Array:
    return (spatial.downsample if step.layer.reverse else spatial.upsample)(step.x, step.layer.stride, step.layer.scale)


def _reorg(step: Step) -> Array:
    layer, x = step.layer, step.x
    if layer.flatten:
        return spatial.flatten_channels(x, layer.reverse)
    if layer.extra:
        return np.pad(x.reshape(len(x), -1), ((0, 0), (0, layer.extra)))
    return (spatial.reorg3d if layer.type == "reorg3d" else spatial.reorg)(x, layer.stride, layer.reverse)


def _crop(step: Step) -> Array:
    _, height, width = step.layer.output_shape
    return spatial.crop(step.x, height, width, not step.layer.noadjust)


def _normalization(step: Step) -> Array:
    layer = step.layer
    return spatial.local_response(step.x, layer.size, layer.alpha, layer.beta, layer.kappa)


def _passing(step: Step) -> Array:
    return np.zeros_like(step.x) if step.layer.type == "contrastive" else step.x


def _implicit(step: Step) -> Array:
    images = len(step.x)
    return np.repeat(step.tensors["weights"].astype(step.x.dtype)[None], images, axis=0)


def _sizes(tree: Tree | None) -> list[int]:
    return [count for _, count in tree.groups] if tree else []


def _softmax(step: Step) -> Array:
    layer = step.layer
    return heads.softmax_layer(step.x, layer.groups, layer.temperature, _sizes(layer.tree))


def _yolo(step: Step) -> Array:
    return heads.yolo(step.x, len(step.layer.anchors), step.layer.scale_x_y, step.layer.new_coords)


def _gaussian_yolo(step: Step) -> Array:
    return heads.gaussian_yolo(step.x, len(step.layer.anchors), step.layer.scale_x_y)


def _region(step: Step) -> Array:
    layer = step.layer
    rule = heads.region_flat if step.network.dialect == "alexey" else heads.region_maps
    return rule(step.x, len(layer.anchors), layer.softmax, _sizes(layer.tree))


def _detection(step: Step) -> Array:
    layer = step.layer
    return heads.detection(step.x, layer.side * layer.side, layer.classes, layer.softmax)


def _matrices(step: Step, activations: Mapping[str, str]) -> recurrent.Cells:
    """The connected parts of a recurrent layer, each with its activation."""

    def cell(tensors: Mapping[str, Array], activation: str, x: Array) -> Array:
        return activate(_normalize(step, linear.connect(x, tensors["kernel"]), tensors), activation)

    index = step.layer.index
    return {name: partial(cell, step.weights.part(index, name), chosen) for name, chosen in activations.items()}


def _convolutions(step: Step, names: Sequence[str]) -> recurrent.Cells:
    """The convolutional parts of a recurrent layer, all with the layer's activation."""
    layer = step.layer
    options = {"padding": layer.padding * layer.dilation, "dilation": layer.dilation, "groups": layer.groups}

    def cell(tensors: Mapping[str, Array], x: Array) -> Array:
        return activate(_normalize(step, linear.convolve(x, tensors["kernel"], **options), tensors), layer.activation)

    return {name: partial(cell, step.weights.part(layer.index, name)) for name in names}


def _rnn(step: Step) -> Array:
    layer = step.layer
    cells = _matrices(step, {"input": layer.activation, "self": layer.self_activation, "output": layer.activation})
    return _rnn_step(step, cells, (layer.hidden,))


def _crnn(step: Step) -> Array:
    cells = _convolutions(step, ("input", "self", "output"))
    return _rnn_step(step, cells, (step.layer.hidden, *step.layer.output_shape[1:]))


def _rnn_step(step: Step, cells: recurrent.Cells, shape: tuple[int, ...]) -> Array:
    output, following = recurrent.rnn_step(step.x, step.remembered("state", shape), cells, step.layer.shortcut)
    step.remember("state", following)
    return output


def _gru(step: Step) -> Array:
    cells = _matrices(step, dict.fromkeys(("iz", "ir", "ih", "sz", "sr", "sh"), "linear"))
    output = recurrent.gru_step(step.x, step.remembered("state", (step.layer.output,)), cells, step.layer.tanh)
    step.remember("state", output)
    return output


LSTM_PARTS = tuple(f"{kind}{gate}" for kind in "wu" for gate in "figo")


def _lstm(step: Step) -> Array:
    cells = _matrices(step, dict.fromkeys(LSTM_PARTS, "linear"))
    return _lstm_step(step, cells, (step.layer.output,), 0)


def _conv_lstm(step: Step) -> Array:
    cells = _convolutions(step, (*LSTM_PARTS, *(("vf", "vi", "vo") if step.layer.peephole else ())))
    return _lstm_step(step, cells, step.layer.output_shape, step.layer.state_constrain)


def _lstm_step(step: Step, cells: recurrent.Cells, shape: tuple[int, ...], limit: float) -> Array:
    hidden, cell = step.remembered("hidden", shape), step.remembered("cell", shape)
    hidden, cell = recurrent.lstm_step(step.x, hidden, cell, cells)
    step.remember("hidden", hidden)
    step.remember("cell", np.clip(cell, -limit, limit) if limit else cell)
    return hidden


RULES: dict[type[darknet.Layer], Callable[[Step], Array]] = {
    darknet.Convolutional: _convolutional,
    darknet.Deconvolutional: _deconvolutional,
    darknet.Local: _local,
    darknet.Connected: _connected,
    darknet.Batchnorm: lambda step: _normalize(step, step.x, step.tensors),
    darknet.Pool: _pool,
    darknet.Avgpool: lambda step: spatial.average_pool(step.x),
    darknet.Normalization: _normalization,
    darknet.L2norm: lambda step: spatial.unit_channels(step.x),
    darknet.Activation: lambda step: activate(step.x, step.layer.activation),
    darknet.Route: _route,
    darknet.Shortcut: _shortcut,
    darknet.Scale: _scale,
    darknet.Sam: _scale,
    darknet.Upsample: _upsample,
    darknet.Reorg: _reorg,
    darknet.Crop: _crop,
    darknet.Passing: _passing,
    darknet.Implicit: _implicit,
    darknet.Softmax: _softmax,
    darknet.Rnn: _rnn,
    darknet.Crnn: _crnn,
    darknet.Gru: _gru,
    darknet.Lstm: _lstm,
    darknet.ConvLstm: _conv_lstm,
    darknet.Yolo: _yolo,
    darknet.GaussianYolo: _gaussian_yolo,
    darknet.Region: _region,
    darknet.Detection: _detection,
}
