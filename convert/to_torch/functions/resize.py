"""Interpolation by ONNX's rules, one dimension after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def source_positions(
    size: int, target: int, scale: float, coordinates: str, span: tuple[float, float], device: torch.device
) -> Tensor:
    """Where in an axis of `size` elements each of `target` elements comes from; in float32, as ONNX Runtime does."""
    x = torch.arange(target, dtype=torch.float32, device=device)
    if coordinates == "align_corners":
        return x * ((size - 1) / (target - 1)) if target > 1 else torch.zeros_like(x)
    if coordinates == "asymmetric":
        return x / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if coordinates == "tf_crop_and_resize":
        start, end = span[0] * (size - 1), span[1] * (size - 1)
        return start + x * ((end - start) / (target - 1)) if target > 1 else (x + start + end) / 2
    if coordinates == "pytorch_half_pixel" and target <= 1:
        return torch.zeros_like(x)
    if coordinates == "half_pixel_symmetric":
        return size / 2 * (1 - target / (scale * size)) + (x + 0.5) / scale - 0.5
    return (x + 0.5) / scale - 0.5


def nearest_index(x: Tensor, rounding: str) -> Tensor:
    """Positions rounded to whole ones; the names say where a half goes."""
    if rounding == "floor":
        return x.floor()
    if rounding == "ceil":
        return x.ceil()
    return (x - 0.5).ceil() if rounding == "round_prefer_floor" else (x + 0.5).floor()


def kernel_weights(distance: Tensor, mode: str, cubic: float) -> Tensor:
    """The weight of an element at a distance, of a tent (linear) or Keys' cubic with coefficient `cubic`."""
    d = distance.abs()
    if mode == "linear":
        return (1 - d).clamp(min=0)
    near = ((cubic + 2) * d - (cubic + 3)) * d * d + 1
    far = ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def interpolate_axis(x: Tensor, axis: int, position: Tensor, mode: str, cubic: float, exclude_outside: bool) -> Tensor:
    """`x` at the fractional positions along `axis`, from its 2 (linear) or 4 (cubic) neighbours."""
    size = x.shape[axis]
    base = position.floor()
    reach = range(2) if mode == "linear" else range(-1, 3)
    shape = [1] * x.ndim
    shape[axis] = -1
    index = torch.stack([base + step for step in reach])
    weight = kernel_weights(position - index, mode, cubic)
    if exclude_outside:
        weight = weight * ((index >= 0) & (index < size))
        weight = weight / weight.sum(0)
    index = index.clamp(0, size - 1).long()
    weight = weight.to(x.dtype)
    parts = [x.index_select(axis, i) * w.reshape(shape) for i, w in zip(index, weight, strict=True)]
    return torch.stack(parts).sum(0)


def antialias_axis(
    x: Tensor, axis: int, position: Tensor, scale: float, mode: str, cubic: float, exclude_outside: bool
) -> Tensor:
    """Like `interpolate_axis`, with the kernel widened when shrinking."""
    size, shrink = x.shape[axis], min(scale, 1.0)
    reach = int(2 / shrink) + 2
    places = torch.arange(-reach, size + reach, device=x.device)
    weight = kernel_weights((position.unsqueeze(1) - places) * shrink, mode, cubic)
    if exclude_outside:
        weight = weight * ((places >= 0) & (places < size))
    weight = weight / weight.sum(1, keepdim=True)
    edged = x.index_select(axis, places.clamp(0, size - 1)).movedim(axis, -1)
    return (edged @ weight.T.to(x.dtype)).movedim(-1, axis)


def resize(
    x: Tensor,
    axes: tuple[int, ...],
    scales: tuple[float, ...] | None,
    sizes: tuple[int, ...] | None,
    mode: str,
    coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor",
    antialias: bool = False,
    cubic: float = -0.75,
    exclude_outside: bool = False,
    roi: tuple[float, ...] = (),
    outside: float = 0.0,
    keep_aspect: str = "",
) -> Tensor:
    """ONNX's Resize of `axes`, by factors or to sizes. `roi` holds the starts and then the ends of a crop, in 0..1."""
    before = [x.shape[axis] for axis in axes]
    if sizes is not None:
        scales = tuple(size / old for size, old in zip(sizes, before, strict=True))
        if keep_aspect:
            scales = ((min if keep_aspect == "not_larger" else max)(scales),) * len(axes)
            sizes = tuple(torch.sym_int(scales[0] * old + 0.5) for old in before)
    assert scales is not None
    if sizes is None:
        sizes = tuple(torch.sym_int(old * scale) for old, scale in zip(before, scales, strict=True))
    is_outside = torch.zeros((), dtype=torch.bool, device=x.device)
    for number, axis in enumerate(axes):
        size, target, scale = before[number], sizes[number], scales[number]
        span = (roi[number], roi[number + len(axes)]) if roi else (0.0, 1.0)
        if coordinates != "tf_crop_and_resize" and isinstance(target, int) and target == size and scale == 1:
            continue
        position = source_positions(size, target, scale, coordinates, span, x.device)
        if roi:
            shape = [1] * x.ndim
            shape[axis] = -1
            is_outside = is_outside | ((position < 0) | (position > size - 1)).reshape(shape)
        if mode == "nearest":
            x = x.index_select(axis, nearest_index(position, rounding).clamp(0, size - 1).long())
        elif antialias:
            x = antialias_axis(x, axis, position, scale, mode, cubic, exclude_outside)
        else:
            x = interpolate_axis(x, axis, position, mode, cubic, exclude_outside)
    return torch.where(is_outside, outside, x) if roi else x
