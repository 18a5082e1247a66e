"""Writes safetensors files: a JSON header, then the numbers as they lie in memory. Never a pickle.

Written here and not by the safetensors package, because that wants all tensors in memory at once; this one writes each
array from where it is (a mapped ONNX file) and keeps at most one copy, of a transposed one.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.base.artifact import FileRecord
from zoo.convert.onnx_graph.write import write_pieces

KINDS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
ALIGNMENT = 64  # of the first byte of the numbers; wide elements come first, so each tensor is aligned to its own


def write_safetensors(path: Path, state: dict[str, np.ndarray], role: str) -> FileRecord:
    """Write `state` to the file `path`; returns its record, hashed while writing. Raises KeyError for an element type
    that the format does not have.
    """
    return write_pieces(path, role, serialize(state))


def serialize(state: dict[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of the file, in pieces that are made one after the other."""
    ordered = sorted(state.items(), key=lambda item: -item[1].dtype.itemsize)  # stable: else in the order of the model
    yield _header(ordered)
    for _, array in ordered:
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _header(ordered: list[tuple[str, np.ndarray]]) -> bytes:
    entries: dict[str, object] = {}
    offset = 0
    for name, array in ordered:
        end = offset + array.nbytes
        entries[name] = {"dtype": KINDS[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
