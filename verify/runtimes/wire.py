"""Messages between a process and its child: a JSON header and the bytes of arrays. No pickle."""

from __future__ import annotations

import json
import math
from typing import IO, Any

import numpy as np

from zoo.verify.runtimes.protocol import Array, Tensors

PREFIX = 8  # bytes of the header's length


def send(stream: IO[bytes], header: dict[str, Any], tensors: Tensors | None = None) -> None:
    """Write one message."""
    arrays = {name: np.ascontiguousarray(array) for name, array in (tensors or {}).items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**header, "tensors": described}).encode()
    stream.write(len(text).to_bytes(PREFIX, "little") + text)
    for array in arrays.values():
        stream.write(array.tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read one message. Raises EOFError where the other side has ended."""
    header = json.loads(_exactly(stream, int.from_bytes(_exactly(stream, PREFIX), "little")))
    tensors = {}
    for name, dtype, shape in header.pop("tensors"):
        content = _exactly(stream, np.dtype(dtype).itemsize * math.prod(shape))
        tensors[name] = np.frombuffer(content, dtype).reshape(shape)
    return header, tensors


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError
    return content
