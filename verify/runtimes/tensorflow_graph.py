"""The graph inside a TensorFlow model: opens frozen graphs, and cuts a graph where a value goes in or comes out.

Used to run a frozen graph, to move a picture by less than a level behind the graph's own cast to float, and to look at
inner tensors.
Runs nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Results of the Object Detection API, by which its frozen graphs name their outputs.
RESULTS = ("detection_", "num_detections", "raw_detection_")
ENDS = ("Assert", "NoOp", "Const")  # nodes that nobody uses and that give nothing
SHAPES = ("Shape", "Size", "Rank")
SCORING = ("Softmax", "Sigmoid")
PICTURE_AXES = 4
LIST_AXES = (2, 3)
SPATIAL = ((1, 2), (2, 3))  # of pictures [N, H, W, C] and [N, C, H, W]

Function = Callable[..., Sequence[Any]]


@dataclass(frozen=True)
class Mean:
    """A mean in a graph: its tensors, the sorted axes (none where they are not fixed), and whether these stay."""

    source: Any
    result: Any
    axes: tuple[int, ...]
    keeps: bool


@dataclass(frozen=True)
class OpenedGraph:
    """A graph with its weights inside. `inputs` and `outputs` are tensors by name; `wrapped` can be cut (pruned)."""

    wrapped: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def between(self, given: Sequence[Any], wanted: Sequence[Any]) -> Function:
        """The function from some tensors of the graph to others."""
        function: Function = self.wrapped.prune(list(given), list(wanted))
        return function

    def first_floats(self) -> list[Any]:
        """The first float tensors that are made of the inputs, other than of their shapes: a picture of bytes after
        its cast, or after the loop over the pictures of a batch that casts and resizes each."""
        pending, seen, found = [v for v in self.inputs.values() if v.dtype.name != "float32"], set(), {}
        while pending:
            for operation in pending.pop().consumers():
                if operation.name not in seen and operation.type not in SHAPES:
                    seen.add(operation.name)
                    floats = [tensor for tensor in operation.outputs if tensor.dtype.name == "float32"]
                    found.update({tensor.name: tensor for tensor in floats})
                    pending += [tensor for tensor in operation.outputs if tensor.dtype.name != "float32"]
        looped = self._looped()
        return [v for v in found.values() if v.op.name not in looped and v.shape.rank in (None, PICTURE_AXES)]

    def crop_boxes(self) -> dict[str, Any]:
        """The boxes [K, 4] that each CropAndResize of the main graph cuts out, by the operation's name."""
        used, looped = self._reached(), self._looped()
        operations = (one for one in self.wrapped.graph.get_operations() if one.type == "CropAndResize")
        return {one.name: one.inputs[1] for one in operations if one.name in used - looped}

    def scores(self) -> dict[str, Any]:
        """What each Softmax and Sigmoid of the first stage's main graph gives as a list [.., anchors, classes], by the
        operation's name: scores, by which its suppression ranks. (Those of pictures are the activations of layers; a
        gate that is a list is among them, and moves by a bit, too.)"""
        operations = self.wrapped.graph.get_operations()
        crops = [tensor for one in operations if one.type == "CropAndResize" for tensor in one.outputs]
        first = self._reached() - self._looped() - {one.name for one in _following(crops, ())}
        found = {one.name: one.outputs[0] for one in operations if one.type in SCORING and one.name in first}
        return {name: tensor for name, tensor in found.items() if tensor.shape.rank in LIST_AXES}

    def means(self) -> dict[str, Mean]:
        """The means over the height and width of pictures in the main graph, by the operation's name."""
        used, looped = self._reached(), self._looped()
        operations = (one for one in self.wrapped.graph.get_operations() if one.type == "Mean")
        found = {one.name: _mean(one) for one in operations if one.name in used - looped}
        return {name: mean for name, mean in found.items() if mean.axes in SPATIAL}

    def inner(self) -> list[Any]:
        """Every float tensor of the main graph that depends on an input, in order of execution; those inside of
        loops have no single value and are left out."""
        used, looped = self._reached(), self._looped()
        return [
            operation.outputs[0]
            for operation in self.wrapped.graph.get_operations()
            if operation.outputs
            and operation.outputs[0].dtype.name == "float32"
            and operation.name in used
            and operation.name not in looped
        ]

    def _reached(self) -> set[str]:
        """Operations between the inputs and the outputs."""
        return {operation.name for operation in _following(self.inputs.values(), ())} & {
            operation.name for operation in _leading_to(self.outputs.values())
        }

    def _looped(self) -> set[str]:
        """Operations of the loops of TensorFlow 1: between Enter and Exit."""
        enters = [o.outputs[0] for o in self.wrapped.graph.get_operations() if o.type in ("Enter", "RefEnter")]
        return {operation.name for operation in _following(enters, ("Exit", "RefExit"))} | {
            tensor.op.name for tensor in enters
        }


def open_frozen(tf: Any, path: Path) -> OpenedGraph:
    """A frozen graph (.pb): its placeholders are the inputs, what the Object Detection API calls its results the
    outputs; in other graphs what nobody uses."""
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    graph = wrapped.graph
    names = [node.name for node in definition.node if node.name.startswith(RESULTS) and "/" not in node.name]
    if not names:
        used = {name.lstrip("^").partition(":")[0] for node in definition.node for name in node.input}
        names = [node.name for node in definition.node if node.name not in used and node.op not in ENDS]
    outputs = {name: graph.get_tensor_by_name(f"{name}:0") for name in sorted(names)}
    needed = {operation.name for operation in _leading_to(outputs.values())}
    inputs = {
        node.name: graph.get_tensor_by_name(f"{node.name}:0")
        for node in definition.node
        if node.op == "Placeholder" and node.name in needed
    }
    return OpenedGraph(wrapped, inputs, outputs)


def opened(signature: Any) -> OpenedGraph:
    """A SavedModel's signature, its variables made constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
    names = list(signature.structured_input_signature[1])
    by_node = {tensor.op.name: tensor for tensor in frozen.inputs}
    inputs = {name: by_node.get(name, frozen.inputs[place]) for place, name in enumerate(names)}
    return OpenedGraph(frozen, inputs, dict(zip(sorted(signature.structured_outputs), frozen.outputs, strict=True)))


def _mean(operation: Any) -> Mean:
    from tensorflow import get_static_value

    source, axes = operation.inputs
    known = get_static_value(axes)
    rank = source.shape.rank or PICTURE_AXES
    places = () if known is None else tuple(sorted(int(axis) % rank for axis in known.reshape(-1)))
    return Mean(source, operation.outputs[0], places, operation.get_attr("keep_dims"))


def _following(tensors: Any, until: Sequence[str]) -> Iterator[Any]:
    """Operations that depend on some tensors, not going on behind those of the types `until`."""
    pending, seen = list(tensors), set()
    while pending:
        for operation in pending.pop().consumers():
            if operation.name not in seen:
                seen.add(operation.name)
                yield operation
                pending += operation.outputs if operation.type not in until else ()


def _leading_to(tensors: Any) -> Iterator[Any]:
    """Operations that some tensors depend on, their own included."""
    pending, seen = [tensor.op for tensor in tensors], set()
    while pending:
        operation = pending.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            yield operation
            pending += [tensor.op for tensor in operation.inputs]
