"""Joins the translated parts and the rewritten operators to one ONNX model with the names of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from zoo.base.artifact import TensorSpec
from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.evaluate import Suppression
from zoo.convert.from_tensorflow.operators import Cut, Translated
from zoo.convert.onnx_graph.build import GraphBuilder, Model, plain_chunks
from zoo.convert.onnx_graph.rewrite.batched_nms import Field, NmsInputs, NmsParameters, batched_nms
from zoo.convert.onnx_graph.rewrite.crop_and_resize import crop_and_resize
from zoo.convert.onnx_graph.rewrite.layout import settled_layout
from zoo.convert.onnx_graph.rewrite.pixels import Pixels, pixels_of
from zoo.convert.onnx_graph.rewrite.tf_reshape import tf_reshape
from zoo.convert.onnx_graph.rewrite.tf_resize import ResizeRule, tf_nearest, tf_resize, tf_resize_features
from zoo.convert.onnx_graph.rewrite.tf_sigmoid import tf_sigmoid
from zoo.convert.onnx_graph.rewrite.tidy import reading, tidied

BIG = 1024  # elements: larger float weights are written as they lie
COLOURS = 4  # channels that a picture may have; what has more are features


def assemble(
    translated: Translated,
    suppressions: Sequence[Suppression],
    inputs: Mapping[str, TensorSpec],
    outputs: Mapping[str, TensorSpec],
    name: str,
) -> Model:
    """One model. `inputs` and `outputs` map references of the TensorFlow graph to what they are called and are."""
    builder = GraphBuilder(name)
    graph = translated.model.graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    renamed = _weights(builder, graph, arrays)
    renamed |= {ref: spec.name for ref, spec in inputs.items()}
    for suppression in suppressions:
        results = _suppress(builder, suppression)
        renamed |= {tensor.name: results[kind] for kind, tensor in suppression.outputs.items()}
    small = {name: array for name, array in arrays.items() if array.size <= BIG}
    pixels = _pixels(translated, small, inputs)
    for cut in translated.cuts:
        renamed[f"{cut.name}:0"] = _replace(builder, cut, pixels)
    tidy = tidied(graph.node, _shapes(translated.model), small, builder)
    of_shapes = renamed | {name: found.picture for found in pixels.values() for name in found.between}
    nodes = [reading(node, of_shapes if node.op_type == "Shape" else renamed) for node in (*tidy, *builder.nodes)]
    for ref, spec in outputs.items():
        nodes.append(helper.make_node("Identity", [renamed.get(ref, ref)], [spec.name], name=spec.name))
    nodes = settled_layout(nodes, {renamed[name]: array for name, array in small.items()}, builder)
    builder.nodes = _sorted(nodes, {spec.name for spec in inputs.values()})
    builder.inputs = [_value_info(spec) for spec in inputs.values()]
    builder.outputs = [_value_info(spec) for spec in outputs.values()]
    return builder.model({})


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), [None if d == "?" else d for d in spec.shape]
    )


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """The static shapes of a model's values, weights included; None for a size that is not known."""
    outline = _without_weights(model)
    inferred = onnx.shape_inference.infer_shapes(outline).graph
    shapes: dict[str, tuple[int | None, ...]] = {
        info.name: tuple(size.dim_value or None for size in info.type.tensor_type.shape.dim)
        for info in (*inferred.value_info, *inferred.input, *inferred.output)
        if info.type.tensor_type.HasField("shape")
    }
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights as inputs: ONNX's inference would copy them."""
    graph = model.graph
    weights = [tensor for tensor in graph.initializer if np.prod(tensor.dims) > BIG]
    infos = [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in weights]
    large = {tensor.name for tensor in weights}
    small = [tensor for tensor in graph.initializer if tensor.name not in large]
    outline = helper.make_graph(graph.node, graph.name, [*graph.input, *infos], graph.output, small)
    return helper.make_model(outline, opset_imports=model.opset_import, ir_version=model.ir_version)


