"""Arithmetic on sizes while the source is written, so that shapes stay Python integers in the finished program.

A `Host` is the value of a small ONNX tensor, as an array whose elements are numbers known now or `Sym`s: expressions
such as `x.shape[0] * 2` that the program will work out as plain integers (SymInts under torch.export). Chains of
Shape → Gather → Concat → Reshape then disappear: what is left is `x.reshape(x.shape[0], -1)`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.convert.to_torch.code import Code, literal

ATOM, PRODUCT, SUM, LOOSE = 0, 1, 2, 3  # how tightly an expression binds

Scalar = Any  # int, float, bool or Sym


class NotOnHost(Exception):
    """The result cannot be given as an expression of sizes; the operator must run on tensors."""


@dataclass(frozen=True, eq=False)
class Sym:
    """A number that the program knows only when it runs. `positive` promises that it is never below zero, `least` that
    it is not below a number (a size - 1: not below -1).
    """

    code: Code
    level: int = ATOM
    positive: bool = False
    is_float: bool = False
    as_int: Scalar = None  # the same as an int: of a truth value 0 or 1, of a float that is a whole number
    least: int | None = None

    def as_code(self) -> str:
        return self.code

    def __add__(self, other: Scalar) -> Scalar:
        return self if _is(other, 0) else _infix(self, "+", other, SUM)

    def __radd__(self, other: Scalar) -> Scalar:
        return self if _is(other, 0) else _infix(other, "+", self, SUM)

    def __sub__(self, other: Scalar) -> Scalar:
        if _is(other, 0):
            return self
        least = -other if self.positive and isinstance(other, int) else None
        return replace(_infix(self, "-", other, SUM, positive=False), least=least)

    def __rsub__(self, other: Scalar) -> Scalar:
        return _infix(other, "-", self, SUM, positive=False)

    def __mul__(self, other: Scalar) -> Scalar:
        return self if _is(other, 1) else 0 if _is(other, 0) else _infix(self, "*", other, PRODUCT)

    def __rmul__(self, other: Scalar) -> Scalar:
        return self if _is(other, 1) else 0 if _is(other, 0) else _infix(other, "*", self, PRODUCT)

    def __neg__(self) -> Scalar:
        return _infix(0, "-", self, SUM, positive=False)

    def __bool__(self) -> bool:
        raise NotOnHost


def _is(value: Scalar, number: int) -> bool:
    return not isinstance(value, Sym) and not isinstance(value, float) and value == number


def _infix(
    left: Scalar, sign: str, right: Scalar, level: int, *, positive: bool | None = None, is_float: bool | None = None
) -> Sym:
    if positive is None:
        positive = is_positive(left) and is_positive(right)
    if is_float is None:
        is_float = is_floating(left) or is_floating(right)
    code = f"{_wrapped(left, level)} {sign} {_wrapped(right, level - 1)}"
    return Sym(Code(code), level, positive, is_float)


def _wrapped(value: Scalar, level: int) -> str:
    text = literal(value)
    loose = value.level > level if isinstance(value, Sym) else text.startswith("-")
    return f"({text})" if loose else text


def is_positive(value: Scalar) -> bool:
    return value.positive if isinstance(value, Sym) else bool(value >= 0)


def is_floating(value: Scalar) -> bool:
    return value.is_float if isinstance(value, Sym) else isinstance(value, float | np.floating)


def size_of(variable: Code, axis: int) -> Sym:
    return Sym(Code(f"{variable}.shape[{axis}]"), positive=True)


def divide(left: Scalar, right: Scalar) -> Scalar:
    """ONNX's Div: true division of floats, truncating division of integers."""
    if is_floating(left) or is_floating(right):
        if not _symbolic(left, right):
            return left / right
        return left if _is(right, 1) else _infix(left, "/", right, PRODUCT, is_float=True)
    if _is(right, 1):
        return left
    if isinstance(left, Sym) and left.least is not None and isinstance(right, int) and right > -left.least:
        left = larger(left, 0)  # what is between -right and 0 is truncated to 0
    if not (is_positive(left) and is_positive(right)):
        if _symbolic(left, right):
            raise NotOnHost
        return math.trunc(left / right)
    return _infix(left, "//", right, PRODUCT) if _symbolic(left, right) else left // right


