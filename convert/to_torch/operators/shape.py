"""The form of tensors: reshaping, transposing, joining, cutting, padding, and tensors made from sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from zoo.convert.to_torch.code import Code, call, code, literal
from zoo.convert.to_torch.sizes import Sym, is_positive
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Several, Use

END = 10**9  # no tensor is that long: exporters write "to the end" as such a number, up to the largest int64


@operator("Shape", "Size")
def shape(use: Use) -> Code:
    """Only where the number of dimensions is unknown; host.py takes the others."""
    text = "{}.shape" if use.node.op == "Shape" else "{}.numel()"
    if use.node.attributes:
        use.refuse("a part of a shape needs an input whose number of dimensions is known")
    return call("torch.tensor", code(text, use.tensor(0)), device=use.device())


@operator("Reshape", since=5)
def reshape(use: Use) -> Code:
    if isinstance(use.held(1), Code) and not use.writer.has_known_size(use.node.input(1)):
        return use.helper("reshape", use.tensor(0), use.dims_of(1), bool(use.attribute("allowzero", 0)))
    target = use.sizes(1)
    zeros = [] if use.attribute("allowzero", 0) else [i for i, size in enumerate(target) if _is_zero(size)]
    if zeros:
        sizes = use.shape(0)
        target = [sizes[i] if i in zeros else size for i, size in enumerate(target)]
    return call(f"{use.tensor(0)}.reshape", *_one_inferred(target))


def _is_zero(size: Any) -> bool:
    return not isinstance(size, Sym) and size == 0


def _one_inferred(target: list[Any]) -> list[Any]:
    """Numbers as ints. A target without sizes is a scalar."""
    return [size if isinstance(size, Sym) else int(size) for size in target] or [()]


@operator("Flatten")
def flatten(use: Use) -> Code:
    axis = use.attribute("axis", 1)
    rank = use.maybe_rank(0)
    if axis < 0:
        axis += use.rank(0)
    if axis == 0:
        return code("{}.reshape(1, -1)", use.tensor(0))
    if axis == 1 and rank != 1:
        return code("{}.flatten(1)", use.tensor(0))
    sizes = use.shape(0)
    lead: Any = 1
    for size in sizes[:axis]:
        lead = lead * size
    return call(f"{use.tensor(0)}.reshape", lead, -1)


@operator("Transpose")
def transpose(use: Use) -> Code:
    order = use.attribute("perm") or tuple(reversed(range(use.rank(0))))
    return call(f"{use.tensor(0)}.permute", *order) if order else use.tensor(0)


@operator("Squeeze")
def squeeze(use: Use) -> Code:
    axes = use.integers(1, "axes")
    if axes is None:
        return code("{}.squeeze()", use.tensor(0))
    return call(f"{use.tensor(0)}.squeeze", axes[0] if len(axes) == 1 else tuple(axes))


@operator("Unsqueeze")
def unsqueeze(use: Use) -> Code:
    axes = list(use.integers(1, "axes"))
    if len(axes) == 1:
        return call(f"{use.tensor(0)}.unsqueeze", axes[0])
    rank = use.rank(0) + len(axes)
    result = use.tensor(0)
    for axis in sorted(axis % rank for axis in axes):
        result = call(f"{result}.unsqueeze", axis)
    return result


@operator("Expand", since=8)
def expand(use: Use) -> Code:
    """Both sides broadcast: a 1 in the wanted shape keeps the input's size."""
    if isinstance(use.held(1), Code) and not use.writer.has_known_size(use.node.input(1)):
        return use.helper("expand", use.tensor(0), use.dims_of(1))
    wanted = use.sizes(1)
    rank = use.maybe_rank(0)
    known = use.writer.value(use.node.input(0)).shape
    if rank is not None and known is not None and len(wanted) >= rank:
        lead = len(wanted) - rank
        sizes = [-1 if i >= lead and _is_one(size) else size for i, size in enumerate(wanted)]
        if all(not isinstance(size, Sym) or i < lead or known[i - lead] == 1 for i, size in enumerate(sizes)):
            return call(f"{use.tensor(0)}.expand", *_one_inferred(sizes))
    return use.helper("expand", use.tensor(0), tuple(wanted))


def _is_one(size: Any) -> bool:
    return not isinstance(size, Sym) and size == 1


@operator("Concat", since=4)
def concat(use: Use) -> Code:
    return call("torch.cat", use.tensors(), dim=use.attribute("axis", 1))


