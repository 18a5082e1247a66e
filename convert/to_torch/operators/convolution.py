"""Convolutions: layers where the weights are constant, functions where the program computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.convert.to_torch.code import Code, call
from zoo.convert.to_torch.operators.window import Window, compact, options, padded, window_of, without_padding
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use

GEOMETRY = ("stride", "padding", "dilation")


def kernel_shape(use: Use) -> tuple[int, ...]:
    """The whole shape of the weight, of which the sizes must be known."""
    shape = use.writer.value(use.node.input(1)).shape
    if shape is None or not all(isinstance(size, int) for size in shape) or len(shape) < 3:
        use.refuse("the shape of its weight must be known")
    return tuple(int(size) for size in shape if isinstance(size, int))


@operator("Conv")
def convolution(use: Use) -> Code:
    outputs, inputs, *kernel = kernel_shape(use)
    window = window_of(use, tuple(kernel))
    tensor = use.tensor(0)
    if not window.symmetric:
        tensor, window = padded(use, tensor, window), without_padding(window)
    group = use.attribute("group", 1)
    return _apply(use, f"Conv{window.rank}d", (inputs * group, outputs), tensor, window, group, {})


@operator("ConvTranspose")
def transposed(use: Use) -> Code:
    """Padding crops the result; it is cropped explicitly where PyTorch's symmetric `padding` cannot say it."""
    inputs, outputs, *kernel = kernel_shape(use)
    window = window_of(use, tuple(kernel))
    group = use.attribute("group", 1)
    channels = (inputs, outputs * group)
    extra = tuple(use.attribute("output_padding", (0,) * window.rank))
    before, after = _crop(use, window, extra)
    fits = all(e < max(s, d) for e, s, d in zip(extra, window.stride, window.dilation, strict=True))
    if before == after and min(before) >= 0 and fits:
        window = Window(window.kernel, window.stride, window.dilation, before, after)
        more = {"output_padding": compact(extra)} if any(extra) else {}
        return _apply(use, f"ConvTranspose{window.rank}d", channels, use.tensor(0), window, group, more)
    name = f"ConvTranspose{window.rank}d"
    full = use.let("full", _apply(use, name, channels, use.tensor(0), without_padding(window), group, {}))
    crop = [
        size
        for start, end, more in reversed(list(zip(before, after, extra, strict=True)))
        for size in (-start, more - end)
    ]
    return call("F.pad", full, tuple(crop))


def _crop(use: Use, window: Window, extra: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What to cut off at the start and the end of each dimension."""
    wanted = use.attribute("output_shape")
    auto = use.attribute("auto_pad", "NOTSET")
    if wanted is None and not auto.startswith("SAME"):
        return window.before, window.after
    sizes = use.shape(0)[2:]
    if not all(isinstance(size, int) for size in sizes):
        use.refuse("automatic padding of a transposed convolution needs an input of known size")
    wanted = tuple(wanted or (size * s for size, s in zip(sizes, window.stride, strict=True)))[-window.rank :]
    total = tuple(
        s * (size - 1) + e + (k - 1) * d + 1 - w
        for size, s, e, k, d, w in zip(sizes, window.stride, extra, window.kernel, window.dilation, wanted, strict=True)
    )
    half = tuple(t // 2 for t in total)
    rest = tuple(t - h for t, h in zip(total, half, strict=True))
    return (half, rest) if auto == "SAME_UPPER" else (rest, half)


def _apply(
    use: Use, name: str, channels: tuple[int, int], tensor: Code, window: Window, group: int, more: dict[str, Any]
) -> Code:
    """A layer `nn.name` with constant weights, or the function of that name."""
    weight, bias = use.constant(1), use.constant(2)
    arguments = {**options(window, GEOMETRY), **more, **({"groups": group} if group != 1 else {})}
    constant = weight is not None and (bias is not None or not use.has(2))
    if constant and weight is not None and weight.dtype == np.float32:
        weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        if bias is None:
            arguments["bias"] = False
        constructor = call(f"nn.{name}", *channels, compact(window.kernel), **arguments)
        return call(use.layer(constructor, (1, 2), **weights), tensor)
    function = {"Conv": "F.conv", "ConvTranspose": "F.conv_transpose"}[name[:-2]] + name[-2:]
    return call(function, tensor, use.tensor(1), use.optional(2), **arguments)


@operator("DeformConv", since=19)
def deformable(use: Use) -> Code:
    _, _, *kernel = kernel_shape(use)
    window = window_of(use, tuple(kernel))
    if window.rank != 2 or window.same:
        use.refuse("only two dimensions and explicit padding are supported")
    arguments = [use.tensor(0), use.tensor(1), use.tensor(2), use.optional(3), use.optional(4)]
    pads = (window.before, window.after)
    groups = (use.attribute("group", 1), use.attribute("offset_group", 1))
    return use.helper("deform_conv", *arguments, window.stride, pads, window.dilation, *groups)


@operator("Col2Im", since=18)
def columns_to_image(use: Use) -> Code:
    size, block = use.sizes(1), use.sizes(2)
    rank = len(size)
    pads = tuple(use.attribute("pads", (0,) * 2 * rank))
    ones = (1,) * rank
    dilation, stride = tuple(use.attribute("dilations", ones)), tuple(use.attribute("strides", ones))
    if rank != 2 or pads[:2] != pads[2:]:
        use.refuse("only two dimensions and symmetric padding are supported")
    return call("F.fold", use.tensor(0), tuple(size), tuple(block), dilation, pads[:2], stride)
