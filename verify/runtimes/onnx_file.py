"""An ONNX file with every inner tensor as an output, so that a runtime shows them."""

from __future__ import annotations

from pathlib import Path

import onnx

FLOATS = ("float16", "float32", "float64")


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
