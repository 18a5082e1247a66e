"""An ONNX graph as a `tf.Module`: weights are variables named after their layers, the call is one TensorFlow function.
Where asked for they are constants of the function instead, which TensorFlow computes with faster.

The graph is walked once, while the function is traced: each node's entry in the operator table adds its TensorFlow
operators. What is known then (constants, fixed sizes) is computed then. Nothing is written to disk here.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from zoo.base.errors import ConversionError, UsageError
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.graph import Graph, Node, Value
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.layout import Laid, channels_last, logical, plain
from zoo.convert.to_tensorflow.operators import (
    activation,
    arithmetic,
    control_flow,
    convolution,
    detection,
    indexing,
    linear,
    pooling,
    recurrent,
    reduction,
    resize,
    shape,
)
from zoo.convert.to_tensorflow.operators.sizes import computed
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_tensor, entry_of

KINDS = (
    activation,
    arithmetic,
    control_flow,
    convolution,
    detection,
    indexing,
    linear,
    pooling,
    recurrent,
    reduction,
    resize,
    shape,
)
LAYOUTS = ("nchw", "nhwc")
BIG_CONSTANT = 1 << 16  # bytes; larger constants become variables: a SavedModel's graph must stay under 2 GB
MOST_CONSTANTS = 2_000_000_000  # bytes of weights in a graph, which with the rest of it must stay under 2 GiB
# Operators that take pictures, and element-wise ones that a picture may pass on its way there.
PICTURE_OPERATORS = {"Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Upsample", "BatchNormalization"}
PASSING = {"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Pad", "Slice", "Sub"}


def module_from_onnx(model: onnx.ModelProto, *, layout: str = "nchw", constants: bool = False) -> tf.Module:
    """The module for an ONNX model: call it with the inputs in graph order for a tuple of the outputs in graph order.

    With `layout="nhwc"` picture inputs are N, H, W, C instead of N, C, H, W. Outputs keep ONNX's order of axes. With
    `constants` the weights are constants of the function, not variables. Raises ConversionError where the model is
    damaged or holds an operator without an entry in the table.
    """
    return module_of(graph_of(model), layout, constants)


def module_of(graph: Graph, layout: str, constants: bool = False) -> GraphModule:
    """The module for a checked graph; see `module_from_onnx`."""
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout!r} does not exist", hint=f"one of: {', '.join(LAYOUTS)}")
    refuse_unknown(graph)
    graph = simplified(graph)
    size = sum(array.nbytes for array in graph.initializers.values()) if constants else 0
    if size > MOST_CONSTANTS:
        raise ConversionError(
            f"{graph.source}: {size:,} bytes of weights, more than the {MOST_CONSTANTS:,} that a graph can hold",
            hint="keep them as variables (leave --constants out)",
        )
    pictures = picture_inputs(graph) if layout == "nhwc" else set()
    with quietly():
        return GraphModule(graph, pictures, constants)


def refuse_unknown(graph: Graph) -> None:
    """Raise ConversionError that names the first nodes without an entry in the operator table."""
    unknown = [node for node in _all_nodes(graph) if entry_of(node.op, graph.opset) is None]
    if unknown:
        nodes = ", ".join(map(str, unknown[:3]))
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ConversionError(
            f"{graph.source}: TensorFlow conversion knows no operator for {nodes}{more} in opset {graph.opset}",
            hint="rewrite these nodes with other operators, or convert to a runtime that has them (--to onnx)",
        )


def _all_nodes(graph: Graph) -> Iterable[Node]:
    for node in graph.nodes:
        yield node
        for body in node.subgraphs():
            yield from _all_nodes(body)


def picture_inputs(graph: Graph) -> set[str]:
    """The inputs that reach a convolution, a pooling or a resize as N, C, H, W, at most through element-wise nodes."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        readers.setdefault(node.input(0), []).append(node)

    def is_picture(name: str) -> bool:
        pending = [name]
        while pending:
            for node in readers.get(pending.pop(), []):
                if node.op in PICTURE_OPERATORS:
                    return True
                pending += node.outputs[:1] if node.op in PASSING else ()
        return False

    return {value.name for value in graph.inputs if value.rank == 4 and is_picture(value.name)}


