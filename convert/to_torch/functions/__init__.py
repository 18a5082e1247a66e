"""Functions that a written `model.py` may contain: what ONNX means where PyTorch has no operator of that meaning.

Their source is copied into `model.py`, so each uses torch, math and other functions of this package only, and is
written for the reader of that file. Shapes are in ONNX's order; comments say where PyTorch differs.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from zoo.convert.to_torch.functions import (
    control_flow,
    detection,
    elementwise,
    indexing,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    shape,
)

MODULES = (elementwise, shape, indexing, reduction, pooling, normalization, resize, detection, recurrent, control_flow)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if isinstance(function, FunctionType) and function.__module__ == module.__name__
}


@cache
def source_of(name: str) -> str:
    """The source of one function."""
    return inspect.getsource(FUNCTIONS[name]).strip()


@cache
def needed_by(name: str) -> frozenset[str]:
    """The functions of this package that a function calls, directly or not, itself included."""
    names = {node.id for node in ast.walk(ast.parse(source_of(name))) if isinstance(node, ast.Name)}
    return frozenset({name}.union(*(needed_by(other) for other in names & FUNCTIONS.keys() if other != name)))


def in_order(names: set[str]) -> list[str]:
    """`names` and what they need, each after what it calls."""
    wanted = set().union(*(needed_by(name) for name in names)) if names else set()
    return sorted(wanted, key=lambda name: (len(needed_by(name)), list(FUNCTIONS).index(name)))
