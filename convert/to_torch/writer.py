"""Walks an ONNX graph and writes the program: every value becomes a variable, plain Python numbers, or a constant."""

from __future__ import annotations

import math
from collections import ChainMap
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph, Node, Value
from zoo.convert.to_torch import operators  # noqa: F401  (importing it fills the table)
from zoo.convert.to_torch.activations import tidy_activations
from zoo.convert.to_torch.code import VARIABLE, Code, call, code, dtype_code
from zoo.convert.to_torch.host import on_host
from zoo.convert.to_torch.layer_names import layer_hints
from zoo.convert.to_torch.naming import Identifiers, drop_unused, node_hint
from zoo.convert.to_torch.program import Program
from zoo.convert.to_torch.sizes import ATOM, Sym, to_float
from zoo.convert.to_torch.table import entry_for, since_version
from zoo.convert.to_torch.use import Held, Host, Items, Several, Use

# What a constant of an operator is called after the operator's name.
CONSTANT_ROLES = {"Add": "offset", "Sub": "offset", "Mul": "scale", "Div": "divisor", "Gather": "index"}

MAX_EXPRESSION = 40  # characters of a size that is written where it is used


def write_program(graph: Graph) -> Program:
    """The program that computes `graph`. Raises ConversionError where an operator cannot be written."""
    refuse_unknown(graph)
    return Writer(graph).write()


def refuse_unknown(graph: Graph) -> None:
    """Raise ConversionError for the first node, bodies included, that no entry of the table speaks for."""
    for node in graph.nodes:
        if node.op not in ("Shape", "Size"):
            entry_for(node, graph.opset, graph.source)
        for body in node.subgraphs():
            refuse_unknown(body)