def modulo(left: Scalar, right: Scalar) -> Scalar:
    if not _symbolic(left, right):
        return left % right
    if not (is_positive(left) and is_positive(right)) or is_floating(left):
        raise NotOnHost
    return _infix(left, "%", right, PRODUCT)


def smaller(left: Scalar, right: Scalar) -> Scalar:
    return _extreme("torch.sym_min", min, left, right)


def larger(left: Scalar, right: Scalar) -> Scalar:
    for value, other in (left, right), (right, left):
        if isinstance(value, Sym) and value.positive and _is(other, 0):
            return value
    return _extreme("torch.sym_max", max, left, right)


def _extreme(name: str, function: Any, left: Scalar, right: Scalar) -> Scalar:
    if not _symbolic(left, right):
        return function(left, right)
    positive = is_positive(left) and is_positive(right)
    if name == "torch.sym_max":
        positive = is_positive(left) or is_positive(right)
    return Sym(
        Code(f"{name}({literal(left)}, {literal(right)})"), ATOM, positive, is_floating(left) or is_floating(right)
    )


def to_int(value: Scalar) -> Scalar:
    if not isinstance(value, Sym):
        return int(value)
    if value.as_int is not None:
        return value.as_int
    if not value.is_float:
        return value
    return Sym(Code(f"torch.sym_int({value.code})"), ATOM, value.positive)


def to_float(value: Scalar) -> Scalar:
    if not isinstance(value, Sym):
        return float(value)
    if value.is_float:
        return value
    whole = value if value.as_int is None else value.as_int
    return Sym(whole.code, whole.level, whole.positive, True, whole)


def floor(value: Scalar) -> Scalar:
    """The largest whole number that is not above; as a float, as ONNX has it. torch.sym_int cuts off towards zero."""
    if not isinstance(value, Sym):
        return float(math.floor(value))
    if not value.is_float:
        return value
    if not value.positive:
        raise NotOnHost
    return to_float(Sym(Code(f"torch.sym_int({value.code})"), ATOM, True))


def compare(sign: str) -> Callable[[Scalar, Scalar], Scalar]:
    """A comparison; a size compared with a negative number is known at once."""
    numeric = {"==": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]

    def apply(left: Scalar, right: Scalar) -> Scalar:
        if not _symbolic(left, right):
            return bool(numeric(left, right))
        for value, other in (left, right), (right, left):
            if isinstance(value, Sym) and value.positive and not isinstance(other, Sym) and other < 0:
                return bool(numeric(0, other) if value is left else numeric(other, 0))
        as_int = _as_int(sign, _whole(left), _whole(right))
        return replace(_infix(left, sign, right, LOOSE, is_float=False), as_int=as_int)

    return apply


def _whole(value: Scalar) -> Scalar:
    """The number as an int where it is whole, else None."""
    if isinstance(value, Sym):
        return value.as_int if value.as_int is not None or value.is_float else value
    return int(value) if float(value).is_integer() else None


def _as_int(sign: str, left: Scalar, right: Scalar) -> Scalar:
    """A comparison of whole numbers as 0 or 1, by arithmetic: torch.export knows no choice between sizes."""
    if left is None or right is None:
        return None
    if sign == "==":
        return 1 - smaller(larger(left - right, right - left), 1)
    more = {"<": right - left, "<=": right - left + 1, ">": left - right, ">=": left - right + 1}[sign]
    return smaller(larger(more, 0), 1)


def negate(value: Scalar) -> Scalar:
    """The logical not."""
    if not isinstance(value, Sym):
        return not value
    as_int = None if value.as_int is None else replace(1 - value.as_int, positive=True)
    return Sym(Code(f"torch.sym_not({value.code})"), as_int=as_int)


def choose(condition: Scalar, yes: Scalar, no: Scalar) -> Scalar:
    if not isinstance(condition, Sym):
        return yes if condition else no
    if yes is no or (not _symbolic(yes, no) and yes == no):
        return yes
    raise NotOnHost


def _symbolic(*values: Scalar) -> bool:
    return any(isinstance(value, Sym) for value in values)
