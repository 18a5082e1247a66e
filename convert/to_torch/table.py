"""The operator table: which ONNX operators can be written, in which versions, and the function that writes each.

An entry speaks for the versions of an operator (its `since_version` in ONNX's schemas) from `since` to `until`.
A version that came after `NEWEST` is refused even if the onnx package here knows it: its meaning may have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import onnx

from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.graph import Node

if TYPE_CHECKING:
    from zoo.convert.to_torch.use import Use

NEWEST = 28  # the last opset whose operators were read

Handler = Callable[["Use"], Any]
Function = TypeVar("Function", bound=Handler)


@dataclass(frozen=True)
class Entry:
    op: str
    since: int
    until: int
    handler: Handler


TABLE: dict[str, list[Entry]] = {}


def operator(*names: str, since: int = 1, until: int = NEWEST) -> Callable[[Function], Function]:
    """Enter the decorated function for the operators `names`, versions `since` to `until`."""

    def enter(handler: Function) -> Function:
        for name in names:
            TABLE.setdefault(name, []).append(Entry(name, since, until, handler))
        return handler

    return enter


def entry_for(node: Node, opset: int, source: str) -> Entry:
    """The entry that writes `node` in a model of `opset`. Raises ConversionError where there is none."""
    version = since_version(node.op, opset)
    if version is None:
        raise ConversionError(
            f"{source}: {node}: ONNX has no such operator in opset {opset}", hint="export the model again"
        )
    for entry in TABLE.get(node.op, ()):
        if entry.since <= version <= entry.until:
            return entry
    known = ", ".join(f"{entry.since} to {entry.until}" for entry in TABLE.get(node.op, ()))
    raise ConversionError(
        f"{source}: {node}: no PyTorch for {node.op} version {version}" + (f" (known: {known})" if known else ""),
        hint="simplify the model so that it does without it, or run it with ONNX Runtime",
    )


def since_version(op: str, opset: int) -> int | None:
    """The opset in which `op` got the meaning that it has in `opset`; None where there is no such operator."""
    try:
        return int(onnx.defs.get_schema(op, opset, "").since_version)
    except onnx.defs.SchemaError:
        return None