class Writer:
    """Holds what each ONNX value has become. One writer writes one model, bodies of control flow included."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.program = Program()
        self._held: ChainMap[str, Held] = ChainMap()
        self._values: ChainMap[str, Value] = ChainMap()
        self._layer_hints = layer_hints(graph)
        self._layer_names = Identifiers.for_layers()
        self._shared: dict[tuple[Code, tuple[str, ...]], Code] = {}
        self._buffers: dict[int, Code] = {}  # by the id of the array
        self._constants: list[np.ndarray] = []  # keeps those ids from being given out again

    def write(self) -> Program:
        for value in self.graph.inputs:
            variable = self.program.variable(value.name)
            self.program.inputs.append(variable)
            self.hold(value.name, variable if value.dtype is not None else Items(variable))
        outputs = self.body(self.graph)
        self.program.outputs = [
            self.as_tensor(held, value.name) for held, value in zip(outputs, self.graph.outputs, strict=True)
        ]
        for code_of, value in zip(self.program.outputs, self.graph.outputs, strict=True):
            if code_of in self.program.hints and code_of not in self.program.inputs:
                self.program.hints[code_of] = value.name
        drop_unused(self.program)
        tidy_activations(self.program)
        return self.program

    def body(self, graph: Graph) -> list[Held]:
        """Write the nodes of `graph`, whose inputs are held already; returns what its outputs have become."""
        self._held = self._held.new_child(dict(graph.initializers))
        self._values = self._values.new_child(dict(graph.values))
        for node in graph.nodes:
            self._write_node(node)
        outputs = [self.held(value.name) for value in graph.outputs]
        self._held, self._values = self._held.parents, self._values.parents
        return outputs

    def _write_node(self, node: Node) -> None:
        use = Use(self, node, since_version(node.op, self.graph.opset) or 0)
        result: Any = on_host(use)
        if result is None:
            result = entry_for(node, self.graph.opset, self.graph.source).handler(use)
        if isinstance(result, Several):
            result = self._unpacked(node, result)
        results = result if isinstance(result, tuple) else (result,)
        for name, item in zip(node.outputs, results, strict=False):
            if name:
                self.hold(name, self._named(self._hint(node, name), item))

    def _unpacked(self, node: Node, result: Several) -> tuple[Code, ...]:
        if result.count == 1:
            return (code("{}[0]", result.code),)
        names = (*node.outputs, *("",) * result.count)[: result.count]
        variables = tuple(self.program.variable(name or "unused") for name in names)
        self.program.store(variables, result.code)
        return variables

    def _named(self, hint: str, item: Any) -> Any:
        """An expression gets a variable; what has a name, or is no expression, stays what it is."""
        if isinstance(item, Code) and not VARIABLE.fullmatch(item):
            return self.program.assign(hint, item)
        if isinstance(item, Host):
            return self._short(hint, item)
        if isinstance(item, Items) and not VARIABLE.fullmatch(item.code):
            return Items(self.program.assign(hint, item.code))
        return item

    def _short(self, hint: str, host: Host) -> Host:
        """Sizes whose expressions are long get variables."""
        elements = [
            self._named_size(hint, item) if isinstance(item, Sym) and len(item.code) > MAX_EXPRESSION else item
            for item in host.elements.reshape(-1)
        ]
        return replace(host, elements=np.array([*elements, None], object)[:-1].reshape(host.elements.shape))

    def _named_size(self, hint: str, size: Sym) -> Sym:
        if size.as_int is not None and size.is_float:
            whole: Sym = to_float(self._named_size(hint, size.as_int))
            return whole
        as_int = None if size.as_int is None else self._named_size(hint, size.as_int)
        return Sym(self.program.assign(hint, size.code), ATOM, size.positive, size.is_float, as_int)

    def _hint(self, node: Node, output: str) -> str:
        is_result = any(value.name == output for value in self.graph.outputs)
        return output if is_result else node_hint(node)

    # --- what a value has become

    def hold(self, name: str, held: Held) -> None:
        self._held[name] = held

    def held(self, name: str) -> Held:
        return self._held[name]

    def value(self, name: str) -> Value:
        return self._values.get(name) or Value(name)

    def tensor(self, name: str, use: Use) -> Code:
        held = self.held(name)
        if isinstance(held, Items):
            use.refuse(f"its input {name!r} is a sequence, not a tensor")
        if isinstance(held, np.ndarray):
            return self._buffer(held, f"{node_hint(use.node)}_{CONSTANT_ROLES.get(use.node.op, 'constant')}")
        return self.as_tensor(held, name)

    def as_tensor(self, held: Held, name: str) -> Code:
        """A held value as an expression: a tensor, or a list of tensors for a sequence."""
        if isinstance(held, Code):
            return held
        if isinstance(held, Items):
            return held.code
        if isinstance(held, Host):
            return self._made_tensor(held, name)
        return self._buffer(held, name)

    def host(self, name: str, use: Use) -> np.ndarray:
        """The elements of a value as numbers and Syms. A tensor is read back into Python numbers."""
        held = self.held(name)
        if isinstance(held, Host):
            return held.elements
        if isinstance(held, np.ndarray):
            return held.astype(object)
        if isinstance(held, Items) or not self.has_known_size(name):
            use.refuse(f"its input {name!r} must have a known number of elements")
        return self._read_back(held, name, self.value(name))

    def has_known_size(self, name: str) -> bool:
        shape = self.value(name).shape
        return shape is not None and all(isinstance(size, int) for size in shape)

    def _read_back(self, tensor: Code, name: str, known: Value) -> np.ndarray:
        """Variables for the elements of a tensor, which the program reads back as Python numbers."""
        sizes = [size for size in known.shape or () if isinstance(size, int)]
        count = math.prod(sizes)
        is_float = known.dtype is not None and known.dtype.kind == "f"
        variables = tuple(self.program.variable(name) for _ in range(count))
        if count == 1:
            self.program.store(variables, code("{}.item()", tensor))
        elif count:
            flat = tensor if known.rank == 1 else call(f"{tensor}.reshape", -1)
            self.program.store(variables, code("{}.tolist()", flat))
        elements = np.array([Sym(variable, is_float=is_float) for variable in variables], object)
        return elements.reshape(sizes)

    def _made_tensor(self, host: Host, name: str) -> Code:
        elements = host.elements.reshape(-1).tolist()
        if not any(isinstance(element, Sym) for element in elements):
            return self._buffer(host.elements.astype(host.dtype), name)
        nested = host.elements.tolist() if host.elements.ndim else elements[0]
        kind = self.program.float_dtype() if host.dtype == np.float32 else dtype_code(host.dtype)
        return call("torch.tensor", nested, dtype=kind, device=self.program.device())

    def _buffer(self, array: np.ndarray, name: str) -> Code:
        """A constant as a buffer of the module; the same array is the same buffer."""
        if id(array) not in self._buffers:
            try:
                buffer = self.program.buffer(self._layer_names.new(name), array)
            except KeyError:
                raise ConversionError(
                    f"{self.graph.source}: the constant {name!r} is of {array.dtype}, which PyTorch has no tensors of",
                    hint="export the model with ordinary numbers",
                ) from None
            self._buffers[id(array)] = buffer
            self._constants.append(array)
        return self._buffers[id(array)]

    # --- layers

    def layer(self, node: Node, constructor: Code, names: tuple[str, ...], weights: dict[str, np.ndarray]) -> Code:
        """A layer named after `node`; the same constructor on the same constants is the same layer."""
        key = (constructor, names)
        if not weights or key not in self._shared:
            name = self._layer_names.new(self._layer_hints.get(node.outputs[0], node_hint(node)))
            self._shared[key] = self.program.layer(name, constructor, weights)
        return self._shared[key]
