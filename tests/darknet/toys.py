"""Small networks for tests: a cfg from a few lines, and weights of exactly its size, ordinary numbers from a seed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.darknet import Network, read_network
from zoo.darknet.weights import tensors_of

NET = "[net]\nwidth={w}\nheight={h}\nchannels={c}\n"
HEADER_64 = struct.pack("<iiiQ", 0, 2, 5, 6400)
HEADER_32 = struct.pack("<iiii", 0, 1, 0, 6400)


def write_cfg(folder: Path, body: str, *, w: int = 8, h: int = 8, c: int = 3, name: str = "toy.cfg") -> Path:
    """A cfg with that input size and the sections of `body`."""
    path = folder / name
    path.write_text(NET.format(w=w, h=h, c=c) + body)
    return path


def values_of(network: Network, seed: int = 0) -> NDArray[np.float32]:
    """Every float of a weights file, in order; variances are positive."""
    random = np.random.default_rng(seed)
    parts = [np.zeros(0)]
    for layer in network.layers:
        for tensor in tensors_of(layer, network.dialect):
            values = random.normal(size=tensor.size)
            kind = tensor.name.rpartition(".")[2]
            parts.append(np.abs(values) + 0.5 if kind in ("variance", "scale") else values * 0.5)
    return np.concatenate(parts).astype(np.float32)


def write_weights(cfg: Path, *, dialect: str = "auto", seed: int = 0, header: bytes = HEADER_64) -> Path:
    """Weights beside the cfg, of exactly its size."""
    network = read_network(cfg, dialect=dialect)  # type: ignore[arg-type]
    path = cfg.with_suffix(".weights")
    path.write_bytes(header + values_of(network, seed).tobytes())
    return path