def _weights(builder: GraphBuilder, graph: onnx.GraphProto, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What the constants are called, in the order and by the names of the nodes that take them: tf2onnx gives constants
    another order and other numbers each time."""
    renamed: dict[str, str] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in arrays and name not in renamed:
                renamed[name] = _stored(builder, f"{node.name}/constant{position}", arrays[name])
    return renamed | {key: _stored(builder, key, array) for key, array in arrays.items() if key not in renamed}


def _stored(builder: GraphBuilder, name: str, array: np.ndarray) -> str:
    if array.dtype == np.float32 and array.size > BIG:
        return builder.blob(name, array.shape, plain_chunks(array))
    return builder.constant(array, array.dtype.type)


def _suppress(builder: GraphBuilder, suppression: Suppression) -> Mapping[str, str]:
    stage = suppression.stage
    boxes = suppression.boxes.name
    if suppression.boxes.shape.rank == 4 and not stage.boxes.by_class:
        boxes = builder.op("Squeeze", boxes, builder.integers(2), hint="nms/boxes")
    rows = suppression.boxes.shape[1]
    window, valid = (tensor.name if tensor is not None else "" for tensor in (suppression.window, suppression.valid))
    parameters = NmsParameters(
        stage.classes,
        stage.iou_threshold,
        stage.score_threshold,
        stage.limit_per_class,
        stage.limit,
        stage.boxes.by_class,
        stage.clips,
        stage.changes_frame,
    )
    fields = tuple(
        Field(tensor.name, tensor.shape.rank, table.by_class, tensor.dtype.is_floating)
        for table, tensor in zip(stage.fields, suppression.fields, strict=True)
    )
    return batched_nms(builder, NmsInputs(boxes, suppression.scores.name, window, valid, rows), parameters, fields)


def _pixels(
    translated: Translated, constants: Mapping[str, np.ndarray], inputs: Mapping[str, TensorSpec]
) -> dict[str, Pixels]:
    """By its name what each resize takes."""
    makers = {name: node for node in translated.model.graph.node for name in node.output}
    bytes_in = {ref for ref, spec in inputs.items() if spec.dtype == "uint8"}
    resized = (cut.inputs[0] for cut in translated.cuts if cut.op == "ResizeBilinear")
    return {name: pixels_of(name, makers, constants, bytes_in) for name in resized if isinstance(name, str)}


def _replace(builder: GraphBuilder, cut: Cut, pixels: Mapping[str, Pixels]) -> str:
    names = [value if isinstance(value, str) else "" for value in cut.inputs]
    if cut.op == "EnsureShape":
        return names[0]
    if cut.op == "Sigmoid":
        return tf_sigmoid(builder, names[0])
    if cut.op == "Reshape":
        return tf_reshape(builder, names[0], names[1])
    sizes = [None if isinstance(value, str) else value for value in cut.inputs]
    size = None if sizes[-1] is None else (int(sizes[-1][0]), int(sizes[-1][1]))
    rule = ResizeRule(bool(cut.attributes.get("align_corners")), bool(cut.attributes.get("half_pixel_centers")))
    if cut.op == "ResizeBilinear" and (cut.channels or 0) > COLOURS:
        return tf_resize_features(builder, names[0], size or names[1], rule)
    if cut.op == "ResizeBilinear":
        return tf_resize(builder, pixels.get(names[0]) or Pixels(names[0]), size or names[1], rule)
    if cut.op == "ResizeNearestNeighbor":
        return tf_nearest(builder, names[0], size or names[1], rule)
    if size is None or cut.attributes.get("method", b"bilinear") != b"bilinear":
        raise ConversionError(f"{cut.op} {cut.name!r}: only bilinear crops of a fixed size can be converted")
    index = names[2] or builder.constant(sizes[2], np.int32)
    outside = float(cut.attributes.get("extrapolation_value", 0.0))
    return crop_and_resize(builder, names[0], names[1], index, size, outside)


def _sorted(nodes: Sequence[NodeProto], given: set[str]) -> list[NodeProto]:
    """The nodes in an order in which they can run: depth first, so that what belongs together stays together."""
    maker = {name: position for position, node in enumerate(nodes) for name in node.output if name}
    done: set[int] = set()
    ordered: list[NodeProto] = []
    for root in range(len(nodes)):
        pending = [root]
        while pending:
            position = pending[-1]
            waiting = [maker[name] for name in nodes[position].input if name in maker and maker[name] not in done]
            if position in done or not waiting:
                pending.pop()
                if position not in done:
                    done.add(position)
                    ordered.append(nodes[position])
            else:
                pending += waiting[::-1]
    return ordered
