"""The attributes that convolutions and poolings share: kernel, stride, dilation and padding in PyTorch's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.convert.to_torch.code import Code, call
from zoo.convert.to_torch.use import Use


@dataclass(frozen=True)
class Window:
    """One value for each spatial dimension. `before` and `after` are paddings; `same` is "", "SAME_UPPER" or
    "SAME_LOWER" where the padding depends on the size of the input."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    same: str = ""

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def symmetric(self) -> bool:
        return self.before == self.after and not self.same


def window_of(use: Use, kernel: tuple[int, ...]) -> Window:
    """The window of a convolution or pooling with `kernel`; automatic padding is worked out where it is fixed."""
    rank = len(kernel)
    if rank not in (1, 2, 3):
        use.refuse(f"it has {rank} spatial dimensions, PyTorch knows 1 to 3")
    ones, zeros = (1,) * rank, (0,) * rank
    stride = tuple(use.attribute("strides", ones))
    dilation = tuple(use.attribute("dilations", ones))
    pads = tuple(use.attribute("pads", zeros * 2))
    if len(stride) != rank or len(dilation) != rank or len(pads) != 2 * rank:
        use.refuse(f"its strides, dilations or pads do not fit a kernel of {rank} dimensions")
    before, after, same = pads[:rank], pads[rank:], use.attribute("auto_pad", "NOTSET")
    if same == "VALID":
        before, after = zeros, zeros
    if same in ("SAME_UPPER", "SAME_LOWER") and stride == ones:
        total = tuple((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        before, after = (less, more) if same == "SAME_UPPER" else (more, less)
        same = ""
    return Window(kernel, stride, dilation, before, after, same if same.startswith("SAME") else "")


def compact(values: tuple[int, ...]) -> Any:
    """One number where all dimensions have the same."""
    return values[0] if len(set(values)) == 1 else values


def options(window: Window, names: tuple[str, ...]) -> dict[str, Any]:
    """The arguments among stride, padding and dilation that are not PyTorch's default for a convolution."""
    values = {"stride": window.stride, "padding": window.before, "dilation": window.dilation}
    default = {"stride": 1, "padding": 0, "dilation": 1}
    return {name: compact(values[name]) for name in names if compact(values[name]) != default[name]}


def padded(use: Use, tensor: Code, window: Window, value: float = 0.0) -> Code:
    """`tensor` with the window's padding made explicit."""
    if window.same:
        upper = window.same == "SAME_UPPER"
        kernel, stride, dilation = window.kernel, window.stride, window.dilation
        return use.let("padded", use.helper("pad_same", tensor, kernel, stride, dilation, upper, value))
    if not any(window.before + window.after):
        return tensor
    pads = [size for pair in zip(reversed(window.before), reversed(window.after), strict=True) for size in pair]
    arguments = {} if value == 0 else {"value": value}
    return use.let("padded", call("F.pad", tensor, tuple(pads), **arguments))


def without_padding(window: Window) -> Window:
    zeros = (0,) * window.rank
    return Window(window.kernel, window.stride, window.dilation, zeros, zeros)
