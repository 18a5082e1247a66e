"""What a cfg says, layer by layer: the table that Darknet prints, with receptive field, parameters and memory.

Plain data for whoever shows it. Nothing is run; weights are only checked for their layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.darknet.keys import PROGRAMS, Dialect
from zoo.darknet.layers import (
    Connected,
    ConvLstm,
    Convolutional,
    Crnn,
    Deconvolutional,
    Gru,
    Layer,
    Local,
    Lstm,
    Pool,
    Reorg,
    Rnn,
    Shape,
    Shortcut,
    Upsample,
    size_of,
)
from zoo.darknet.network import Network, read_network
from zoo.darknet.weights import Weights, parameters_of, read_weights

Size = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One layer. Shapes are (channels, height, width); `size` and `stride` are (height, width) where the layer has a
    window; `bflops` counts a multiplication and an addition as two, in 10⁹, as Darknet does; `receptive_field` is
    (height, width) in pixels of the input, None where the layer sees all of it; `bytes` are its float32 output.
    """

    index: int
    type: str
    line: int
    sources: tuple[int, ...]
    filters: int | None
    size: Size | None
    stride: Size | None
    dilation: int
    groups: int
    activation: str
    input: Shape
    output: Shape
    bflops: float
    receptive_field: Size | None
    parameters: int
    bytes: int


@dataclass(frozen=True)
class Report:
    """A whole network. `peak_bytes` is what layer outputs need at most when each is freed after its last use."""

    cfg: str
    dialect: Dialect
    program: str
    reason: str
    input: Shape
    rows: tuple[Row, ...]
    bflops: float
    parameters: int
    weights_bytes: int
    peak_bytes: int
    warnings: tuple[str, ...]
    weights: str = ""
    weights_version: str = ""
    weights_seen: int = 0


def inspect(
    cfg: Path,
    weights: Path | None = None,
    *,
    dialect: Literal["auto", "alexey", "pj"] = "auto",
    width: int | None = None,
    height: int | None = None,
) -> Report:
    """Describe a cfg, and check that the weights (if given) are laid out as it says."""
    network = read_network(cfg, dialect=dialect, weights=weights, width=width, height=height)
    loaded = read_weights(weights, network) if weights else None
    rows = tuple(_rows(network))
    return Report(
        cfg=cfg.name,
        dialect=network.dialect,
        program=PROGRAMS[network.dialect],
        reason=network.reason,
        input=network.layers[0].input_shape,
        rows=rows,
        bflops=sum(row.bflops for row in rows),
        parameters=sum(row.parameters for row in rows),
        weights_bytes=4 * sum(row.parameters for row in rows),
        peak_bytes=_peak(network),
        warnings=(*network.warnings, *_warnings(network)),
        weights=weights.name if weights else "",
        weights_version=_version(loaded),
        weights_seen=loaded.header.seen if loaded else 0,
    )


def _version(weights: Weights | None) -> str:
    return f"{weights.header.major}.{weights.header.minor}.{weights.header.revision}" if weights else ""


def _rows(network: Network) -> list[Row]:
    fields: list[_Field] = []
    rows = []
    for layer in network.layers:
        fields.append(_field(layer, [fields[index] for index in layer.sources if index >= 0]))
        rows.append(
            Row(
                index=layer.index,
                type=layer.type,
                line=layer.line,
                sources=layer.sources,
                filters=getattr(layer, "filters", None),
                size=_window(layer),
                stride=_stride(layer),
                dilation=getattr(layer, "dilation", 1),
                groups=getattr(layer, "groups", 1),
                activation=getattr(layer, "activation", ""),
                input=layer.input_shape,
                output=layer.output_shape,
                bflops=_operations(layer, network.dialect) / 1e9,
                receptive_field=fields[-1].size,
                parameters=parameters_of(layer, network.dialect),
                bytes=4 * size_of(layer.output_shape),
            )
        )
    return rows


