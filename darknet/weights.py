"""A Darknet weights file → named float32 views, memory-mapped: nothing is copied, every float is accounted for.

The file is a header and then bare floats in the order of the layers; its layout is nowhere in it. Which layer takes
how many floats in which shape stands in `tensors_of`. Darknet itself reads a file that is too short (and keeps random
numbers) or too long without a word; this refuses.

Names in `weights[index]`, with their shapes:

    convolutional      bias [n], (scale, mean, variance [n]), kernel [n, c / groups, k, k]
    deconvolutional    bias [n], (scale, mean, variance [n]), kernel [c, n, k, k]
    connected          bias [out], kernel [out, in], (scale, mean, variance [out])
    local              bias [n, h, w], kernel [h, w, n, c, k, k]
    batchnorm          (bias [c],) scale, mean, variance [c]
    shortcut           weights [sources] or [sources, c]
    implicit           weights [filters, atoms]
    rnn, crnn          input.*, self.*, output.* with the names of connected or convolutional
    gru                iz.*, ir.*, ih.* (from the input), sz.*, sr.*, sh.* (from the state)
    lstm, conv_lstm    wf.*, wi.*, wg.*, wo.* (from h), uf.*, ui.*, ug.*, uo.* (from the input), vf.*, vi.*, vo.*
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import ConversionError
from zoo.base.foreign import what_it_is
from zoo.darknet.keys import Dialect
from zoo.darknet.layers import (
    Batchnorm,
    Connected,
    ConvLstm,
    Convolutional,
    Crnn,
    Deconvolutional,
    Gru,
    Implicit,
    Layer,
    Local,
    Lstm,
    Rnn,
    Shortcut,
    size_of,
)
from zoo.darknet.network import Network

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """One run of floats in the file. `stored` is its shape there; `axes` turns it into the documented shape."""

    name: str
    stored: tuple[int, ...]
    axes: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.stored)


@dataclass(frozen=True)
class Header:
    """`seen` counts the pictures of the training; `transposed` says connected weights are [in, out] in the file."""

    major: int
    minor: int
    revision: int
    seen: int
    size: int
    transposed: bool


@dataclass(frozen=True)
class Weights:
    """`weights[index]` is the tensors of a layer by name (see the module); a layer without weights has none.

    The arrays are read-only views of the file. A layer that shares another's weights has that layer's arrays.
    """

    path: Path
    header: Header
    layers: tuple[Mapping[str, Array], ...]

    def __getitem__(self, index: int) -> Mapping[str, Array]:
        return self.layers[index]

    def part(self, index: int, name: str) -> Mapping[str, Array]:
        """The tensors of one part of a recurrent layer, e.g. `part(3, "iz")`, without the prefix."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): array for key, array in self[index].items() if key.startswith(prefix)}


def read_weights(path: Path, network: Network) -> Weights:
    """Map a weights file onto a network. Raises ConversionError where the file does not hold exactly its weights.

    A partial file such as darknet53.conv.74 belongs to `network.upto(74)`.
    """
    header, mapped = _open(path, network.dialect)
    layers = [list(tensors_of(layer, network.dialect, header.transposed)) for layer in network.layers]
    needed = sum(tensor.size for tensors in layers for tensor in tensors)
    found = len(mapped) - header.size
    if found != 4 * needed:
        raise _wrong_length(path, network, layers, header, found)
    floats = np.frombuffer(mapped, dtype="<f4", count=needed, offset=header.size)
    return Weights(path, header, tuple(_views(network, layers, floats)))


def _views(network: Network, layers: list[list[Tensor]], floats: Array) -> Iterator[Mapping[str, Array]]:
    offset = 0
    done: list[Mapping[str, Array]] = []
    for layer, tensors in zip(network.layers, layers, strict=True):
        views: dict[str, Array] = {}
        for tensor in tensors:
            view = floats[offset : offset + tensor.size].reshape(tensor.stored)
            views[tensor.name] = view if tensor.axes is None else view.transpose(tensor.axes)
            offset += tensor.size
        if isinstance(layer, Convolutional) and layer.share is not None:
            done.append(done[layer.share])
        else:
            done.append(views)
        yield done[-1]


def tensors_of(layer: Layer, dialect: Dialect, transposed: bool = False) -> list[Tensor]:
    """What the file holds for a layer, in order."""
    layout = LAYOUTS.get(type(layer))
    return layout(layer, dialect, transposed) if layout else []


def parameters_of(layer: Layer, dialect: Dialect) -> int:
    """How many floats a layer has in the file."""
    return sum(tensor.size for tensor in tensors_of(layer, dialect))


