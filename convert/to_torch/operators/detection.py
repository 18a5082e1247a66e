"""What detectors end with: non-maximum suppression, pooling of regions of interest, sampling grids."""

from __future__ import annotations

from zoo.convert.to_torch.code import Code, call
from zoo.convert.to_torch.operators.activation import float32
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use


@operator("NonMaxSuppression", since=10)
def non_max_suppression(use: Use) -> Code:
    """A missing limit of boxes means none at all, in ONNX too; a missing score threshold keeps every box."""
    limit = use.sizes(2)[0] if use.has(2) else 0
    overlap = use.element(3) if use.has(3) else 0.0
    score = use.element(4) if use.has(4) else None
    centre = bool(use.attribute("center_point_box", 0))
    return use.helper("non_max_suppression", use.tensor(0), use.tensor(1), limit, overlap, score, centre)


@operator("RoiAlign", since=10)
def roi_align(use: Use) -> Code:
    """Before opset 16 there was no half-pixel shift."""
    size = (use.attribute("output_height", 1), use.attribute("output_width", 1))
    default = "half_pixel" if use.version >= 16 else "output_half_pixel"
    aligned = use.attribute("coordinate_transformation_mode", default) == "half_pixel"
    scale, ratio = float32(use.attribute("spatial_scale", 1.0)), use.attribute("sampling_ratio", 0)
    take_max = use.attribute("mode", "avg") == "max"
    boxes = [use.tensor(position) for position in range(3)]
    return use.helper("roi_align", *boxes, size, scale, ratio, aligned, take_max)


@operator("GridSample", since=16)
def grid_sample(use: Use) -> Code:
    modes = {
        "bilinear": "bilinear",
        "linear": "bilinear",
        "bicubic": "bicubic",
        "cubic": "bicubic",
        "nearest": "nearest",
    }
    mode = modes.get(use.attribute("mode", "bilinear"))
    padding = use.attribute("padding_mode", "zeros")
    if mode is None or padding not in ("zeros", "border", "reflection"):
        use.refuse("its mode or padding_mode is unknown")
    if mode == "bicubic" and use.rank(0) != 4:
        use.refuse("PyTorch samples cubically in two dimensions only")
    corners = bool(use.attribute("align_corners", 0))
    arguments = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    return call("F.grid_sample", use.tensor(0), use.tensor(1), **arguments)


@operator("AffineGrid", since=20)
def affine_grid(use: Use) -> Code:
    corners = bool(use.attribute("align_corners", 0))
    return call("F.affine_grid", use.tensor(0), use.sizes(1), align_corners=corners)
