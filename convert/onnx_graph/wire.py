"""Finds the big tensors of an ONNX file without copying them, by walking the protobuf wire format.

`onnx.load` holds the file's bytes and the parsed copy at once: twice the weights. Here every initializer's
`raw_data` above `BIG` bytes is cut out and replaced by a reference (external data: this file, offset, length), so that
only a skeleton of some kilobytes is parsed and the weights stay on disk until they are mapped. It knows nothing of
what the fields mean beyond the few numbers below, and never judges a model: protobuf parses the skeleton.

Field numbers: onnx.proto. Wire format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import onnx

BIG = 1024  # bytes; smaller tensors may be shapes, which ONNX's shape inference wants to see

MODEL_GRAPH = 7
GRAPH_INITIALIZER = 5
TENSOR_RAW_DATA = 9
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

Buffer = memoryview | bytes


class Field(NamedTuple):
    """One field of a message: `start` is where its tag lies, `begin` and `end` bound its payload."""

    number: int
    kind: int
    start: int
    begin: int
    end: int


def skeleton(data: Buffer, location: str) -> bytes:
    """The serialised model without its big tensors, each of which refers to `location` instead.

    Raises ValueError where the bytes are not a sequence of whole fields: the file is cut short or no protobuf.
    """
    return b"".join(_model(memoryview(data), location))


def _model(data: memoryview, location: str) -> Iterator[bytes]:
    for field in _fields(data, 0, len(data)):
        if field.number == MODEL_GRAPH and field.kind == LENGTH:
            yield _message(MODEL_GRAPH, b"".join(_graph(data, field, location)))
        else:
            yield bytes(data[field.start : field.end])


def _graph(data: memoryview, graph: Field, location: str) -> Iterator[bytes]:
    for field in _fields(data, graph.begin, graph.end):
        big = field.number == GRAPH_INITIALIZER and field.kind == LENGTH and field.end - field.begin > BIG
        yield _initializer(data, field, location) if big else bytes(data[field.start : field.end])


def _initializer(data: memoryview, tensor: Field, location: str) -> bytes:
    parts = []
    raw = None
    for field in _fields(data, tensor.begin, tensor.end):
        if field.number == TENSOR_RAW_DATA and field.kind == LENGTH and field.end - field.begin > BIG:
            raw = field
        else:
            parts.append(bytes(data[field.start : field.end]))
    if raw is not None:
        reference = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
        for key, value in ("location", location), ("offset", raw.begin), ("length", raw.end - raw.begin):
            reference.external_data.add(key=key, value=str(value))
        parts.append(reference.SerializeToString())
    return _message(GRAPH_INITIALIZER, b"".join(parts))


def _message(number: int, payload: bytes) -> bytes:
    return _encode_varint(number << 3 | LENGTH) + _encode_varint(len(payload)) + payload


def _fields(data: memoryview, position: int, end: int) -> Iterator[Field]:
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        number, kind = tag >> 3, tag & 7
        begin = position
        if kind == VARINT:
            _, position = _varint(data, position, end)
        elif kind == LENGTH:
            size, begin = _varint(data, position, end)
            position = begin + size
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {start}")
        if number == 0 or position > end:
            raise ValueError(f"the field at byte {start} ends at byte {position}, its message at byte {end}")
        yield Field(number, kind, start, begin, position)


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    """The number at `position` and the position after it."""
    value = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"a number is cut short at byte {position}")


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