@operator("Split", since=2)
def split(use: Use) -> Several | Code:
    """Sizes as given, or as many equal parts as there are outputs, the last one smaller."""
    axis, count = use.attribute("axis", 0), len(use.node.outputs)
    if count == 1:
        return use.tensor(0)
    sizes = use.integers(1, "split")
    known = use.writer.value(use.node.input(0)).shape
    whole = known[axis] if known is not None else None
    if sizes is not None:
        parts = call(f"{use.tensor(0)}.split", list(sizes), dim=axis)
    elif isinstance(whole, int):
        parts = call(f"{use.tensor(0)}.split", -(-whole // count), dim=axis)
    else:
        parts = code("{0}.split(-(-{0}.shape[{1}] // {2}), dim={1})", use.tensor(0), axis, count)
    return Several(parts, count)


@operator("Slice")
def slice_axes(use: Use) -> Code:
    starts, ends = list(use.integers(1, "starts")), list(use.integers(2, "ends"))
    axes = list(use.integers(3, "axes", None) or range(len(starts)))
    steps = use.sizes(4) if use.has(4) else [1] * len(starts)
    result = use.tensor(0)
    if any(axis < 0 for axis in axes):
        axes = [axis % use.rank(0) for axis in axes]
    forward = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if isinstance(step, Sym):
            use.refuse("its steps must be constant")
        if step < 0:
            result = use.helper("slice_backwards", result, axis, start, end, step)
        else:
            forward[axis] = _range_code(start, end, step)
    if not any(text != ":" for text in forward.values()):
        return result
    parts = [forward.get(axis, ":") for axis in range(max(forward) + 1)]
    if len(parts) > 3 and set(parts[:-1]) == {":"}:
        parts = ["...", *[parts[-1]]] if use.maybe_rank(0) == len(parts) else parts
    return Code(f"{result}[{', '.join(parts)}]")


def _range_code(start: Any, end: Any, step: int) -> str:
    """A Python slice; ONNX and Python clamp alike."""
    first = "" if _is_zero(start) else literal(start)
    last = "" if not isinstance(end, Sym) and end >= END else literal(end)
    return f"{first}:{last}" + (f":{literal(step)}" if step != 1 else "")


@operator("Tile", since=6)
def tile(use: Use) -> Code:
    return call(f"{use.tensor(0)}.repeat", *use.sizes(1))


@operator("Pad", since=2)
def pad(use: Use) -> Code:
    mode = use.attribute("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        use.refuse(f"its mode {mode!r} is unknown")
    pads = use.integers(1, "pads")
    rank = use.rank(0)
    axes = [axis % rank for axis in use.sizes(3)] if use.has(3) else list(range(rank))
    half = len(pads) // 2
    around = dict(zip(axes, zip(pads[:half], pads[half:], strict=True), strict=True))
    deepest = min((axis for axis in axes if any(not _is_zero(size) for size in around[axis])), default=None)
    if deepest is None:
        return use.tensor(0)
    flat = [size for axis in reversed(range(deepest, rank)) for size in around.get(axis, (0, 0))]
    if mode == "constant":
        return call("F.pad", use.tensor(0), tuple(flat), **_fill(use))
    return use.helper("pad_by_index", use.tensor(0), tuple(flat), mode)


def _fill(use: Use) -> dict[str, Any]:
    number = use.number(2) if use.has(2) else use.attribute("value", 0.0)
    if number is None:
        number = code("{}.item()", use.tensor(2))
    return {} if not isinstance(number, Code | Sym) and number == 0 else {"value": number}


@operator("Identity")
def identity(use: Use) -> Any:
    return use.held(0)


@operator("ConstantOfShape", since=9)
def constant_of_shape(use: Use) -> Code:
    value = use.attribute("value", np.zeros(1, np.float32)).reshape(-1)[0]
    return call("torch.full", use.dims_of(0), value, dtype=use.dtype_code(value.dtype), device=use.device())


@operator("Range", since=11)
def arange(use: Use) -> Code:
    bounds = [use.sizes(position)[0] for position in range(3)]
    dtype = use.dtype()
    if all(isinstance(bound, Sym) or float(bound).is_integer() for bound in bounds) and is_positive(bounds[2]):
        start, limit, step = bounds
        arguments = [limit] if _is_zero(start) and _is_one(step) else [start, limit] if _is_one(step) else bounds
    else:
        arguments = bounds
    return call("torch.arange", *arguments, dtype=use.dtype_code(dtype), device=use.device())


@operator("EyeLike", since=9)
def eye_like(use: Use) -> Code:
    number = use.attribute("dtype")
    dtype = use.dtype() if number is None else np.dtype(tensor_dtype_to_np_dtype(number))
    return use.helper("eye_like", use.tensor(0), use.attribute("k", 0), use.dtype_code(dtype))


@operator("Trilu", since=14)
def triangle(use: Use) -> Code:
    diagonal = use.sizes(1)[0] if use.has(1) else 0
    return call("torch.triu" if use.attribute("upper", 1) else "torch.tril", use.tensor(0), diagonal)


@operator("DepthToSpace")
def depth_to_space(use: Use) -> Code:
    block = use.attribute("blocksize")
    if use.attribute("mode", "DCR") == "CRD":
        return call("F.pixel_shuffle", use.tensor(0), block)
    return use.helper("depth_to_space", use.tensor(0), block)


@operator("SpaceToDepth")
def space_to_depth(use: Use) -> Code:
    if use.attribute("mode", "DCR") == "CRD":
        return call("F.pixel_unshuffle", use.tensor(0), use.attribute("blocksize"))
    return use.helper("space_to_depth", use.tensor(0), use.attribute("blocksize"))


@operator("CenterCropPad", since=18)
def center_crop_pad(use: Use) -> Code:
    wanted = use.sizes(1)
    axes = use.attribute("axes") or tuple(range(len(wanted)))
    return use.helper("center_crop_pad", use.tensor(0), tuple(wanted), tuple(axes))


@operator("ReverseSequence", since=10)
def reverse_sequence(use: Use) -> Code:
    batch, time = use.attribute("batch_axis", 1), use.attribute("time_axis", 0)
    return use.helper("reverse_sequence", use.tensor(0), use.tensor(1), batch, time)
