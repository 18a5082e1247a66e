"""One use of an operator, as the functions of the operator table see it: its inputs as source, its attributes.

An input is asked for in the form that reads best: a tensor, an operand (a number where it is one), sizes (Python
integers), or the array itself where it is constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_torch.code import Code, call, code, dtype_code, literal
from zoo.convert.to_torch.sizes import ATOM, Sym, size_of

if TYPE_CHECKING:
    from zoo.convert.to_torch.writer import Writer

MAX_HOST = 64  # elements; a longer tensor is no shape


@dataclass(frozen=True)
class Host:
    """A small tensor whose elements are numbers or `Sym`s, kept as Python numbers in the program."""

    elements: np.ndarray  # of objects
    dtype: np.dtype


@dataclass(frozen=True)
class Items:
    """A sequence of tensors: a Python list in the program."""

    code: Code


@dataclass(frozen=True)
class Several:
    """A call that returns a tuple of `count` tensors, in the order of the outputs."""

    code: Code
    count: int


Held = Code | Host | Items | np.ndarray  # Code: a tensor; ndarray: a constant


@dataclass(frozen=True)
class Use:
    writer: Writer
    node: Node
    version: int

    # --- inputs

    def has(self, position: int) -> bool:
        return bool(self.node.input(position))

    def held(self, position: int) -> Held:
        return self.writer.held(self.node.input(position))

    def tensor(self, position: int) -> Code:
        """The input as a tensor."""
        return self.writer.tensor(self.node.input(position), self)

    def optional(self, position: int) -> Code | None:
        return self.tensor(position) if self.has(position) else None

    def tensors(self) -> list[Code]:
        return [self.tensor(position) for position in range(len(self.node.inputs))]

    def operand(self, position: int) -> Code:
        """The input as a number where it is one element that broadcasts like a scalar, else as a tensor."""
        number = self.number(position)
        if isinstance(number, Sym) and number.level != ATOM:
            return code("({})", number)
        return self.tensor(position) if number is None else literal(number)

    def element(self, position: int) -> Any:
        """The one element of the input as a number or Sym where it is known or a size, else the tensor."""
        held = self.held(position)
        if isinstance(held, np.ndarray):
            return held.reshape(-1)[0]
        return held.elements.reshape(-1)[0] if isinstance(held, Host) else self.tensor(position)

    def number(self, position: int) -> Any:
        """The one element of the input as a number or Sym; None where it is a tensor or has rank."""
        held = self.held(position)
        if isinstance(held, np.ndarray) and held.size == 1 and not self._widens(position, held.ndim):
            return held.reshape(())[()] if held.dtype.kind in "fiub" else None
        if isinstance(held, Host) and held.elements.size == 1 and not self._widens(position, held.elements.ndim):
            return held.elements.reshape(()).item()
        return None

    def _widens(self, position: int, rank: int) -> bool:
        """True where the number of dimensions of a one-element input decides that of the result."""
        others = [self.writer.value(name).rank for i, name in enumerate(self.node.inputs) if i != position and name]
        return rank > 0 and not any(other is not None and other >= rank for other in others)

    def constant(self, position: int) -> np.ndarray | None:
        held = self.held(position) if self.has(position) else None
        return held if isinstance(held, np.ndarray) else None

    def required(self, position: int, meaning: str) -> np.ndarray:
        """The input, which must be constant."""
        array = self.constant(position)
        if array is None:
            self.refuse(f"its {meaning} must be constant")
        return array

    def host(self, position: int) -> np.ndarray:
        """The input's elements as numbers and Syms, in an array of objects."""
        return self.writer.host(self.node.input(position), self)

    def sizes(self, position: int) -> list[Any]:
        """The input's elements as a flat list of numbers and Syms."""
        return list(self.host(position).reshape(-1))

    def dims_of(self, position: int) -> Code:
        """The input's elements as source of a tuple of integers, also where their number is unknown."""
        if isinstance(self.held(position), Code) and not self.writer.has_known_size(self.node.input(position)):
            return code("tuple({}.tolist())", self.tensor(position))
        return literal(tuple(self.sizes(position)))

    def integers(self, position: int, attribute: str, default: Any = None) -> Any:
        """Sizes that older opsets give as an attribute and newer ones as an input."""
        if attribute in self.node.attributes:
            return self.attribute(attribute)
        return self.sizes(position) if self.has(position) else default

    def rank(self, position: int) -> int:
        rank = self.maybe_rank(position)
        if rank is None:
            self.refuse("it needs an input whose number of dimensions is known")
        return rank

    def maybe_rank(self, position: int) -> int | None:
        held = self.held(position)
        if isinstance(held, Host):
            return held.elements.ndim
        return self.writer.value(self.node.input(position)).rank

    def shape(self, position: int) -> tuple[Any, ...]:
        """The sizes of the input: numbers where they are known, Syms of the running program where not."""
        known = self.writer.value(self.node.input(position)).shape
        if known is None:
            self.refuse("it needs an input whose number of dimensions is known")
        sizes = known
        if all(isinstance(size, int) for size in sizes):
            return tuple(sizes)
        variable = self.tensor(position)
        return tuple(size if isinstance(size, int) else size_of(variable, axis) for axis, size in enumerate(sizes))

    def dtype(self, position: int = 0) -> np.dtype:
        """The element type of an input; float32 where nothing is known."""
        return self.writer.value(self.node.input(position)).dtype or np.dtype(np.float32)

    def is_integer(self, position: int = 0) -> bool:
        return self.dtype(position).kind in "iub"

    # --- outputs and attributes

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def graph(self, name: str) -> Graph:
        body = self.attribute(name)
        if not isinstance(body, Graph):
            self.refuse(f"its {name} is not a graph")
        return body

    def wants(self, output: int) -> bool:
        """True where the output has a name."""
        return output < len(self.node.outputs) and bool(self.node.outputs[output])

    def refuse(self, why: str) -> NoReturn:
        raise ConversionError(
            f"{self.writer.graph.source}: {self.node}: {why}",
            hint="simplify the model so that it does without it, or run it with ONNX Runtime",
        )

    # --- what the program gets

    def let(self, hint: str, value: Code) -> Code:
        return self.writer.program.assign(hint, value)

    def helper(self, function: str, *arguments: Any, **named: Any) -> Code:
        """A call of a function of functions/, which the program will contain."""
        return call(self.writer.program.helper(function), *arguments, **named)

    def layer(self, constructor: Code, inputs: tuple[int, ...] = (), **weights: np.ndarray) -> Code:
        """`self.name` of a layer. Uses with the same constructor and the same constant inputs share one."""
        names = tuple(self.node.input(position) for position in inputs)
        return self.writer.layer(self.node, constructor, names, weights)

    def dtype_code(self, dtype: np.dtype) -> Code:
        """PyTorch's name of an element type; for float32 the type of the module's parameters."""
        if dtype == np.float32:
            return self.writer.program.float_dtype()
        try:
            return dtype_code(dtype)
        except KeyError:
            self.refuse(f"PyTorch has no tensors of {dtype.name}")

    def device(self) -> Code:
        return self.writer.program.device()