def _convolution(filters: int, channels: int, size: int, normalized: bool, flipped: bool = False) -> list[Tensor]:
    kernel = Tensor("kernel", (filters, channels, size, size))
    if flipped:
        kernel = Tensor("kernel", (channels, size, size, filters), (3, 0, 1, 2))
    names = ("bias", "scale", "mean", "variance") if normalized else ("bias",)
    return [*(Tensor(name, (filters,)) for name in names), kernel]


def _matrix(inputs: int, outputs: int, normalized: bool, transposed: bool) -> list[Tensor]:
    kernel = Tensor("kernel", (inputs, outputs), (1, 0)) if transposed else Tensor("kernel", (outputs, inputs))
    names = ("scale", "mean", "variance") if normalized else ()
    return [Tensor("bias", (outputs,)), kernel, *(Tensor(name, (outputs,)) for name in names)]


def _named(prefix: str, tensors: list[Tensor]) -> list[Tensor]:
    return [Tensor(f"{prefix}.{tensor.name}", tensor.stored, tensor.axes) for tensor in tensors]


def _convolutional(layer: Convolutional, dialect: Dialect, transposed: bool) -> list[Tensor]:
    if layer.share is not None:
        return []
    channels = layer.input_shape[0] // layer.groups
    return _convolution(layer.filters, channels, layer.size, layer.batch_normalize, layer.flipped)


def _deconvolutional(layer: Deconvolutional, dialect: Dialect, transposed: bool) -> list[Tensor]:
    names = ("bias", "scale", "mean", "variance") if layer.batch_normalize else ("bias",)
    kernel = Tensor("kernel", (layer.input_shape[0], layer.filters, layer.size, layer.size))
    return [*(Tensor(name, (layer.filters,)) for name in names), kernel]


def _connected(layer: Connected, dialect: Dialect, transposed: bool) -> list[Tensor]:
    return _matrix(size_of(layer.input_shape), layer.output, layer.batch_normalize, transposed)


def _local(layer: Local, dialect: Dialect, transposed: bool) -> list[Tensor]:
    n, h, w = layer.output_shape
    kernel = (h, w, n, layer.input_shape[0], layer.size, layer.size)
    return [Tensor("bias", (n, h, w)), Tensor("kernel", kernel)]


def _batchnorm(layer: Batchnorm, dialect: Dialect, transposed: bool) -> list[Tensor]:
    names = ("bias", "scale", "mean", "variance") if layer.has_bias else ("scale", "mean", "variance")
    return [Tensor(name, (layer.output_shape[0],)) for name in names]


def _shortcut(layer: Shortcut, dialect: Dialect, transposed: bool) -> list[Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "per_feature": (len(layer.sources),),
        "per_channel": (len(layer.sources), layer.output_shape[0]),
    }
    return [Tensor("weights", shapes[layer.weights_type])] if layer.weights_type in shapes else []


def _implicit(layer: Implicit, dialect: Dialect, transposed: bool) -> list[Tensor]:
    return [Tensor("weights", layer.output_shape[:2])]


def _rnn(layer: Rnn, dialect: Dialect, transposed: bool) -> list[Tensor]:
    pairs = {
        "input": (size_of(layer.input_shape), layer.hidden),
        "self": (layer.hidden, layer.hidden),
        "output": (layer.hidden, layer.output),
    }
    return [
        tensor
        for name, (inputs, outputs) in pairs.items()
        for tensor in _named(name, _matrix(inputs, outputs, layer.batch_normalize, transposed))
    ]


