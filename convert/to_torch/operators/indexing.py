"""Picking and placing elements by index: gather, scatter, one-hot, sorting, unique."""

from __future__ import annotations

import numpy as np

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.sizes import Sym
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Host, Several, Use


@operator("Gather")
def gather(use: Use) -> Code:
    """One index takes a slice and drops the dimension; constant indices that are not negative need no correction."""
    axis = use.attribute("axis", 0)
    held = use.held(1)
    elements = held if isinstance(held, np.ndarray) else held.elements if isinstance(held, Host) else None
    if elements is not None and elements.ndim == 0:
        index = elements.item()
        if axis == 0:
            return code("{}[{}]", use.tensor(0), index)
        return call(f"{use.tensor(0)}.select", axis, index)
    if isinstance(held, np.ndarray) and held.ndim == 1 and held.size and held.min() >= 0:
        return call(f"{use.tensor(0)}.index_select", axis, use.tensor(1))
    return use.helper("gather", use.tensor(0), use.tensor(1), axis)


@operator("GatherElements", since=11)
def gather_elements(use: Use) -> Code:
    return use.helper("gather_elements", use.tensor(0), use.tensor(1), use.attribute("axis", 0))


@operator("GatherND", since=11)
def gather_nd(use: Use) -> Code:
    return use.helper("gather_nd", use.tensor(0), use.tensor(1), use.attribute("batch_dims", 0))


@operator("Scatter", "ScatterElements", since=9)
def scatter_elements(use: Use) -> Code:
    arguments = [use.tensor(0), use.tensor(1), use.tensor(2), use.attribute("axis", 0)]
    return use.helper("scatter_elements", *arguments, _reduction(use))


@operator("ScatterND", since=11)
def scatter_nd(use: Use) -> Code:
    return use.helper("scatter_nd", use.tensor(0), use.tensor(1), use.tensor(2), _reduction(use))


def _reduction(use: Use) -> str:
    """PyTorch's name of a reduction; "" replaces."""
    names = {"none": "", "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    name = names.get(use.attribute("reduction", "none"))
    if name is None:
        use.refuse(f"its reduction {use.attribute('reduction')!r} is unknown")
    return name


@operator("TensorScatter", since=24)
def tensor_scatter(use: Use) -> Code:
    circular = use.attribute("mode", "linear") == "circular"
    arguments = [use.tensor(0), use.tensor(1), use.optional(2), use.attribute("axis", -2)]
    return use.helper("tensor_scatter", *arguments, circular)


@operator("OneHot", since=9)
def one_hot(use: Use) -> Code:
    (depth,) = use.sizes(1)
    depth = depth if isinstance(depth, Sym) else int(depth)
    return use.helper("one_hot", use.tensor(0), depth, use.tensor(2), use.attribute("axis", -1))


@operator("NonZero", since=9)
def non_zero(use: Use) -> Code:
    return code("{}.nonzero().T", use.tensor(0))


@operator("Compress", since=9)
def compress(use: Use) -> Code:
    axis = use.attribute("axis")
    return use.helper("compress", use.tensor(0), use.tensor(1), axis)


@operator("TopK")
def top_k(use: Use) -> Several:
    """Ties go to the lower index, as in ONNX Runtime; `torch.topk` promises no order of ties."""
    k = use.attribute("k") if "k" in use.node.attributes else use.sizes(1)[0]
    axis, largest = use.attribute("axis", -1), bool(use.attribute("largest", 1))
    return Several(use.helper("top_k", use.tensor(0), k, axis, largest), 2)


@operator("Unique", since=11)
def unique(use: Use) -> Several:
    is_sorted = bool(use.attribute("sorted", 1))
    return Several(use.helper("unique", use.tensor(0), use.attribute("axis"), is_sorted), 4)
