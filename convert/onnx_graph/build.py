"""Building an ONNX graph: named nodes, shared constants, and big weights that stay where they are until written.

A `GraphBuilder` collects, `Model` is the result. A big weight is a `Blob`: its bytes are made chunk by chunk when the
model is written (or put into a ModelProto), so that no second copy of the weights ever exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 17  # the newest that OpenCV 4 and 5, ONNX Runtime from 1.12 and both writers take
IR_VERSION = 8
CHUNK = 1 << 18  # floats made at a time
CACHED = 1 << 15  # floats whose float64 copy stays in a core's cache

Array = NDArray[Any]
Dims = Sequence[int | str]


@dataclass(frozen=True)
class Blob:
    """A big float32 initializer, made of `chunks` (C-contiguous float32 arrays, in order) when it is needed."""

    name: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterator[NDArray[np.float32]]]

    @property
    def size(self) -> int:
        """Bytes."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Model:
    """A finished graph; `constants` are small and held in memory, `blobs` are not."""

    name: str
    nodes: tuple[NodeProto, ...]
    constants: tuple[TensorProto, ...]
    blobs: tuple[Blob, ...]
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[ValueInfoProto, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    opset: int = OPSET

    def proto(self) -> onnx.ModelProto:
        """The whole model in memory."""
        tensors = []
        for blob in self.blobs:
            tensor = TensorProto(name=blob.name, dims=blob.shape, data_type=TensorProto.FLOAT)
            tensor.raw_data = b"".join(chunk.tobytes() for chunk in blob.chunks())
            tensors.append(tensor)
        return self._wrap(self.inputs, (*self.constants, *tensors))

    def frame(self) -> onnx.ModelProto:
        """The model without its blobs, to which they are yet to be added."""
        return self._wrap(self.inputs, self.constants)

    def outline(self) -> onnx.ModelProto:
        """The model with its blobs as inputs: small, complete, and as valid as the model is."""
        extra = (value_info(blob.name, blob.shape) for blob in self.blobs)
        return self._wrap((*self.inputs, *extra), self.constants)

    def _wrap(self, inputs: Sequence[ValueInfoProto], tensors: Sequence[TensorProto]) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, inputs, self.outputs, tensors)
        model = helper.make_model(
            graph, producer_name="zoo", opset_imports=[helper.make_opsetid("", self.opset)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, dict(sorted(self.metadata.items())))
        return model


def value_info(name: str, shape: Dims, dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    """A typed value; a dimension given by name is dynamic."""
    return helper.make_tensor_value_info(name, dtype, list(shape))


class GraphBuilder:
    """Collects a graph. Names are chosen by the caller's hints and made unique; equal constants are stored once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
        self._blobs: dict[str, Blob] = {}
        self._counts: dict[str, int] = {}

    def op(self, op: str, *inputs: str, hint: str, **attributes: Any) -> str:
        """Add a node with one output, named `hint` (made unique); returns the output's name."""
        return self.ops(op, *inputs, hints=(hint,), **attributes)[0]

    def ops(self, op: str, *inputs: str, hints: Sequence[str], **attributes: Any) -> tuple[str, ...]:
        """Add a node with one output for each hint; returns their names."""
        names = tuple(self._unique(hint) for hint in hints)
        self.nodes.append(helper.make_node(op, list(inputs), list(names), name=names[0], **attributes))
        return names

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:
        """A small initializer; equal values share one. Returns its name."""
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, f"const_{len(self._constants)}")
        return self._constants[key].name

    def integers(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(values, np.int64)

    def blob(self, name: str, shape: tuple[int, ...], chunks: Callable[[], Iterator[NDArray[np.float32]]]) -> str:
        """A big initializer; asked for again under the same name, it is the same. Returns its name."""
        if name not in self._blobs:
            self._blobs[name] = Blob(name, shape, chunks)
        return name

    def input(self, name: str, shape: Dims) -> str:
        self.inputs.append(value_info(name, shape))
        return name

    def output(self, name: str, shape: Dims) -> None:
        self.outputs.append(value_info(name, shape))

    def model(self, metadata: Mapping[str, str]) -> Model:
        """The finished graph, without the nodes that no output needs."""
        nodes = needed_nodes(self.nodes, [value.name for value in self.outputs])
        used = {name for node in nodes for name in _reads(node)}
        return Model(
            self.name,
            tuple(nodes),
            tuple(tensor for tensor in self._constants.values() if tensor.name in used),
            tuple(blob for blob in self._blobs.values() if blob.name in used),
            tuple(self.inputs),
            tuple(self.outputs),
            metadata,
        )

    def _unique(self, hint: str) -> str:
        count = self._counts.get(hint, 0)
        self._counts[hint] = count + 1
        return f"{hint}_{count}" if count else hint


def needed_nodes(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """Of nodes in running order those that the outputs depend on."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(_reads(node))
            kept.append(node)
    return kept[::-1]


def _reads(node: NodeProto) -> set[str]:
    """What a node reads, its bodies included."""
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names |= {name for inner in attribute.g.node for name in _reads(inner)}
            names |= {value.name for value in attribute.g.output}
    return names


def plain_chunks(array: NDArray[np.float32]) -> Callable[[], Iterator[NDArray[np.float32]]]:
    """An array as it is, in pieces of about `CHUNK` floats."""

    def chunks() -> Iterator[NDArray[np.float32]]:
        for rows in _blocks(array):
            yield np.ascontiguousarray(rows, dtype=np.float32)

    return chunks


def scaled_chunks(
    array: NDArray[np.float32], factors: NDArray[np.float64]
) -> Callable[[], Iterator[NDArray[np.float32]]]:
    """An array with its first axis scaled by `factors`, multiplied in float64 and rounded once, in pieces."""

    def chunks() -> Iterator[NDArray[np.float32]]:
        start = 0
        for rows in _blocks(array):
            yield _scaled(rows.reshape(len(rows), -1), factors[start : start + len(rows), None])
            start += len(rows)

    return chunks


def _scaled(rows: NDArray[np.float32], factors: NDArray[np.float64]) -> NDArray[np.float32]:
    """rows · factors; a few rows at a time, so that the float64 copy stays in the cache: three times as fast."""
    result = np.empty(rows.shape, np.float32)
    step = max(1, CACHED // max(1, rows.shape[1]))
    wide = np.empty((min(step, len(rows)), rows.shape[1]))
    for start in range(0, len(rows), step):
        part = wide[: len(rows[start : start + step])]
        part[:] = rows[start : start + step]
        part *= factors[start : start + step]
        result[start : start + step] = part
    return result


def _blocks(array: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Slices of the first axis with about `CHUNK` floats each."""
    step = max(1, CHUNK * len(array) // max(1, array.size))
    for start in range(0, len(array), step):
        yield array[start : start + step]
