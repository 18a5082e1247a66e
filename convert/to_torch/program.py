"""The program that is being written: statements, layers and weights. It knows Python and PyTorch, not ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from zoo.convert.to_torch.code import Code, call, dtype_code


@dataclass(frozen=True)
class Assign:
    """`targets = value`, or where there are no targets `value` alone (it has an effect)."""

    targets: tuple[Code, ...]
    value: Code


@dataclass(frozen=True)
class Block:
    """An `if`, `else`, `for` or `while` with its body."""

    header: Code
    body: list[Assign | Block] = field(default_factory=list)


@dataclass(frozen=True)
class Layer:
    """A module or buffer made in `__init__`: `self.name = constructor`, with its weights by the names of its state."""

    name: str
    constructor: Code
    weights: dict[str, np.ndarray]

    @property
    def code(self) -> Code:
        return Code(f"self.{self.name}")

    def state(self) -> dict[str, np.ndarray]:
        """The weights by their names in the whole module's state; a buffer's own name is ""."""
        return {f"{self.name}.{key}" if key else self.name: array for key, array in self.weights.items()}


class Program:
    """Collects what `model.py` will say. Names that come in are hints: naming.py makes identifiers of them."""

    def __init__(self) -> None:
        self.inputs: list[Code] = []
        self.outputs: list[Code] = []
        self.statements: list[Assign | Block] = []
        self.layers: dict[str, Layer] = {}
        self.helpers: set[str] = set()
        self.hints: dict[Code, str] = {}  # variable → a name that says what it is
        self.uses_device = False
        self.uses_dtype = False
        self._body = self.statements

    def variable(self, hint: str) -> Code:
        variable = Code(f"${len(self.hints)}")
        self.hints[variable] = hint
        return variable

    def assign(self, hint: str, value: Code) -> Code:
        """Add `hint = value`; returns the variable."""
        variable = self.variable(hint)
        self.store((variable,), value)
        return variable

    def store(self, variables: tuple[Code, ...], value: Code) -> None:
        """Add `variables = value`; without variables just `value`."""
        self._body.append(Assign(variables, value))

    @contextmanager
    def block(self, header: Code) -> Iterator[None]:
        """Statements added inside the `with` form the body of `header`."""
        block = Block(header)
        self._body.append(block)
        outer, self._body = self._body, block.body
        yield
        self._body = outer

    def layer(self, name: str, constructor: Code, weights: dict[str, np.ndarray]) -> Code:
        """Add a layer under the identifier `name`, which must be new; returns `self.name`."""
        self.layers[name] = Layer(name, constructor, weights)
        return self.layers[name].code

    def buffer(self, name: str, array: np.ndarray) -> Code:
        """A constant tensor that moves with the module (`.to`, `.half`) and lies in the weights file."""
        kind = {} if array.dtype == np.float32 else {"dtype": dtype_code(array.dtype)}
        shape = array.shape if len(array.shape) == 1 else (array.shape,)
        return self.layer(name, call("nn.Buffer", call("torch.empty", *shape, **kind)), {"": array})

    def state(self) -> dict[str, np.ndarray]:
        """Every weight by its name in the module's state."""
        return {key: array for layer in self.layers.values() for key, array in layer.state().items()}

    def helper(self, name: str) -> str:
        """A function of functions/ that the program will contain; returns its name."""
        self.helpers.add(name)
        return name

    def device(self) -> Code:
        """Where the inputs lie: tensors made on the way must lie there too."""
        self.uses_device = True
        return Code("device")

    def float_dtype(self) -> Code:
        """What ONNX calls float32: the type of the module's parameters, so that `.half()` and `.double()` work."""
        self.uses_dtype = True
        return Code("dtype")
