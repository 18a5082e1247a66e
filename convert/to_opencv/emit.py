"""A `Graph` back to an ONNX model, and its types and shapes found again after a rewrite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.build import Blob, Model, plain_chunks
from zoo.convert.onnx_graph.graph import Dimension, Graph, Node, Value
from zoo.convert.onnx_graph.rewrite.tidy import with_plain_nearest

BIG = 1024  # elements: larger float weights are written as they lie


def model_of(graph: Graph) -> Model:
    """The model, ready to be written, its enlargements by the plainest rule.

    Raises ConversionError where a node has a body: control flow has to go first.
    """
    constants, blobs = [], []
    for name, array in graph.initializers.items():
        if array.dtype == np.float32 and array.size > BIG:
            blobs.append(Blob(name, array.shape, plain_chunks(array)))
        else:
            constants.append(numpy_helper.from_array(np.asarray(array), name))
    return Model(
        name=graph.name or "graph",
        nodes=tuple(with_plain_nearest(_node(node, graph), graph.initializers) for node in graph.nodes),
        constants=tuple(constants),
        blobs=tuple(blobs),
        inputs=tuple(_info(value) for value in graph.inputs),
        outputs=tuple(_info(value) for value in graph.outputs),
        metadata=graph.metadata,
        opset=graph.opset,
    )


def reinferred(graph: Graph) -> Graph:
    """The graph with the types and shapes that follow from its inputs as they are now."""
    outputs = tuple(Value(value.name, value.dtype) for value in graph.outputs)
    outline = model_of(replace(graph, outputs=outputs)).outline()
    try:
        found = onnx.shape_inference.infer_shapes(outline, data_prop=True).graph
    except Exception as error:  # onnx raises what its C++ throws
        raise ConversionError(f"{graph.source}: its shapes contradict each other: {error}") from error
    values = {info.name: _value(info) for group in (found.value_info, found.output, found.input) for info in group}
    values |= {name: Value(name, array.dtype, array.shape) for name, array in graph.initializers.items()}
    values |= {value.name: value for value in graph.inputs}
    return replace(graph, values=values, outputs=tuple(values[value.name] for value in graph.outputs))


def _node(node: Node, graph: Graph) -> NodeProto:
    for _ in node.subgraphs():
        raise ConversionError(
            f"{graph.source}: {node}: OpenCV runs no control flow",
            hint="export the model with a fixed size, so that the branch is known and the loop can be unrolled",
        )
    return helper.make_node(node.op, node.inputs, node.outputs, name=node.name, **_attributes(node.attributes))


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()}  # fmt: skip


def _info(value: Value) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype) if value.dtype is not None else TensorProto.UNDEFINED
    return helper.make_tensor_value_info(value.name, kind, None if value.shape is None else list(value.shape))


def _value(info: ValueInfoProto) -> Value:
    kind = info.type.tensor_type
    if not kind.elem_type:
        return Value(info.name)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return Value(info.name, dtype, tuple(_sizes(kind)) if kind.HasField("shape") else None)


def _sizes(kind: Any) -> Iterator[Dimension]:
    for size in kind.shape.dim:
        yield size.dim_value if size.HasField("dim_value") else size.dim_param or None
