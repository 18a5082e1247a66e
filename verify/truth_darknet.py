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
from zoo.darknet.layers import Softmax
from zoo.verify.inputs import Sample
from zoo.verify.reference.darknet import head_layers, head_name, interpret
from zoo.verify.reference.decode import decode, probabilities
from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Observation

BITS = 11  # significant bits of TF32 and of fp16
MANTISSA = 24  # of float32
ROWS = "detections"


class DarknetReference:
    """A Darknet model run as its authors ran it. `options` are the converter's, as the manifest keeps them: they say
    which outputs to give ("heads", "nms") and how to read the cfg ("dialect", "width", "height")."""

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
        self.weights: Weights = read_weights(weights, self.network)
        self.description = f"{cfg.name}, float64 interpreter ({self.network.dialect})"
        self.sources = (FileRecord.of(cfg, "cfg"), FileRecord.of(weights, "weights"))
        self.outputs = _output_names(self.network, options)
        self.detector = _detector(self.network)
        self._seen: dict[tuple[str, str], Observation] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The one input, at the size of the cfg."""
        net = self.network.net
        shape = (net.channels, net.height, net.width) if net.width else (net.inputs,)
        return (TensorSpec("images", "float32", ("batch", *shape)),)

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
            layers.append(Layer(layer.index, layer.type, layer.line, truth, compare(rough, truth)))

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
        heads = interpret(self.network, weights, images, dtype=dtype)
        outputs: dict[str, Array] = {name: heads[name] for name in self.outputs if name in heads}
        if self.network.heads:
            outputs["boxes"], outputs["scores"] = decode(self.network, heads)
        if "probabilities" in self.outputs:
            outputs["probabilities"] = probabilities(self.network, heads)
        return outputs


def rounded(array: Array) -> Array:
    """float32 values rounded to `BITS` significant bits, to the nearest, ties away from zero."""
    drop = MANTISSA - BITS
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    result: Array = ((bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return result


def _output_names(network: Network, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What a conversion with these options must give."""
    decoded = options.get("heads", "decoded") == "decoded"
    if decoded and network.heads:
        return ("boxes", "scores", ROWS) if options.get("nms") else ("boxes", "scores")
    if decoded and any(isinstance(layer, Softmax) for layer in network.layers):
        return ("probabilities",)
    return tuple(head_name(layer) for layer in head_layers(network))


def _detector(network: Network) -> dict[str, Any]:
    """As in the manifest, but read from the cfg: what the artifact says of itself is not the truth."""
    if not network.heads:
        return {"resize": network.resize}
    last = network.heads[-1]
    return {"resize": network.resize, "nms_kind": last.nms_kind, "beta_nms": last.beta_nms}