class GraphModule(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A converted graph. Call it with the graph's inputs in order; it gives a tuple of the outputs in order.

    `weights` holds the variables by name, none where they are constants; `concrete` is the traced function.
    """

    def __init__(self, graph: Graph, pictures: set[str], constants: bool) -> None:
        super().__init__(name="converted")
        writer = _Writer(graph, pictures, constants)
        self.specs = tuple(_spec(value, value.name in pictures, graph) for value in graph.inputs)
        # Not tf.function: it would walk the graph a second time, to be sure that no variable is made in each call.
        self.concrete = tf.compat.v1.wrap_function(writer.write, self.specs)
        self.weights = writer.weights

    def __call__(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        if len(inputs) != len(self.specs):
            raise UsageError(f"the model takes {len(self.specs)} inputs, got {len(inputs)}")
        tensors = (tf.convert_to_tensor(x, spec.dtype) for x, spec in zip(inputs, self.specs, strict=True))
        return tuple(self.concrete(*tensors))


def _spec(value: Value, is_picture: bool, graph: Graph) -> tf.TensorSpec:
    if value.dtype is None or value.shape is None:
        raise ConversionError(
            f"{graph.source}: input {value.name!r} has no known type and number of axes",
            hint="export the model with typed inputs; only tensors can be inputs",
        )
    sizes = [size if isinstance(size, int) else None for size in value.shape]
    return tf.TensorSpec([sizes[axis] for axis in (0, 2, 3, 1)] if is_picture else sizes, value.dtype)


class _Writer:
    """Writes a graph into the TensorFlow function that is being traced, and makes its variables or constants."""

    def __init__(self, graph: Graph, pictures: set[str], constants: bool) -> None:
        self.weights: dict[str, tf.Variable] = {}
        self._constants = constants
        self._graph = graph
        self._pictures = pictures
        self._made: dict[tuple[Any, ...], tuple[np.ndarray, Any]] = {}  # the array keeps its id taken

    def write(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        values = [
            Laid(tensor, channels_last(4)) if value.name in self._pictures else plain(tensor)
            for value, tensor in zip(self._graph.inputs, inputs, strict=True)
        ]
        return tuple(self._run(self._graph, values, {}))

    def body(self, graph: Graph, inputs: Sequence[tf.Tensor], scope: Mapping[str, Any]) -> list[tf.Tensor]:
        return self._run(graph, [plain(tensor) for tensor in inputs], scope)

    def weight(
        self, array: np.ndarray, owner: str, role: str, axes: Sequence[int] | None, trainable: bool
    ) -> tf.Variable | tf.Tensor:
        place = tf.compat.v1.get_default_graph() if self._constants else None  # a constant belongs to one graph
        key = (id(array), None if axes is None else tuple(axes), place)
        if key not in self._made:
            initial = array if axes is None else array.transpose(axes)
            made = tf.constant(initial) if self._constants else self._variable(initial, trainable, owner, role)
            self._made[key] = (array, made)
        return self._made[key][1]

    def _variable(self, initial: np.ndarray, trainable: bool, owner: str, role: str) -> tf.Variable:
        name = _free_name(f"{owner}/{role}", self.weights)
        with tf.init_scope():
            self.weights[name] = tf.Variable(initial, trainable=trainable, name=name)
        return self.weights[name]

    def _run(self, graph: Graph, inputs: Sequence[Laid], outer: Mapping[str, Any]) -> list[tf.Tensor]:
        scope: ChainMap[str, Any] = ChainMap({}, outer)  # type: ignore[arg-type]  # outer is only read
        scope.update(graph.initializers)
        scope.update(zip((value.name for value in graph.inputs), inputs, strict=True))
        for node in graph.nodes:
            given = tuple(scope[name] if name else None for name in node.inputs)
            results = self._checked(Call(node, graph, given, self, scope))
            for name, result in zip(node.outputs, results, strict=False):
                if name:
                    scope[name] = result
        return [self._output(scope[value.name], value) for value in graph.outputs]

    def _checked(self, call: Call) -> tuple[Input, ...]:
        try:
            return self._results(call)
        except (ValueError, TypeError, LookupError, ArithmeticError, tf.errors.OpError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise call.error(
                f"TensorFlow cannot express it: {reason}", "the node's attributes and shapes may be wrong"
            ) from error

    def _results(self, call: Call) -> tuple[Input, ...]:
        folded = computed(call)
        if folded is not None:
            return (folded,)
        entry = entry_of(call.node.op, call.opset)
        assert entry is not None, "refuse_unknown has looked"
        given = [value for value in call.inputs if value is not None]
        known = all(isinstance(value, np.ndarray) and value.dtype != object for value in given)
        if given and known and not any(call.node.subgraphs()):
            with tf.init_scope():
                return tuple(map(_as_array, entry.run(call)))
        return entry.run(call)

    def _output(self, value: Input, declared: Value) -> tf.Tensor:
        if isinstance(value, np.ndarray) and value.nbytes > BIG_CONSTANT and value.dtype != object:
            return tf.identity(self.weight(value, declared.name, "constant", None, trainable=False))
        return as_tensor(value)


def _as_array(value: Input) -> Input:
    return np.asarray(logical(value).numpy()) if isinstance(value, Laid) else value


def _free_name(name: str, taken: Iterable[str]) -> str:
    """A name that TensorFlow accepts and that nobody has: names in an ONNX file may be anything."""
    base = re.sub(r"[^A-Za-z0-9_./-]|(?<![A-Za-z0-9_])\.\.?(?![A-Za-z0-9_])", "_", name)[:200]
    base = re.sub(r"^[^A-Za-z0-9.]+", "", base) or "weight"
    number = 1
    while (free := base if number == 1 else f"{base}_{number}") in taken:
        number += 1
    return free
