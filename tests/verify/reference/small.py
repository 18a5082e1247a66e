"""Small networks with random weights, for tests: a cfg as text → network and weights, read from real files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zoo.darknet import Network, Weights, read_network, read_weights
from zoo.darknet.weights import tensors_of

Array = NDArray[np.floating[Any]]
HEADER = struct.pack("<iiiQ", 0, 2, 5, 0)


def small(folder: Path, sections: str, dialect: Literal["alexey", "pj"] = "alexey") -> tuple[Network, Weights]:
    """The network of `sections` (its [net] included), with normal weights; variances and scales are positive."""
    cfg, path = folder / "small.cfg", folder / "small.weights"
    cfg.write_text(sections)
    network = read_network(cfg, dialect=dialect)
    random = np.random.default_rng(0)
    parts = [
        random.uniform(0.5, 1.5, tensor.size)
        if tensor.name.endswith(("scale", "variance"))
        else 0.5 * normal(random, tensor.size)
        for layer in network.layers
        for tensor in tensors_of(layer, network.dialect)
    ]
    path.write_bytes(HEADER + np.concatenate(parts or [np.zeros(0)]).astype("<f4").tobytes())
    return network, read_weights(path, network)


def normal(random: np.random.Generator, *shape: int) -> Array:
    return random.standard_normal(shape)
