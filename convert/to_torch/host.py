"""Operators on sizes: shape arithmetic is worked out here, while writing, and leaves no operator in the program.

A use is taken where all its inputs are small constants or `Host`s, or the operator asks for a shape, and the result is
small. Where an entry cannot express a result it raises NotOnHost and tensors take over.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from zoo.convert.to_torch import sizes
from zoo.convert.to_torch.sizes import NotOnHost, Sym
from zoo.convert.to_torch.use import MAX_HOST, Host, Use

Array = np.ndarray
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": sizes.divide,
    "Mod": sizes.modulo,
    "Neg": operator.neg,
    "Not": sizes.negate,
    "Min": sizes.smaller,
    "Max": sizes.larger,
    "Floor": sizes.floor,
    "Equal": sizes.compare("=="),
    "Less": sizes.compare("<"),
    "LessOrEqual": sizes.compare("<="),
    "Greater": sizes.compare(">"),
    "GreaterOrEqual": sizes.compare(">="),
    "Where": sizes.choose,
}
LOGICAL = {"Not", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
REDUCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "ReduceProd": operator.mul,
    "ReduceSum": operator.add,
    "ReduceMin": sizes.smaller,
    "ReduceMax": sizes.larger,
}


def on_host(use: Use) -> Host | tuple[Host, ...] | None:
    """The result as sizes (of Split: the results), or None where the operator has to run on tensors."""
    entry = MOVES.get(use.node.op)
    try:
        if use.node.op == "Shape":
            return _shape(use)
        if use.node.op == "Size":
            return Host(np.array(reduce(operator.mul, use.shape(0), 1), object), np.dtype(np.int64))
        arrays = _host_inputs(use)
        if arrays is None:
            return None
        if use.node.op in ARITHMETIC:
            return _arithmetic(use, arrays)
        if use.node.op == "Round":
            return _round(use, arrays[0])
        if use.node.op == "Split":
            return _split(use, arrays)
        if use.node.op == "Cast":
            return _cast(use, arrays[0])
        if use.node.op in REDUCTIONS:
            return Host(_reduce(use, arrays), use.dtype())
        if entry is None:
            return None
        result = np.asarray(entry(use, *arrays), object)
        return Host(result, use.dtype()) if result.size <= MAX_HOST else None
    except (NotOnHost, TypeError):
        return None


def _host_inputs(use: Use) -> list[Array] | None:
    """The inputs as arrays of numbers and Syms; None where one is a tensor."""
    arrays = []
    for position, name in enumerate(use.node.inputs):
        held = use.held(position) if name else np.zeros(0)
        if isinstance(held, Host):
            arrays.append(held.elements)
        elif isinstance(held, np.ndarray) and held.size <= MAX_HOST and held.dtype.kind in "fiub":
            arrays.append(held.astype(object))
        else:
            return None
    return arrays


def _shape(use: Use) -> Host | None:
    held = use.held(0)
    if not isinstance(held, Host) and use.maybe_rank(0) is None:
        return None
    shape = held.elements.shape if isinstance(held, Host) else use.shape(0)
    start, end = use.attribute("start", 0), use.attribute("end")
    return Host(np.array(shape[start:end], object), np.dtype(np.int64))


def _arithmetic(use: Use, arrays: list[Array]) -> Host:
    function = ARITHMETIC[use.node.op]
    if use.node.op in ("Min", "Max"):
        return Host(np.asarray(reduce(np.frompyfunc(function, 2, 1), arrays), object), use.dtype())
    result = np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), object)
    if use.node.op in LOGICAL:
        return Host(result, np.dtype(np.bool_))
    return Host(result, use.dtype(1 if use.node.op == "Where" else 0))


def _reduce(use: Use, arrays: list[Array]) -> Array:
    data = arrays[0]
    axes = use.attribute("axes") or (tuple(map(int, arrays[1])) if len(arrays) > 1 and arrays[1].size else None)
    if axes is None and use.attribute("noop_with_empty_axes", 0):
        return data
    function = np.frompyfunc(REDUCTIONS[use.node.op], 2, 1)
    keep = bool(use.attribute("keepdims", 1))
    for axis in sorted((axis % data.ndim for axis in axes or range(data.ndim)), reverse=True):
        data = np.asarray(function.reduce(data, axis=axis, keepdims=keep), object)
    return data


def _cast(use: Use, data: Array) -> Host | None:
    dtype = np.dtype(tensor_dtype_to_np_dtype(use.attribute("to")))
    function = {"i": sizes.to_int, "u": sizes.to_int, "f": sizes.to_float}.get(dtype.kind)
    return Host(np.asarray(np.frompyfunc(function, 1, 1)(data), object), dtype) if function else None


def _round(use: Use, data: Array) -> Host:
    def apply(value: Any) -> Any:
        if not isinstance(value, Sym):
            return float(round(value))
        if not value.positive:
            raise NotOnHost
        return sizes.to_float(Sym(use.helper("round_half_even", value), positive=True))

    return Host(np.asarray(np.frompyfunc(apply, 1, 1)(data), object), use.dtype())


def _split(use: Use, arrays: list[Array]) -> tuple[Host, ...]:
    data, count, axis = arrays[0], len(use.node.outputs), use.attribute("axis", 0)
    sizes_given = use.attribute("split") or (arrays[1] if len(arrays) > 1 and arrays[1].size else None)
    part = -(-data.shape[axis] // count)
    parts = [part] * (count - 1) if sizes_given is None else [int(size) for size in sizes_given][:-1]
    return tuple(Host(piece, use.dtype()) for piece in np.split(data, np.cumsum(parts), axis=axis))


def _gather(use: Use, data: Array, indices: Array) -> Array:
    return np.take(data, indices.astype(np.int64), axis=use.attribute("axis", 0))


def _slice(use: Use, data: Array, *bounds: Array) -> Array:
    starts, ends, axes, steps = _slice_bounds(use, bounds)
    where = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        to_start = step < 0 and end <= -data.shape[axis] - 1
        where[axis] = slice(start, None if to_start else end, step)
    return data[tuple(where)]


def _slice_bounds(use: Use, bounds: tuple[Array, ...]) -> list[list[int]]:
    starts = [int(v) for v in (bounds[0] if bounds else use.attribute("starts"))]
    ends = [int(v) for v in (bounds[1] if bounds else use.attribute("ends"))]
    axes = [int(v) for v in (bounds[2] if len(bounds) > 2 and bounds[2].size else use.attribute("axes") or ())]
    steps = [int(v) for v in (bounds[3] if len(bounds) > 3 else ())]
    return [starts, ends, axes or list(range(len(starts))), steps or [1] * len(starts)]


def _unsqueeze(use: Use, data: Array, axes: Array | None = None) -> Array:
    where = use.attribute("axes") if axes is None else axes.astype(int)
    return np.expand_dims(data, tuple(int(axis) for axis in where))


def _squeeze(use: Use, data: Array, axes: Array | None = None) -> Array:
    where = use.attribute("axes") if axes is None else tuple(int(axis) for axis in axes)
    return np.squeeze(data, axis=tuple(where) if where is not None else None)


def _concat(use: Use, *arrays: Array) -> Array:
    return np.concatenate(arrays, axis=use.attribute("axis", 1))


def _reshape(use: Use, data: Array, shape: Array | None = None) -> Array:
    target = [int(v) for v in (use.attribute("shape") if shape is None else shape)]
    if not use.attribute("allowzero", 0):
        target = [data.shape[i] if size == 0 else size for i, size in enumerate(target)]
    return data.reshape(target)


def _expand(use: Use, data: Array, shape: Array) -> Array:
    return np.asarray(np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(map(int, shape)))))


MOVES: dict[str, Callable[..., Array]] = {
    "Identity": lambda use, data: data,
    "Gather": _gather,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Concat": _concat,
    "Reshape": _reshape,
    "Expand": _expand,
    "Transpose": lambda use, data: np.transpose(data, use.attribute("perm")),
    "Tile": lambda use, data, repeats: np.tile(data, [int(v) for v in repeats]),
}
