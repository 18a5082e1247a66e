"""Writing a model to disk in one pass: each weight is made, hashed and written once, and never held as a whole.

protobuf's own writer needs the whole message in memory, twice. Here the small part of the model is serialised by
protobuf, and the big initializers are appended to it field by field in the wire format
(https://protobuf.dev/programming-guides/encoding/): fields of a message may come in any order, and repeated ones
anywhere. What does not fit below protobuf's 2 GB goes to an external data file beside the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from onnx import TensorProto

from zoo.base.artifact import FileRecord
from zoo.base.files import atomic_file
from zoo.convert.onnx_graph.build import Blob, Model
from zoo.convert.onnx_graph.wire import GRAPH_INITIALIZER, LENGTH, MODEL_GRAPH, TENSOR_RAW_DATA

LIMIT = 2**31 - 2**20  # bytes of one file, with room for what surrounds the weights
ALIGNMENT = 4096  # of external data, so that it can be mapped


def write_model(model: Model, path: Path, *, limit: int = LIMIT) -> tuple[FileRecord, ...]:
    """Write `path` (and, beyond `limit` bytes, `path`.data); returns the records of the files. Deterministic."""
    if sum(blob.size + 4096 for blob in model.blobs) + model.frame().ByteSize() <= limit:
        return (write_pieces(path, "model", serialize(model)),)
    data = path.with_name(f"{path.name}.data")
    references, record = [], write_pieces(data, "data", _external(model.blobs))
    offset = 0
    for blob in model.blobs:
        references.append(_reference(blob, data.name, offset))
        offset += _padded(blob.size)
    return (write_pieces(path, "model", _inline(model, references)), record)


def serialize(model: Model) -> Iterator[Any]:
    """The bytes of the model as one file, in pieces that are made one after the other."""
    return _inline(model, [_Tensor.of(blob) for blob in model.blobs])


@dataclass(frozen=True)
class _Tensor:
    """A TensorProto on its way: the serialised part before the raw data, and the blob that follows it."""

    start: bytes
    blob: Blob | None

    @classmethod
    def of(cls, blob: Blob) -> _Tensor:
        tensor = TensorProto(name=blob.name, dims=blob.shape, data_type=TensorProto.FLOAT)
        return cls(tensor.SerializeToString(deterministic=True) + _prefix(TENSOR_RAW_DATA, blob.size), blob)

    @property
    def size(self) -> int:
        return len(self.start) + (self.blob.size if self.blob else 0)


def _reference(blob: Blob, location: str, offset: int) -> _Tensor:
    tensor = TensorProto(name=blob.name, dims=blob.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(blob.size))):
        tensor.external_data.add(key=key, value=value)
    return _Tensor(tensor.SerializeToString(deterministic=True), None)


def _inline(model: Model, tensors: list[_Tensor]) -> Iterator[Any]:
    """The bytes of a ModelProto, in pieces."""
    frame = model.frame()
    graph = frame.graph.SerializeToString(deterministic=True)
    frame.ClearField("graph")
    fields = [(_prefix(GRAPH_INITIALIZER, tensor.size), tensor) for tensor in tensors]
    length = len(graph) + sum(len(prefix) + tensor.size for prefix, tensor in fields)
    yield frame.SerializeToString(deterministic=True) + _prefix(MODEL_GRAPH, length) + graph
    for prefix, tensor in fields:
        yield prefix + tensor.start
        if tensor.blob:
            yield from _bytes(tensor.blob)


def _external(blobs: tuple[Blob, ...]) -> Iterator[Any]:
    for blob in blobs:
        yield from _bytes(blob)
        yield bytes(_padded(blob.size) - blob.size)


def _bytes(blob: Blob) -> Iterator[Any]:
    written = 0
    for chunk in blob.chunks():
        written += chunk.nbytes
        yield chunk.reshape(-1).view("u1").data
    assert written == blob.size, blob.name


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _prefix(field: int, length: int) -> bytes:
    """Tag and length of a length-delimited field."""
    return _varint(field << 3 | LENGTH) + _varint(length)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def write_pieces(path: Path, role: str, pieces: Iterator[Any]) -> FileRecord:
    """Write the pieces and hash them on the way, in a second thread (hashing is the slower half)."""
    size = 0
    with ThreadPoolExecutor(1) as hasher, atomic_file(path) as file:
        digest = hashlib.sha256()
        waiting: list[Future[None]] = []
        for piece in pieces:
            waiting.append(hasher.submit(digest.update, piece))
            size += _put(file, piece)
            if len(waiting) > 16:  # bounds what is alive between writing and hashing
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    return FileRecord(role, path.name, digest.hexdigest(), size)


def _put(file: BinaryIO, piece: Any) -> int:
    file.write(piece)
    return len(piece)
