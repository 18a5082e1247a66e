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
from zoo.base.errors import UsageError
from zoo.darknet import Layer as Section
from zoo.darknet import Network, Weights, read_network, read_weights
from zoo.darknet.layers import ConvLstm, Crnn, Detection, Gru, Head, Lstm, Rnn, Softmax
from zoo.verify.detections import Suppression
from zoo.verify.inputs import Sample
from zoo.verify.reference.darknet import head_layers, head_name, interpret
from zoo.verify.reference.decode import decode
from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Observation

BITS = 11  # significant bits of TF32 and of fp16
MANTISSA = 24  # of float32
ROWS = "detections"


class DarknetReference:
    """A Darknet model run as its authors ran it. `options` are the converter's, as the manifest keeps them: they say
    which outputs to give ("heads", "nms" with its limits) and how to read the cfg ("dialect", "width", "height",
    "layers").

    Raises ConversionError where the files cannot be read, UsageError for a network with a memory between calls.
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
        _refuse_memory(self.network)
        self.weights: Weights = read_weights(weights, self.network)
        self.description = f"{cfg.name}, float64 interpreter ({self.network.dialect})"
        self.sources = (FileRecord.of(cfg, "cfg"), FileRecord.of(weights, "weights"))
        self.outputs = _output_names(self.network, options)
        self.detector = _detector(self.network)
        self.suppression = _suppression(self.detector, options) if options.get("nms") else None
        self._seen: dict[tuple[str, str], Observation] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The one input, at the size of the cfg."""
        net = self.network.net
        if net.width * net.height * net.channels:
            return (TensorSpec("images", "float32", ("batch", net.channels, net.height, net.width)),)
        return (TensorSpec("inputs", "float32", ("batch", net.inputs)),)

    def observe(self, sample: Sample, precision: str) -> Observation:
        """See `Reference`. What was seen is kept: formats and devices are judged by the same runs."""
        (images,) = sample.feeds.values()
        key = (hashlib.sha256(images.tobytes()).hexdigest(), precision)
        if key not in self._seen:
            truth = self._run(self.weights, images, np.float64)
            self._seen[key] = Observation(truth, (self._noisy(images, precision),))
        return self._seen[key]

    def layers(self, sample: Sample) -> list[Layer]:
        """Every layer on one sample. Holds all of them in float64: about 1 GB for YOLOv4 at 608 × 608."""
        (images,) = sample.feeds.values()
        truths: list[Array] = []
        layers: list[Layer] = []

        def add(layer: Section, rough: Array) -> None:
            truth = truths[len(layers)]
            noise = (compare(rough, truth),)
            sources = tuple(layer.sources)
            layers.append(Layer(layer.index, layer.type, layer.line, truth, noise, _boxes(layer), "", sources))

        interpret(
            self.network, self.weights, images, dtype=np.float64, watch=lambda _, array: truths.append(array.copy())
        )
        interpret(self.network, self.weights, images, dtype=np.float32, watch=add)
        return layers

    def _noisy(self, images: Array, precision: str) -> dict[str, Array]:
        if precision == "fp32":
            return self._run(self.weights, images, np.float32)
        return self._run(self._rounded_weights, rounded(images), np.float32)

    @cached_property
    def _rounded_weights(self) -> Weights:
        layers = tuple(
            {name: rounded(array) if name.endswith("kernel") else array for name, array in tensors.items()}
            for tensors in self.weights.layers
        )
        return dataclasses.replace(self.weights, layers=layers)

    def _run(self, weights: Weights, images: Array, dtype: type[np.floating[Any]]) -> dict[str, Array]:
        """The outputs, and boxes and scores wherever the network makes them."""
        logits: dict[str, Array] = {}
        before = {layer.sources[0]: _logits(layer) for layer in self.network.layers if isinstance(layer, Softmax)}

        def keep(layer: Section, output: Array) -> None:
            if layer.index in before:
                logits[before[layer.index]] = output.reshape(len(output), -1)

        heads = interpret(self.network, weights, images, dtype=dtype, watch=keep)
        outputs = {name: array for name, array in {**heads, **logits}.items() if name in self.outputs}
        if self.network.heads:
            outputs["boxes"], outputs["scores"] = decode(self.network, heads)
        for name in {"probabilities", "output"} & set(self.outputs):
            outputs[name] = heads[head_name(_last(self.network))]
        return outputs


def rounded(array: Array) -> Array:
    """float32 values rounded to `BITS` significant bits, to the nearest, ties away from zero."""
    drop = MANTISSA - BITS
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    result: Array = ((bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return result


def _output_names(network: Network, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What a conversion with these options must give."""
    if options.get("heads", "decoded") == "raw":
        names = [head_name(layer) for layer in head_layers(network)]
        return (*names, *(_logits(layer) for layer in network.layers if isinstance(layer, Softmax)))
    if network.heads:
        return ("boxes", "scores", ROWS) if options.get("nms") else ("boxes", "scores")
    return ("probabilities" if isinstance(_last(network), Softmax) else "output",)


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


def _refuse_memory(network: Network) -> None:
    """One call of a recurrent network depends on the calls before it; the samples here are independent."""
    for layer in network.layers:
        if isinstance(layer, Rnn | Gru | Lstm | Crnn | ConvLstm):
            raise UsageError(
                f"{network.cfg.where(layer.line)}: a network with a memory [{layer.type}] cannot be verified yet"
            )


def _detector(network: Network) -> dict[str, Any]:
    """As in the manifest, but read from the cfg: what the artifact says of itself is not the truth."""
    if not network.heads:
        return {"resize": network.resize}
    last = network.heads[-1]
    return {"resize": network.resize, "nms_kind": last.nms_kind, "beta_nms": last.beta_nms}


def _suppression(detector: Mapping[str, Any], options: Mapping[str, Any]) -> Suppression:
    """What a model with its own suppression does."""
    kind, beta = detector["nms_kind"], detector["beta_nms"]
    return Suppression(options["score_threshold"], options["iou_threshold"], kind, beta, options["max_detections"])
