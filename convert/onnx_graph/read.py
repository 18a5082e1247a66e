"""Reads ONNX files from anywhere: `read_graph` gives a checked `Graph`, or a ConversionError that says what is wrong.

The file is memory-mapped: big initializers stay on disk and are mapped where they lie (see wire.py), so reading a
model costs neither its weights' memory nor a copy of them. External data must lie in a plain file in the model's own
folder, or below it, and inside that file's size. Nothing in a file is ever executed, followed or written.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import TensorProto, numpy_helper

from zoo.base.errors import ConversionError
from zoo.base.foreign import HEAD, what_it_is
from zoo.base.inside import open_inside
from zoo.convert.onnx_graph.graph import Graph, checked_graph
from zoo.convert.onnx_graph.wire import skeleton

PROTOBUF_LIMIT = 1 << 31  # bytes; no protobuf message may be larger
BROKEN = "the file is damaged or cut short: fetch or export it again, and compare its size and hash with the original"
RENAME = "the file is damaged, or its names are in another encoding: export it again with other names"
MOST_OF_NAME = 40  # bytes of a name that are shown
# Kinds of elements that numpy does not have as whole bytes in memory; onnx decodes them.
PACKED = {TensorProto.UINT4, TensorProto.INT4, TensorProto.FLOAT4E2M1, TensorProto.STRING, TensorProto.UNDEFINED}


def read_graph(path: Path) -> Graph:
    """The model in the file `path`, checked; its big initializers are read-only views of the mapped file.

    Raises ConversionError where the file is no ONNX model, is damaged, refers to data outside its folder, or is not a
    graph that could run: see `checked_graph`.
    """
    return graph_of(read_model(path), path)


def graph_of(model: onnx.ModelProto, path: Path | None = None) -> Graph:
    """The checked graph of a model in memory. `path` is the file it came from: errors name it, and external data is
    looked for beside it; without one a model with external data is refused.
    """
    return checked_graph(model, str(path or "the model"), _tensor_reader(path))


def read_model(path: Path) -> onnx.ModelProto:
    """Parse the file at `path` without its big initializers: those refer to their place in the file as external data.

    Raises ConversionError where it is no ONNX model. The graph is not judged here; `read_graph` does both.
    """
    try:
        size = path.stat().st_size
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConversionError(f"{path} is not a file", hint="give the .onnx file itself")
        if size == 0:
            raise ConversionError(f"{path} is empty (0 bytes)", hint=BROKEN)
        if size >= PROTOBUF_LIMIT:
            raise ConversionError(
                f"{path} has {size} bytes; an ONNX file must be smaller than {PROTOBUF_LIMIT}",
                hint="keep the weights of a larger model as external data",
            )
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if kind := what_it_is(data[:HEAD]):
            raise ConversionError(f"{path} is not an ONNX model but {kind}", hint="fetch the file itself again")
        slim = skeleton(memoryview(data), path.name)
        model = onnx.ModelProto()
        model.ParseFromString(slim)
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    except (ValueError, DecodeError) as error:
        raise ConversionError(f"{path} is not a whole ONNX model: {error}", hint=BROKEN) from error
    if not model.HasField("graph") or not model.opset_import:
        raise ConversionError(f"{path} is not an ONNX model: it has no graph or no opset", hint=BROKEN)
    for where, name in _undecoded(model):
        shown = repr(name) if len(name) <= MOST_OF_NAME else f"{name[:MOST_OF_NAME]!r}…"
        raise ConversionError(f"{path}: the {where} {shown} is not UTF-8, as every name in ONNX is", hint=RENAME)
    return model


def _undecoded(message: Message) -> Iterator[tuple[str, bytes]]:
    """Every name in it that is not UTF-8, with where it stands, e.g. "node.name": protobuf gives these as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_MESSAGE, field.TYPE_STRING) or field.name == "doc_string":
            continue
        for one in (value,) if isinstance(value, str | bytes | Message) else value:
            if isinstance(one, Message):
                yield from ((f"{field.name}.{where}", name) for where, name in _undecoded(one))
            elif isinstance(one, bytes):
                yield field.name, one


def _tensor_reader(path: Path | None) -> Callable[[TensorProto], np.ndarray]:
    """A function that decodes a tensor of the model at `path`; it maps each file once and raises ValueError."""
    maps: dict[str, np.ndarray] = {}

    def read(tensor: TensorProto) -> np.ndarray:
        dtype, shape = _described(tensor)
        if tensor.data_location == TensorProto.EXTERNAL:
            if path is None:
                raise ValueError("its data lies in another file, and a model in memory has no folder")
            entries = {entry.key: entry.value for entry in tensor.external_data}
            location = entries.get("location", "")
            if location not in maps:
                maps[location] = _mapped(path, location)
            return _slice(maps[location], entries, dtype, shape)
        if tensor.data_type in PACKED or not tensor.HasField("raw_data"):
            array = numpy_helper.to_array(tensor)
        else:
            array = _viewed(np.frombuffer(tensor.raw_data, np.uint8), dtype, shape)
        if array.shape != shape:
            raise ValueError(f"it has {array.size} elements, its shape is {list(shape)}")
        return array

    return read


def _described(tensor: TensorProto) -> tuple[np.dtype, tuple[int, ...]]:
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        raise ValueError(f"unknown data type {tensor.data_type}") from None
    if any(size < 0 for size in tensor.dims):
        raise ValueError(f"negative size in its shape {list(tensor.dims)}")
    if tensor.HasField("segment"):
        raise ValueError("it is stored in segments, which nobody writes")
    return np.dtype(dtype), tuple(tensor.dims)


def _mapped(model: Path, location: str) -> np.ndarray:
    """The bytes of an external data file, mapped. See `zoo.base.inside` for where it may lie."""
    handle = open_inside(model.parent, location, itself=model)
    try:
        if os.fstat(handle).st_size == 0:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(handle, 0, access=mmap.ACCESS_READ), np.uint8)
    finally:
        os.close(handle)


def _slice(data: np.ndarray, entries: dict[str, str], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    offset = int(entries.get("offset", "0") or "0")
    length = int(entries.get("length", "0") or "0") or data.size - offset
    if offset < 0 or length < 0 or offset + length > data.size:
        raise ValueError(f"its data ends at byte {offset + length} of a file of {data.size} bytes")
    return _viewed(data[offset : offset + length], dtype, shape)


def _viewed(data: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """`data` (bytes, little-endian) as an array, without a copy. An explicit check: numpy would guess a size."""
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != data.size:
        raise ValueError(f"it has {data.size} bytes, its shape {list(shape)} of {dtype} needs {count * dtype.itemsize}")
    return np.frombuffer(data.data, dtype).reshape(shape) if count else np.zeros(shape, dtype)
