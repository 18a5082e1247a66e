"""The truth about a Darknet model: its cfg and weights, run by the float64 interpreter.

The noise is the interpreter's own run in float32. For TF32 and fp16, which NumPy cannot compute as a GPU does (rounded
factors, sums kept in float32), kernels and input are rounded to the 11 significant bits that both have, and the
run in float32 with them is the noise; what a GPU rounds between the layers is of the same size again and is covered
by the margin.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.base.artifact import FileRecord, TensorSpec
from zoo.darknet import Layer as Section
from zoo.darknet import Network, Weights, read_network, read_weights
from zoo.darknet.layers import ConvLstm, Crnn, Detection, Gru, Head, Lstm, Rnn, Softmax
from zoo.verify.detections import Suppression
from zoo.verify.inputs import Sample
from zoo.verify.reference.darknet import head_layers, head_name, interpret
from zoo.verify.reference.decode import decode
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Observation

BITS = 11  # significant bits of TF32 and of fp16
MANTISSA = 24  # of float32
ROWS = "detections"
NEXT = "_next"


class DarknetReference:
    """A Darknet model run as its authors ran it. `options` are the converter's, as the manifest keeps them: they say
    which outputs to give ("heads", "nms" with its limits) and how to read the cfg ("dialect", "width", "height",
    "layers").

    A recurrent network is one step of it: its states are inputs, and the states after it outputs, by the name of the
    layer (`001_rnn_state`, `001_rnn_state_next`). Raises ConversionError where the files cannot be read.
    """

    from_source = True

    def __init__(self, cfg: Path, weights: Path, options: Mapping[str, Any] | None = None) -> None:
        options = options or {}
        self.network: Network = read_network(
            cfg,
            dialect=options.get("dialect") or "auto",
            weights=weights,
            width=options.get("width"),
            height=options.get("height"),
        )
        if options.get("layers"):
            self.network = self.network.upto(options["layers"])
        self.weights: Weights = read_weights(weights, self.network)
        self.description = f"{cfg.name}, float64 interpreter ({self.network.dialect})"
        self.sources = (FileRecord.of(cfg, "cfg"), FileRecord.of(weights, "weights"))
        self.outputs = _output_names(self.network, options)
        self.detector = self.facts = _detector(self.network)
        self.suppression = _suppression(self.detector, options) if options.get("nms") else None
        self._seen: dict[tuple[str, str], Observation] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The picture or vector at the size of the cfg, and the states."""
        net = self.network.net
        states = (TensorSpec(name, "float32", ("batch", *shape)) for name, shape in _states(self.network).items())
        if net.width * net.height * net.channels:
            return (TensorSpec("images", "float32", ("batch", net.channels, net.height, net.width)), *states)
        return (TensorSpec("inputs", "float32", ("batch", net.inputs)), *states)

    def observe(self, sample: Sample, precision: str) -> Observation:
        """See `Reference`. What was seen is kept: formats and devices are judged by the same runs."""
        key = (hashlib.sha256(b"".join(array.tobytes() for array in sample.feeds.values())).hexdigest(), precision)
        if key not in self._seen:
            truth = self._run(self.weights, sample.feeds, np.float64)
            self._seen[key] = Observation(truth, (self._noisy(sample.feeds, precision),))
        return self._seen[key]

    def layers(self, sample: Sample) -> list[Layer]:
        """Every layer on one sample. Holds all of them in float64: about 1 GB for YOLOv4 at 608 × 608."""
        images, states = _apart(sample.feeds)
        truths: list[Array] = []
        layers: list[Layer] = []

        def add(layer: Section, rough: Array) -> None:
            truth = truths[len(layers)]
            noise = (compare(rough, truth),)
            sources = tuple(layer.sources)
            layers.append(Layer(layer.index, layer.type, layer.line, truth, noise, _boxes(layer), "", sources))

        def keep(layer: Section, exact: Array) -> None:
            truths.append(exact.copy())

        for dtype, watch in ((np.float64, keep), (np.float32, add)):
            interpret(self.network, self.weights, images, dtype=dtype, state=dict(states), watch=watch)
        return layers

    def _noisy(self, feeds: Tensors, precision: str) -> dict[str, Array]:
        if precision == "fp32":
            return self._run(self.weights, feeds, np.float32)
        return self._run(self._rounded_weights, {name: rounded(array) for name, array in feeds.items()}, np.float32)

    @cached_property
    def _rounded_weights(self) -> Weights:
        layers = tuple(
            {name: rounded(array) if name.endswith("kernel") else array for name, array in tensors.items()}
            for tensors in self.weights.layers
        )
        return dataclasses.replace(self.weights, layers=layers)

    def _run(self, weights: Weights, feeds: Tensors, dtype: type[np.floating[Any]]) -> dict[str, Array]:
        """The outputs, and boxes and scores wherever the network makes them."""
        images, state = _apart(feeds)
        logits: dict[str, Array] = {}
        before = {layer.sources[0]: _logits(layer) for layer in self.network.layers if isinstance(layer, Softmax)}

        def keep(layer: Section, output: Array) -> None:
            if layer.index in before:
                logits[before[layer.index]] = output.reshape(len(output), -1)

        heads = interpret(self.network, weights, images, dtype=dtype, state=state, watch=keep)
        outputs = {name: array for name, array in {**heads, **logits}.items() if name in self.outputs}
        if self.network.heads:
            outputs["boxes"], outputs["scores"] = decode(self.network, heads)
        for name in {"probabilities", "output"} & set(self.outputs):
            outputs[name] = heads[head_name(_last(self.network))]
        return outputs | {f"{name}{NEXT}": state[name] for name in _states(self.network)}


