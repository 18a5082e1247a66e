"""A read-only, typed view of an ONNX model that was checked to be a graph: what both writers walk.

Nodes come in the order in which they can run, attributes are decoded, initializers are arrays, every value has the type
and shape that ONNX's own inference finds. Nothing here knows a target or what an operator means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.check import check_model, describe
from zoo.convert.onnx_graph.wire import BIG

Dimension = int | str | None  # a size, the name of a dynamic dimension, or unknown
TensorReader = Callable[[TensorProto], np.ndarray]


@dataclass(frozen=True)
class Value:
    """What is known of a value: `shape` is None where even the rank is unknown; `dtype` None where it is no tensor."""

    name: str
    dtype: np.dtype | None = None
    shape: tuple[Dimension, ...] | None = None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)


@dataclass(frozen=True)
class Node:
    """One application of an operator. Optional inputs and outputs that are left out have the name ""."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]  # int, float, str, bytes, np.ndarray, Graph, np.dtype or tuples of these
    index: int  # among the nodes of its graph, as in the file

    def __str__(self) -> str:
        return describe(self.index, self.op, self.name)

    def input(self, position: int) -> str:
        """The name of an input, or "" where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def subgraphs(self) -> Iterator[Graph]:
        return (value for value in self.attributes.values() if isinstance(value, Graph))


@dataclass(frozen=True)
class Graph:
    """A model's graph, or the body of a control-flow node (which may use the values of the graphs around it)."""

    name: str
    inputs: tuple[Value, ...]  # without those that an initializer of the same name fixes
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    initializers: Mapping[str, np.ndarray]  # read-only; may be views of a mapped file
    values: Mapping[str, Value]  # every named value whose type or shape is known
    opset: int
    source: str  # for messages: the file, or "the model"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        return self.values.get(name) or Value(name)

    def outer_names(self) -> set[str]:
        """The values that this graph (a body) takes from the graphs around it."""
        own = {value.name for value in self.inputs} | set(self.initializers)
        used = {value.name for value in self.outputs}
        for node in self.nodes:
            own.update(node.outputs)
            used.update(node.inputs)
            for body in node.subgraphs():
                used |= body.outer_names()
        return used - own - {""}


def checked_graph(model: onnx.ModelProto, source: str, read: TensorReader) -> Graph:
    """The graph of `model`, checked (see check.py) and with inferred types. `read` decodes a tensor or raises
    ValueError or OSError; `source` names the model in errors. Raises ConversionError.
    """
    opset = check_model(model, source)
    decoder = _Decoder(source, opset, read)
    inferred = _inferred(model, source)
    graph = decoder.graph(inferred.graph, model.graph)
    return Graph(**{**vars(graph), "metadata": {entry.key: entry.value for entry in model.metadata_props}})


def _inferred(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """A copy with inferred types and shapes, in which big initializers are only named and typed."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    for name in ("node", "input", "output", "value_info"):
        getattr(light.graph, name).extend(getattr(model.graph, name))
    light.graph.name = "graph"  # the model's own is shown nowhere, and need not be text
    for tensor in model.graph.initializer:
        if tensor.ByteSize() > BIG or tensor.data_location == TensorProto.EXTERNAL:
            stub = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
            stub.data_location = TensorProto.EXTERNAL
            light.graph.initializer.append(stub)
        else:
            light.graph.initializer.append(tensor)
    try:
        return onnx.shape_inference.infer_shapes(light, data_prop=True)
    except Exception as error:  # onnx raises InferenceError, RuntimeError, ValueError … from C++
        raise ConversionError(
            f"{source}: the types or shapes of the graph contradict each other: {_first_line(error)}",
            hint="onnx.checker.check_model(path, full_check=True) says more; export the model again",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@dataclass(frozen=True)
class _Decoder:
    source: str
    opset: int
    read: TensorReader

    def graph(self, proto: GraphProto, original: GraphProto | None = None) -> Graph:
        initializers = {}
        for tensor in (original or proto).initializer:
            initializers[tensor.name] = self.tensor(tensor, f"initializer {tensor.name!r}")
        values = {info.name: _value(info) for group in (proto.value_info, proto.output, proto.input) for info in group}
        values |= {name: Value(name, array.dtype, array.shape) for name, array in initializers.items()}
        return Graph(
            name=proto.name,
            inputs=tuple(values[info.name] for info in proto.input if info.name not in initializers),
            outputs=tuple(values[info.name] for info in proto.output),
            nodes=tuple(self.node(index, node) for index, node in enumerate(proto.node)),
            initializers=initializers,
            values=values,
            opset=self.opset,
            source=self.source,
        )

    def node(self, index: int, proto: NodeProto) -> Node:
        label = describe(index, proto.op_type, proto.name)
        attributes = {attribute.name: self.attribute(attribute, label) for attribute in proto.attribute}
        return Node(proto.op_type, proto.name, tuple(proto.input), tuple(proto.output), attributes, index)

    def attribute(self, proto: AttributeProto, label: str) -> Any:
        where = f"{label}, attribute {proto.name!r}"
        match proto.type:
            case AttributeProto.TENSOR:
                return self.tensor(proto.t, where)
            case AttributeProto.TENSORS:
                return tuple(self.tensor(tensor, where) for tensor in proto.tensors)
            case AttributeProto.GRAPH:
                return self.graph(proto.g)
            case AttributeProto.STRING:
                return _text(proto.s)
            case AttributeProto.STRINGS:
                return tuple(_text(item) for item in proto.strings)
            case AttributeProto.INT | AttributeProto.FLOAT:
                return onnx.helper.get_attribute_value(proto)
            case AttributeProto.INTS | AttributeProto.FLOATS:
                return tuple(onnx.helper.get_attribute_value(proto))
            case AttributeProto.TYPE_PROTO:
                return _type(proto.tp)[0]
        raise ConversionError(
            f"{self.source}: {where} is of a kind that is not supported",
            hint="only numbers, strings, dense tensors and graphs are",
        )

    def tensor(self, proto: TensorProto, where: str) -> np.ndarray:
        try:
            array = self.read(proto)
        except (ValueError, TypeError, OSError) as error:
            raise ConversionError(
                f"{self.source}: {where} cannot be read: {error}", hint="fetch or export the model again"
            ) from error
        array.setflags(write=False)
        return array


def _value(info: ValueInfoProto) -> Value:
    return Value(info.name, *_type(info.type))


def _type(proto: TypeProto) -> tuple[np.dtype | None, tuple[Dimension, ...] | None]:
    if not proto.HasField("tensor_type") or not proto.tensor_type.elem_type:
        return None, None
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(proto.tensor_type.elem_type))
    except KeyError:
        return None, None
    if not proto.tensor_type.HasField("shape"):
        return dtype, None
    return dtype, tuple(_dimension(size) for size in proto.tensor_type.shape.dim)


def _dimension(proto: onnx.TensorShapeProto.Dimension) -> Dimension:
    """Some exporters write a dynamic size as -1 or as an empty name."""
    if proto.HasField("dim_value"):
        return proto.dim_value if proto.dim_value >= 0 else None
    return proto.dim_param or None


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
