"""Run a toy network as converted: ONNX Runtime on the model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.darknet.toys import write_cfg, write_weights
from zoo.convert.from_darknet import DarknetOptions, build_model
from zoo.darknet import read_network, read_weights

Array = NDArray[np.float32]


def convert(cfg: Path, dialect: str = "alexey", **options: Any) -> tuple[Any, Any]:
    """The model of a cfg (weights are written beside it) and its weights."""
    weights_path = write_weights(cfg, dialect=dialect)
    network = read_network(cfg, dialect=dialect)  # type: ignore[arg-type]
    weights = read_weights(weights_path, network)
    return build_model(network, weights, DarknetOptions(**options)), weights


def execute(model: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output of the model."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def raw(
    folder: Path, body: str, images: Array, dialect: str = "alexey", **options: Any
) -> tuple[dict[str, Array], Any]:
    """Raw outputs of the network that `body` describes for `images` [N, c, h, w]; and its weights."""
    _, c, h, w = images.shape
    cfg = write_cfg(folder, body, w=w, h=h, c=c)
    model, weights = convert(cfg, dialect, heads="raw", **options)
    return execute(model, {"images": images}), weights


def last(folder: Path, body: str, images: Array, dialect: str = "alexey", **options: Any) -> Array:
    """The only raw output."""
    (value,) = raw(folder, body, images, dialect, **options)[0].values()
    return value


def noise(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
