"""What runtimes of ONNX files share: weights only from the model's own folder; every inner tensor as an output."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import onnx

from zoo.base.inside import open_inside

FLOATS = ("float16", "float32", "float64")


def refuse_outside(path: Path, model: onnx.ModelProto) -> None:
    """Raise ValueError or OSError where weights lie in a file outside the model's folder: OpenCV would read them, and
    ONNX Runtime those behind a hard link."""
    constants = [one for function in model.functions for node in function.node for one in _attributes(node)]
    for tensor in (*_tensors(model.graph), *constants):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
            os.close(open_inside(path.parent, "".join(locations), itself=path))


def names_others(path: Path) -> bool:
    """Whether an ONNX file may have weights in other files, seen without parsing those that it has."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"location") >= 0


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _attributes(node)


def _attributes(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
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
