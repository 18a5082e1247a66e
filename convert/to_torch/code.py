"""Pieces of Python source that cannot be anything but what zoo meant: the only way in which source is put together.

`Code` marks text that zoo itself wrote. Every other string is data and becomes a quoted literal, so a name or an
attribute of an ONNX file cannot turn into code. A variable is written `$12` until names are given out (see naming.py);
`$` never occurs in Python outside quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

UNQUOTED = frozenset(map(chr, range(32, 127))) - set('"\\$')
VARIABLE = re.compile(r"\$(\d+)")


class Code(str):
    """Source text written by zoo: a name, a literal or an expression that needs no parentheses as an argument."""

    __slots__ = ()


TORCH_DTYPES = {
    "float16": Code("torch.float16"),
    "float32": Code("torch.float32"),
    "float64": Code("torch.float64"),
    "bfloat16": Code("torch.bfloat16"),
    "int8": Code("torch.int8"),
    "int16": Code("torch.int16"),
    "int32": Code("torch.int32"),
    "int64": Code("torch.int64"),
    "uint8": Code("torch.uint8"),
    "uint16": Code("torch.uint16"),
    "uint32": Code("torch.uint32"),
    "uint64": Code("torch.uint64"),
    "bool": Code("torch.bool"),
    "complex64": Code("torch.complex64"),
    "complex128": Code("torch.complex128"),
    "float8_e4m3fn": Code("torch.float8_e4m3fn"),
    "float8_e4m3fnuz": Code("torch.float8_e4m3fnuz"),
    "float8_e5m2": Code("torch.float8_e5m2"),
    "float8_e5m2fnuz": Code("torch.float8_e5m2fnuz"),
}


def literal(value: Any) -> Code:
    """`value` as source: Code as it is, numbers, None, strings and (nested) sequences of them as literals."""
    if isinstance(value, Code):
        return value
    if hasattr(value, "as_code"):
        return Code(value.as_code())
    if isinstance(value, np.generic):
        return literal(_shortest(value))
    if isinstance(value, float) and not math.isfinite(value):
        return Code(f'float("{value}")')
    if value is None or isinstance(value, bool | int | float):
        return Code(repr(value).replace("e+", "e"))
    if isinstance(value, str):
        return Code(quoted(value))
    if isinstance(value, tuple):
        return Code(f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})")
    if isinstance(value, Sequence):
        return Code(f"[{', '.join(map(literal, value))}]")
    raise TypeError(f"no source for a {type(value).__name__}")


def _shortest(value: np.generic) -> Any:
    """A Python number; a float32 gets the shortest digits that give the same float32."""
    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        short = float(str(value))
        if abs(short) <= float(np.finfo(np.float32).max) or value.dtype != np.float32:
            return short  # the shortest digits of the largest float32 are a little more than it
    return value.item()


def quoted(text: str) -> str:
    """A string literal in double quotes and plain ASCII, whatever `text` holds; without `$` (see `VARIABLE`)."""
    return '"' + "".join(c if c in UNQUOTED else f"\\U{ord(c):08x}" for c in text) + '"'


def call(function: str, *arguments: Any, **named: Any) -> Code:
    """The source of a call. `function` is zoo's own text; arguments go through `literal`."""
    parts: list[str] = [literal(argument) for argument in arguments]
    parts += [f"{name}={literal(value)}" for name, value in named.items()]
    return Code(f"{function}({', '.join(parts)})")


def code(template: str, *arguments: Any) -> Code:
    """`template` (zoo's own text, with {} or {0}) filled with `literal` of the arguments."""
    return Code(template.format(*map(literal, arguments)))


def dtype_code(dtype: np.dtype) -> Code:
    """A NumPy element type as PyTorch's. Raises KeyError where PyTorch has none (strings, 4-bit numbers)."""
    return TORCH_DTYPES[dtype.name]