def _crnn(layer: Crnn, dialect: Dialect, transposed: bool) -> list[Tensor]:
    pairs = {
        "input": (layer.input_shape[0], layer.hidden),
        "self": (layer.hidden, layer.hidden),
        "output": (layer.hidden, layer.output),
    }
    return [
        tensor
        for name, (channels, filters) in pairs.items()
        for tensor in _named(name, _convolution(filters, channels // layer.groups, layer.size, layer.batch_normalize))
    ]


GRU_ORDER: dict[Dialect, str] = {"alexey": "iz ir ih sz sr sh", "pj": "sz sr sh iz ir ih"}
LSTM_ORDER: dict[Dialect, str] = {"alexey": "wf wi wg wo uf ui ug uo", "pj": "wi wf wo wg ui uf uo ug"}


def _gru(layer: Gru, dialect: Dialect, transposed: bool) -> list[Tensor]:
    inputs = {"i": size_of(layer.input_shape), "s": layer.output}
    return [
        tensor
        for name in GRU_ORDER[dialect].split()
        for tensor in _named(name, _matrix(inputs[name[0]], layer.output, layer.batch_normalize, transposed))
    ]


def _lstm(layer: Lstm, dialect: Dialect, transposed: bool) -> list[Tensor]:
    inputs = {"u": size_of(layer.input_shape), "w": layer.output}
    return [
        tensor
        for name in LSTM_ORDER[dialect].split()
        for tensor in _named(name, _matrix(inputs[name[0]], layer.output, layer.batch_normalize, transposed))
    ]


def _conv_lstm(layer: ConvLstm, dialect: Dialect, transposed: bool) -> list[Tensor]:
    channels = {"u": layer.input_shape[0], "w": layer.output, "v": layer.output}
    names = f"{'vf vi vo ' if layer.peephole else ''}{LSTM_ORDER['alexey']}".split()
    return [
        tensor
        for name in names
        for tensor in _named(
            name,
            _convolution(layer.output, channels[name[0]] // layer.groups, layer.size, layer.batch_normalize),
        )
    ]


LAYOUTS: dict[type[Layer], Callable[[Any, Dialect, bool], list[Tensor]]] = {
    Convolutional: _convolutional,
    Deconvolutional: _deconvolutional,
    Connected: _connected,
    Local: _local,
    Batchnorm: _batchnorm,
    Shortcut: _shortcut,
    Implicit: _implicit,
    Rnn: _rnn,
    Crnn: _crnn,
    Gru: _gru,
    Lstm: _lstm,
    ConvLstm: _conv_lstm,
}


def _open(path: Path, dialect: Dialect) -> tuple[Header, mmap.mmap]:
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if not start:
                raise ConversionError(
                    f"{path.name}: expected Darknet weights, found an empty file", hint="fetch it again"
                )
            _check_kind(path, start)
            if len(start) < 16:
                raise ConversionError(f"{path.name}: expected a header of 16 or 20 bytes, found {len(start)} bytes")
            return _header(path, start, dialect), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ConversionError(f"cannot read the weights {path}: {error.strerror}") from error


def _check_kind(path: Path, start: bytes) -> None:
    if kind := what_it_is(start):
        raise ConversionError(
            f"{path.name}: expected Darknet weights, found {kind}",
            hint="download the file itself (zoo fetch checks its hash)",
        )


def _header(path: Path, start: bytes, dialect: Dialect) -> Header:
    """Version 0.2 and later have a 64-bit `seen`; pjreddie's program reads 32 bits for the transposed versions."""
    major, minor, revision = struct.unpack_from("<iii", start)
    long = major * 10 + minor >= 2 and (dialect == "alexey" or (major < 1000 and minor < 1000))
    if not (0 <= major <= 2000 and 0 <= minor <= 2000) or (long and len(start) < 20):
        raise ConversionError(
            f"{path.name}: expected Darknet weights of version 0.1 or 0.2, found version {major}.{minor}.{revision}",
            hint="the file is of another kind, or was damaged on its way",
        )
    (seen,) = struct.unpack_from("<Q" if long else "<I", start, 12)
    return Header(major, minor, revision, seen, 20 if long else 16, major > 1000 or minor > 1000)


def _wrong_length(
    path: Path, network: Network, layers: list[list[Tensor]], header: Header, found: int
) -> ConversionError:
    """Where the file ends (or should have ended), and what that may mean."""
    needed = 4 * sum(tensor.size for tensors in layers for tensor in tensors)
    cfg = network.cfg
    expected = f"{cfg.path.name} needs {needed + header.size} bytes, found {found + header.size}"
    if found > needed:
        return ConversionError(
            f"{path.name}: {found - needed} bytes after the weights of the last layer: {expected}",
            hint="these are the weights of another model, or of the cfg with other classes or filters",
        )
    offset = 0
    for layer, tensors in zip(network.layers, layers, strict=True):
        if tensors and found == offset:
            return ConversionError(
                f"{path.name}: holds the first {layer.index} layers only, and ends before layer {layer.index} "
                f"[{layer.type}] ({cfg.where(layer.line)}): {expected}",
                hint="a partial file (backbone weights such as darknet53.conv.74) starts a training; to convert just "
                f"these layers, ask for the first {layer.index} layers",
            )
        for tensor in tensors:
            offset += 4 * tensor.size
            if found < offset:
                return ConversionError(
                    f"{path.name}: ends in layer {layer.index} [{layer.type}] ({cfg.where(layer.line)}), "
                    f"{offset - found} bytes before the end of its {tensor.name}: {expected}",
                    hint="fetch the file again; or these are the weights of another model",
                )
    raise AssertionError("the length was right")
