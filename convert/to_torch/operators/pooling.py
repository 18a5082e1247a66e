"""Poolings: layers where PyTorch's rules are ONNX's, functions of functions/pooling.py for the rest."""

from __future__ import annotations

from typing import Any

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.operators.window import Window, compact, padded, window_of, without_padding
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Several, Use


def pooling_window(use: Use) -> Window:
    return window_of(use, tuple(use.attribute("kernel_shape", ())))


def layer_arguments(window: Window, use: Use) -> dict[str, Any]:
    """Stride is always said: PyTorch's default is the kernel, ONNX's is 1."""
    arguments: dict[str, Any] = {"stride": compact(window.stride)}
    if any(window.before):
        arguments["padding"] = compact(window.before)
    if set(window.dilation) != {1}:
        arguments["dilation"] = compact(window.dilation)
    if use.attribute("ceil_mode", 0):
        arguments["ceil_mode"] = True
    return arguments


def fits_half(window: Window) -> bool:
    """PyTorch pads a pooling by at most half the kernel."""
    return all(pad <= kernel // 2 for pad, kernel in zip(window.before, window.kernel, strict=True))


@operator("MaxPool")
def max_pool(use: Use) -> Code | Several:
    window = pooling_window(use)
    if use.wants(1):
        return _with_indices(use, window)
    tensor = use.tensor(0)
    if use.is_integer():
        tensor = code("{}.float()", tensor)
    if not (window.symmetric and fits_half(window)):
        tensor, window = padded(use, tensor, window, float("-inf")), without_padding(window)
    constructor = call(f"nn.MaxPool{window.rank}d", compact(window.kernel), **layer_arguments(window, use))
    result = call(use.layer(constructor), tensor)
    return code("{}.to({}.dtype)", result, use.tensor(0)) if use.is_integer() else result


def _with_indices(use: Use, window: Window) -> Several:
    if not (window.symmetric and fits_half(window)):
        use.refuse("its indices are only supported with symmetric padding of at most half the kernel")
    arguments = {"kernel_size": window.kernel, **layer_arguments(window, use)}
    column_major = bool(use.attribute("storage_order", 0))
    return Several(use.helper("max_pool_with_indices", use.tensor(0), column_major, **arguments), 2)


@operator("AveragePool")
def average_pool(use: Use) -> Code:
    window = pooling_window(use)
    include = bool(use.attribute("count_include_pad", 0))
    simple = window.symmetric and fits_half(window) and set(window.dilation) == {1}
    if simple and not use.attribute("ceil_mode", 0):
        arguments = layer_arguments(window, use)
        if any(window.before):
            arguments["count_include_pad"] = include
        constructor = call(f"nn.AvgPool{window.rank}d", compact(window.kernel), **arguments)
        return call(use.layer(constructor), use.tensor(0))
    return use.helper("average_pool", use.tensor(0), *_geometry(use, window), include)


@operator("LpPool")
def lp_pool(use: Use) -> Code:
    window = pooling_window(use)
    return use.helper("lp_pool", use.tensor(0), *_geometry(use, window), use.attribute("p", 2))


def _geometry(use: Use, window: Window) -> tuple[Any, ...]:
    """Kernel, stride, dilation, padding before and after, and ceil_mode of the general poolings."""
    sizes = (window.kernel, window.stride, window.dilation)
    before: Any = window.before
    after: Any = window.after
    if window.same:
        pads = use.let("pads", use.helper("same_pads", use.tensor(0), *sizes, window.same == "SAME_UPPER"))
        before, after = code("{}[0]", pads), code("{}[1]", pads)
    return (*sizes, before, after, bool(use.attribute("ceil_mode", 0)) and not window.same)


@operator("GlobalAveragePool")
def global_average(use: Use) -> Code:
    return call(f"{use.tensor(0)}.mean", dim=_spatial(use), keepdim=True)


@operator("GlobalMaxPool")
def global_max(use: Use) -> Code:
    return call(f"{use.tensor(0)}.amax", dim=_spatial(use), keepdim=True)


@operator("GlobalLpPool", since=2)
def global_lp(use: Use) -> Code:
    return call(
        "torch.linalg.vector_norm", use.tensor(0), float(use.attribute("p", 2)), dim=_spatial(use), keepdim=True
    )


def _spatial(use: Use) -> tuple[int, ...]:
    return tuple(range(2, use.rank(0)))


@operator("MaxUnpool", since=9)
def max_unpool(use: Use) -> Code:
    window = pooling_window(use)
    sizes = [
        (size - 1) * stride - before - after + kernel
        for size, stride, before, after, kernel in zip(
            use.shape(0)[2:], window.stride, window.before, window.after, window.kernel, strict=True
        )
    ]
    result = use.helper("max_unpool", use.tensor(0), use.tensor(1), (*use.shape(0)[:2], *sizes))
    if not use.has(2):
        return result
    more = [wanted - size for wanted, size in zip(use.sizes(2)[2:], sizes, strict=True)]
    return call("F.pad", result, tuple(size for end in reversed(more) for size in (0, end)))
