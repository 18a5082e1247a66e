"""What an emitter sees: the graph being built, the weights, and the value that every earlier layer became.

An emitter is a function (context, layer) → name of the value that holds the layer's output. Values are [N, c, h, w],
or [N, n] after a layer that works on vectors; `image` and `vector` give either form of a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import ConversionError
from zoo.convert.from_darknet.options import DarknetOptions
from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.darknet import Layer, Network, Weights
from zoo.darknet.layers import Shape, size_of

Array = NDArray[np.float32]
Factors = NDArray[np.float64]


@dataclass
class Context:
    """`values[i]` is what layer i became; `vectors` names the values that are [N, n]."""

    network: Network
    weights: Weights
    options: DarknetOptions
    graph: GraphBuilder
    input: str
    values: list[str] = field(default_factory=list)
    vectors: set[str] = field(default_factory=set)
    flattened: dict[str, str] = field(default_factory=dict)
    states: list[tuple[str, str, Shape]] = field(default_factory=list)  # input, output, shape without the batch

    @property
    def batch(self) -> int | str:
        return self.options.batch or "batch"

    def name(self, layer: Layer, part: str = "") -> str:
        """The name of a layer's value: NNN_type, or NNN_type.part inside the layer."""
        return f"{layer.index:03}_{layer.type}{'.' + part if part else ''}"

    def error(self, layer: Layer, problem: str, hint: str = "") -> ConversionError:
        return layer_error(self.network, layer, problem, hint)

    def value(self, index: int) -> str:
        return self.input if index < 0 else self.values[index]

    def shape(self, index: int) -> Shape:
        """The shape of a layer's output (-1: of the input)."""
        return self.network.layers[0].input_shape if index < 0 else self.network.layers[index].output_shape

    def source(self, layer: Layer, number: int = 0) -> str:
        return self.value(layer.sources[number])

    def image(self, layer: Layer, number: int = 0) -> str:
        """A source as [N, c, h, w]."""
        value = self.source(layer, number)
        if value not in self.vectors:
            return value
        return self.reshape(value, self.shape(layer.sources[number]), self.name(layer, "image"))

    def vector(self, layer: Layer, number: int = 0) -> str:
        """A source as [N, n]."""
        value = self.source(layer, number)
        return value if value in self.vectors else self.flatten(value, self.name(layer, "vector"))

    def flatten(self, value: str, hint: str) -> str:
        """[N, c, h, w] → [N, n]; asked for again, the same."""
        if value not in self.flattened:
            self.flattened[value] = self.mark_vector(self.graph.op("Flatten", value, hint=hint, axis=1))
        return self.flattened[value]

    def mark_vector(self, value: str) -> str:
        self.vectors.add(value)
        return value

    def reshape(self, value: str, shape: tuple[int, ...], hint: str) -> str:
        """Reshape what follows the batch; at most one -1, where the batch is fixed then."""
        return self.graph.op("Reshape", value, self.graph.integers(0 if -1 in shape else -1, *shape), hint=hint)

    def tensors(self, layer: Layer, part: str = "") -> Mapping[str, Array]:
        """The weights of a layer, or of a part of a recurrent one."""
        return self.weights.part(layer.index, part) if part else self.weights[layer.index]

    def state(self, layer: Layer, part: str, shape: Shape, vector: bool) -> str:
        """A recurrent state that comes in as an input; `next_state` names what goes out."""
        name = f"{layer.index:03}_{layer.type}_{part}"
        dims = (size_of(shape),) if vector else shape
        self.graph.input(name, (self.batch, *dims))
        self.states.append((name, "", shape))
        return name

    def next_state(self, layer: Layer, part: str, value: str, vector: bool) -> None:
        """Declare the output that belongs to the state `part`: the same name with `_next`."""
        name = f"{layer.index:03}_{layer.type}_{part}"
        index = next(number for number, state in enumerate(self.states) if state[0] == name)
        shape = self.states[index][2]
        out = self.graph.op("Identity", value, hint=f"{name}_next")
        self.states[index] = (name, out, shape)
        self.graph.output(out, (self.batch, *((size_of(shape),) if vector else shape)))


def layer_error(network: Network, layer: Layer, problem: str, hint: str = "") -> ConversionError:
    """An error at a layer's line of the cfg."""
    where = network.cfg.where(layer.line)
    return ConversionError(f"{where}: layer {layer.index} [{layer.type}]: {problem}", hint=hint)