def _window(layer: Layer) -> Size | None:
    if isinstance(layer, Convolutional | Deconvolutional | Local | Pool | Crnn | ConvLstm):
        return (layer.size, layer.size)
    return None


def _stride(layer: Layer) -> Size | None:
    if isinstance(layer, Convolutional | Pool):
        return (layer.stride_y, layer.stride_x)
    if isinstance(layer, Deconvolutional | Local | Reorg | Upsample):
        return (layer.stride, layer.stride)
    return (1, 1) if isinstance(layer, Crnn | ConvLstm) else None


def _operations(layer: Layer, dialect: Dialect) -> float:
    """Darknet's own count: two for each weight and place; a pool one for each cell of its windows."""
    _, h, w = layer.output_shape
    if isinstance(layer, Convolutional):
        weights = layer.input_shape[0] // layer.groups * layer.filters * layer.size**2
        return 2 * weights * h * w / (32 if layer.xnor else 1)
    if isinstance(layer, Deconvolutional):
        return 2 * layer.input_shape[0] * layer.filters * layer.size**2 * layer.input_shape[1] * layer.input_shape[2]
    if isinstance(layer, Local | Connected | Rnn | Gru | Lstm):
        return 2 * parameters_of(layer, dialect)
    if isinstance(layer, Crnn | ConvLstm):
        return 2 * parameters_of(layer, dialect) * h * w
    if isinstance(layer, Pool):
        return layer.size**2 * size_of(layer.output_shape)
    return len(layer.sources[1:]) * size_of(layer.output_shape) if isinstance(layer, Shortcut) else 0


@dataclass(frozen=True)
class _Field:
    """Receptive field (None: everything) and the distance, in input pixels, between neighbouring cells."""

    size: Size | None = (1, 1)
    jump: tuple[float, float] = (1.0, 1.0)


def _field(layer: Layer, sources: Sequence[_Field]) -> _Field:
    """A window of k cells adds (k − 1) · dilation · jump; of several sources the largest counts."""
    known = [source.size for source in sources if source.size is not None]
    whole = not isinstance(layer, Convolutional | Pool | Upsample) and layer.output_shape[1:] == (1, 1)
    if len(known) < len(sources) or (whole and layer.input_shape[1:] != (1, 1)) or isinstance(layer, Reorg):
        return _Field(None)
    size = (max((s[0] for s in known), default=1), max((s[1] for s in known), default=1))
    jump = max((source.jump for source in sources), default=(1.0, 1.0))
    if isinstance(layer, Convolutional | Pool):
        dilation = layer.dilation if isinstance(layer, Convolutional) else 1
        reach = [int((layer.size - 1) * dilation * step) for step in jump]
        return _Field((size[0] + reach[0], size[1] + reach[1]), (jump[0] * layer.stride_y, jump[1] * layer.stride_x))
    if isinstance(layer, Upsample):
        factor = layer.stride if layer.reverse else 1 / layer.stride
        return _Field(size, (jump[0] * factor, jump[1] * factor))
    return _Field(size, jump)


def _peak(network: Network) -> int:
    """The most bytes of layer outputs alive at once."""
    last = {source: layer.index for layer in network.layers for source in layer.sources}
    alive, peak = 4 * size_of(network.layers[0].input_shape), 0
    for layer in network.layers:
        alive += 4 * size_of(layer.output_shape)
        peak = max(peak, alive)
        for source in set(layer.sources):
            if last[source] == layer.index:
                shape = network.layers[source].output_shape if source >= 0 else network.layers[0].input_shape
                alive -= 4 * size_of(shape)
    return peak


def _warnings(network: Network) -> list[str]:
    net = network.net
    warnings = []
    if network.heads and (net.width % 32 or net.height % 32):
        warnings.append(f"width={net.width} and height={net.height}: Darknet's detectors expect multiples of 32")
    if any(isinstance(layer, Convolutional) and layer.xnor for layer in network.layers):
        warnings.append("xnor: builds of Darknet disagree with each other on binary convolutions")
    return warnings
