"""What runtimes of ONNX files share: weights only from the model's own folder; every inner tensor as an output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnx

from zoo.base.inside import open_inside

FLOATS = ("float16", "float32", "float64")


def refuse_outside(model: Path, graph: onnx.GraphProto) -> None:
    """Raise ValueError or OSError where weights lie in a file outside the model's folder, which OpenCV would read."""
    for tensor in _tensors(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
            os.close(open_inside(model.parent, "".join(locations), itself=model))


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def expose(model: Path, to: Path) -> dict[str, str]:
    """Write the file; returns tensor → the name of the node that gives it, in order of execution: the float tensors
    of the main graph. Weights in other files are read and written anew."""
    content = onnx.load(model)
    graph = onnx.shape_inference.infer_shapes(content).graph
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    nodes = {
        tensor: (node.name or tensor) if place == 0 else f"{node.name or tensor}:{place}"
        for node in content.graph.node
        if node.op_type != "Constant"
        for place, tensor in enumerate(node.output)
        if tensor in known and _is_float(known[tensor].type.tensor_type.elem_type)
    }
    given = {output.name for output in content.graph.output}
    content.graph.output.extend(known[name] for name in nodes if name not in given)
    onnx.save(content, to)
    return nodes


def _is_float(kind: int) -> bool:
    return bool(kind) and onnx.helper.tensor_dtype_to_np_dtype(kind).name in FLOATS