def rounded(array: Array) -> Array:
    """float32 values rounded to `BITS` significant bits, to the nearest, ties away from zero."""
    drop = MANTISSA - BITS
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    result: Array = ((bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return result


def _output_names(network: Network, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What a conversion with these options must give."""
    states = tuple(f"{name}{NEXT}" for name in _states(network))
    if options.get("heads", "decoded") == "raw":
        names = [head_name(layer) for layer in head_layers(network)]
        return (*names, *(_logits(layer) for layer in network.layers if isinstance(layer, Softmax)), *states)
    if network.heads:
        return ("boxes", "scores", *((ROWS,) if options.get("nms") else ()), *states)
    return ("probabilities" if isinstance(_last(network), Softmax) else "output", *states)


def _last(network: Network) -> Section:
    """The layer whose output a network without boxes gives."""
    return head_layers(network)[-1]


def _boxes(layer: Section) -> int:
    """How many boxes a head makes."""
    if isinstance(layer, Detection):
        return layer.side * layer.side * layer.num
    if not isinstance(layer, Head):
        return 0
    return len(layer.anchors) * layer.input_shape[1] * layer.input_shape[2]


def _logits(softmax: Section) -> str:
    """The name of a softmax's input: `NNN_logits`, by the layer before it."""
    return f"{max(softmax.sources[0], 0):03d}_logits"


def _states(network: Network) -> dict[str, tuple[int, ...]]:
    """The name and shape of every state that a recurrent layer keeps between calls."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in network.layers:
        name = head_name(layer)
        match layer:
            case Rnn():
                found[f"{name}_state"] = (layer.hidden,)
            case Crnn():
                found[f"{name}_state"] = (layer.hidden, *layer.input_shape[1:])
            case Gru():
                found[f"{name}_state"] = (layer.output,)
            case Lstm():
                found |= {f"{name}_{part}": (layer.output,) for part in ("c", "h")}
            case ConvLstm():
                found |= {f"{name}_{part}": layer.output_shape for part in ("c", "h")}
    return found


def _apart(feeds: Tensors) -> tuple[Array, dict[str, Array]]:
    """The picture or vector, and the states."""
    images, *states = feeds
    return feeds[images], {name: feeds[name] for name in states}


def _detector(network: Network) -> dict[str, Any]:
    """As in the manifest, but read from the cfg: what the artifact says of itself is not the truth."""
    if not network.heads:
        return {"resize": network.resize}
    last = network.heads[-1]
    return {
        "resize": network.resize,
        "nms_kind": last.nms_kind,
        "beta_nms": last.beta_nms,
        "box_format": "cxcywh",
        "classes": last.classes,
    }


def _suppression(detector: Mapping[str, Any], options: Mapping[str, Any]) -> Suppression:
    """What a model with its own suppression does."""
    kind, beta = detector["nms_kind"], detector["beta_nms"]
    return Suppression(options["score_threshold"], options["iou_threshold"], kind, beta, options["max_detections"])
