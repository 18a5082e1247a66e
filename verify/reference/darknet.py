"""The interpreter of Darknet networks: a cfg's layers computed one by one in NumPy, as Darknet's programs do.

In float64 it is the reference for every conversion; in float32 it stands for the source framework's own arithmetic,
whose distance from the reference is the noise floor. Written from Darknet's C sources; it shares the reading of cfg and
weights with the converter, and nothing else. `decode` turns its raw heads into boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zoo.base.errors import VerificationError
from zoo.darknet import Layer, Network, Weights
from zoo.darknet.layers import Head, Passing, Softmax
from zoo.verify.reference.rules import RULES, Step

Array = NDArray[np.floating[Any]]

INPUT = -1  # the network's input among the sources of a layer


def interpret(
    network: Network,
    weights: Weights,
    images: NDArray[Any],
    *,
    dtype: DTypeLike = np.float64,
    state: dict[str, Array] | None = None,
    watch: Callable[[Layer, Array], None] | None = None,
) -> dict[str, Array]:
    """Run a network on N pictures at once, computing in `dtype`; returns what its head layers hold, by `head_name`.

    `images` is [N, C, H, W] in 0..1, or [N, inputs] where the network takes a vector; each head is [N, …] in the shape
    that Darknet gives the layer. A recurrent network takes one step of N independent sequences: `state` (empty
    before the first step) keeps the layers' memory by name and is updated in place. `watch` is called with each layer
    and its output [N, channels, height, width], in order; it must not change the array.

    Raises VerificationError where `images` have another shape than the network's input. Overflow gives infinity and
    NaN silently, as it does in C.
    """
    outputs: dict[int, Array] = {INPUT: _check_images(network, images).astype(dtype)}
    last_use = {source: layer.index for layer in network.layers for source in layer.sources}
    kept = {layer.index for layer in head_layers(network)}
    memory = {} if state is None else state
    heads = {}
    for layer in network.layers:
        inputs = [outputs[source] for source in layer.sources] or [outputs[INPUT]]
        with np.errstate(all="ignore"):
            output = RULES[type(layer)](Step(layer, inputs, network, weights, memory))
        outputs[layer.index] = output = output.reshape(len(images), *layer.output_shape)
        if watch:
            watch(layer, output)
        if layer.index in kept:
            heads[head_name(layer)] = output.reshape(len(images), -1) if layer.flat else output
        for source in (layer.index, *layer.sources):
            if source != INPUT and last_use.get(source, INPUT) <= layer.index:
                outputs.pop(source, None)
    return heads


def head_name(layer: Layer) -> str:
    """`NNN_type`, by Darknet's layer index: the name of a raw output."""
    return f"{layer.index:03d}_{layer.type}"


def head_layers(network: Network) -> list[Layer]:
    """The layers whose output a program of Darknet looks at: heads and softmaxes; else the last that computes."""
    heads = [layer for layer in network.layers if isinstance(layer, Head | Softmax) or layer.type == "contrastive"]
    return heads or [layer for layer in network.layers if not isinstance(layer, Passing)][-1:]


def _check_images(network: Network, images: NDArray[Any]) -> NDArray[Any]:
    net = network.net
    vector = not net.width * net.height * net.channels
    expected = (net.inputs,) if vector else (net.channels, net.height, net.width)
    if images.shape[1:] != expected or not len(images):
        raise VerificationError(
            f"{network.path.name}: expected images of shape (N, {', '.join(map(str, expected))}), found {images.shape}"
        )
    return images.reshape(len(images), -1, 1, 1) if vector else images
