"""The one operator table: ONNX operator and opset range → a small function that speaks TensorFlow.

An entry's function takes the `Call` and its inputs; how the inputs reach it, and how its results go back, is said
where it is registered:

- `operator`: inputs are tensors with their axes in ONNX order, so are the results;
- `elementwise`: inputs are brought to one order of axes, results keep it;
- `picture`: input 0 comes as N, spatial…, C and result 0 goes back so; other inputs are `Laid` or constants;
- `by_axis`: inputs are `Laid` values, the function maps ONNX axes itself and returns `Laid` values.

An input that is left out is None. The kinds in the files beside this one register themselves on import.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import Laid, aligned, channels_last, in_order, logical, plain

NEWEST = 1 << 16  # an entry without `until` speaks for all later opsets
Input = Laid | np.ndarray | None  # an array is known while converting; of dtype object, it holds sizes (see sizes.py)
Function = Callable[..., Any]
Register = Callable[[Function], Function]


class Builder(Protocol):
    """What a call may ask of the module that is being built."""

    def weight(self, array: np.ndarray, owner: str, role: str, axes: Sequence[int] | None, trainable: bool) -> Any:
        """The variable or constant for `array` with its axes in the order `axes`; made once."""

    def body(self, graph: Graph, inputs: Sequence[tf.Tensor], scope: Mapping[str, Any]) -> list[tf.Tensor]:
        """Run the body of a control-flow node, which sees the values in `scope`."""


@dataclass(frozen=True)
class Call:
    """One node while it is being written in TensorFlow."""

    node: Node
    graph: Graph
    inputs: tuple[Input, ...]
    builder: Builder
    scope: Mapping[str, Any]

    @property
    def opset(self) -> int:
        return self.graph.opset

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def input(self, position: int) -> Input:
        return self.inputs[position] if position < len(self.inputs) else None

    def has(self, position: int) -> bool:
        return self.input(position) is not None

    def has_output(self, position: int) -> bool:
        return position < len(self.node.outputs) and bool(self.node.outputs[position])

    def tensor(self, position: int) -> tf.Tensor:
        """An input in ONNX order; None where it is left out."""
        return as_tensor(self.input(position))

    def constant(self, position: int, what: str) -> np.ndarray | None:
        """An input whose value is known while converting; None where it is left out."""
        value = self.input(position)
        if value is None or (isinstance(value, np.ndarray) and value.dtype != object):
            return value
        raise self.error(f"{what} (input {position}) is computed while the model runs", "it must be a constant here")

    def setting(self, name: str, position: int, default: Any = None) -> Any:
        """What older opsets write as the attribute `name` and newer ones as the constant input `position`."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        value = self.constant(position, name)
        return default if value is None else value.tolist()

    def axes(self, rank: int, position: int = 1) -> list[int] | None:
        """The setting `axes`, counted from the front; None where it is left out."""
        axes = self.setting("axes", position)
        return None if axes is None else [axis % rank for axis in np.atleast_1d(axes).tolist()]

    def weight(
        self, position: int, role: str, axes: Sequence[int] | None = None, *, trainable: bool = True
    ) -> tf.Tensor:
        """An input that is a weight, with its axes reordered: one of the module's, named after the layer, where it is
        constant."""
        value = self.input(position)
        if isinstance(value, np.ndarray) and value.dtype != object:
            owner = self.node.name or next(filter(None, self.node.outputs))
            return self.builder.weight(value, owner, role, axes, trainable)
        tensor = as_tensor(value)
        return tensor if axes is None or tensor is None else tf.transpose(tensor, axes)

    def error(self, problem: str, hint: str) -> ConversionError:
        return ConversionError(f"{self.graph.source}: {self.node}: {problem}", hint=hint)


@dataclass(frozen=True)
class Operator:
    """An entry: what `name` means in the opsets `since` to `until`."""

    name: str
    since: int
    until: int
    run: Callable[[Call], tuple[Any, ...]]


TABLE: dict[str, list[Operator]] = {}


def entry_of(name: str, opset: int) -> Operator | None:
    """The entry for an operator in an opset."""
    return next((entry for entry in TABLE.get(name, ()) if entry.since <= opset <= entry.until), None)


def as_tensor(value: Input) -> tf.Tensor:
    """A value as a tensor in ONNX order; None stays None."""
    if isinstance(value, Laid):
        return logical(value)
    if value is None:
        return None
    if value.dtype == object:
        dtype = next(size.dtype for size in value.flat if tf.is_tensor(size))
        return tf.reshape(tf.stack([tf.cast(size, dtype) for size in value.flat]), value.shape)
    return tf.constant(value)


def as_laid(value: Input) -> Laid | None:
    """A value with its axes as they lie; None stays None."""
    return value if value is None or isinstance(value, Laid) else plain(as_tensor(value))


def operator(*names: str, since: int = 1, until: int = NEWEST) -> Register:
    """Register a function of tensors in ONNX order."""

    def run(function: Function, call: Call) -> tuple[Any, ...]:
        return tuple(
            result if result is None else plain(tf.convert_to_tensor(result))
            for result in _several(function(call, *map(as_tensor, call.inputs)))
        )

    return _register(names, since, until, run)


def elementwise(*names: str, since: int = 1, until: int = NEWEST) -> Register:
    """Register a function whose tensors broadcast and whose result has the broadcast shape."""

    def run(function: Function, call: Call) -> tuple[Any, ...]:
        given = [value if isinstance(value, Laid) else _array(value) for value in call.inputs if value is not None]
        tensors, order = aligned(given)
        led = any(isinstance(value, Laid) and value.rank == len(order) for value in given)
        arranged = iter([tensor if tf.is_tensor(tensor) else tf.constant(_short(tensor, led)) for tensor in tensors])
        result = function(call, *(None if value is None else next(arranged) for value in call.inputs))
        return tuple(Laid(tensor, order) for tensor in _several(result))

    return _register(names, since, until, run)


def picture(*names: str, since: int = 1, until: int = NEWEST) -> Register:
    """Register a function that takes and gives a batch of pictures (or signals, or volumes) with channels last."""

    def run(function: Function, call: Call) -> tuple[Any, ...]:
        first = as_laid(call.inputs[0])
        assert first is not None
        tensor = in_order(first, channels_last(first.rank))
        result, *others = _several(function(call, tensor, *call.inputs[1:]))
        return Laid(result, channels_last(len(result.shape))), *map(plain, others)

    return _register(names, since, until, run)


def by_axis(*names: str, since: int = 1, until: int = NEWEST) -> Register:
    """Register a function of `Laid` values that maps axes itself; constants come as arrays."""

    def run(function: Function, call: Call) -> tuple[Any, ...]:
        return _several(function(call, *call.inputs))

    return _register(names, since, until, run)


def _register(names: Sequence[str], since: int, until: int, adapter: Callable[[Function, Call], Any]) -> Register:
    def register(function: Function) -> Function:
        for name in names:
            TABLE.setdefault(name, []).append(Operator(name, since, until, functools.partial(adapter, function)))
        return function

    return register


def _several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _short(array: np.ndarray, is_led: bool) -> np.ndarray:
    """Without leading axes of size 1, where broadcasting adds them again: TensorFlow fuses only vectors as biases."""
    if not is_led:
        return array
    longer = next((axis for axis, size in enumerate(array.shape) if size != 1), array.ndim)
    return array.reshape(array.shape[longer:])


def _array(value: np.ndarray) -> np.ndarray | Laid:
    return plain(as_tensor(value)) if value.dtype == object else value
