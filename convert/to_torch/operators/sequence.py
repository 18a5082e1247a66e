"""Sequences of tensors: Python lists."""

from __future__ import annotations

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Items, Use


def items(use: Use, position: int = 0) -> Code:
    held = use.held(position)
    if not isinstance(held, Items):
        use.refuse("its input is not a sequence")
    return held.code


@operator("SequenceEmpty", since=11)
def empty(use: Use) -> Items:
    return Items(Code("[]"))


@operator("SequenceConstruct", since=11)
def construct(use: Use) -> Items:
    return Items(Code(f"[{', '.join(use.tensors())}]"))


@operator("SequenceInsert", since=11)
def insert(use: Use) -> Items:
    if not use.has(2):
        return Items(code("[*{}, {}]", items(use), use.tensor(1)))
    (position,) = use.sizes(2)
    return Items(code("[*{0}[:{2}], {1}, *{0}[{2}:]]", items(use), use.tensor(1), position))


@operator("SequenceErase", since=11)
def erase(use: Use) -> Items:
    position = use.sizes(1)[0] if use.has(1) else -1
    return Items(use.helper("erased", items(use), position))


@operator("SequenceAt", since=11)
def at(use: Use) -> Code:
    return code("{}[{}]", items(use), use.sizes(1)[0])


@operator("SequenceLength", since=11)
def length(use: Use) -> Code:
    return call("torch.tensor", call("len", items(use)), device=use.device())


@operator("ConcatFromSequence", since=11)
def concat(use: Use) -> Code:
    name = "torch.stack" if use.attribute("new_axis", 0) else "torch.cat"
    return call(name, items(use), dim=use.attribute("axis"))


@operator("SplitToSequence", since=11)
def split(use: Use) -> Items:
    axis = use.attribute("axis", 0)
    if not use.has(1):
        name = "split" if use.attribute("keepdims", 1) else "unbind"
        arguments = [1] if name == "split" else []
        return Items(call("list", call(f"{use.tensor(0)}.{name}", *arguments, dim=axis)))
    sizes = use.host(1)
    parts = list(sizes) if sizes.ndim else sizes.item()
    return Items(call("list", call(f"{use.tensor(0)}.split", parts, dim=axis)))
