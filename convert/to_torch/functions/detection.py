"""Non-maximum suppression, pooling of regions of interest, deformable convolution."""

from __future__ import annotations

import torch
from torch import Tensor


def corners_of(boxes: Tensor, is_centre: bool) -> Tensor:
    """Boxes [..., 4] as least and greatest coordinates, from (x, y, width, height) or any two opposite corners."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if is_centre:
        return torch.cat([first - second / 2, first + second / 2], dim=-1)
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=-1)


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [M, 4] with boxes [M, 4], pair by pair; 0 where one is empty."""
    sides = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    common = sides[:, 0] * sides[:, 1]
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a + area_b - common
    return torch.where((common > 0) & (area_a > 0) & (area_b > 0), common / union, torch.zeros_like(common))


def suppress(
    step: Tensor, alive: Tensor, kept: Tensor, corners: Tensor, group: Tensor, groups: Tensor, overlap: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """In every group at once: keep the first box alive, and end those that overlap it too much."""
    place = torch.arange(alive.shape[0], device=alive.device)
    last = torch.full_like(place, alive.shape[0])
    first = groups.scatter_reduce(0, group, torch.where(alive, place, last), "amin", include_self=False)[group]
    is_first = alive & (place == first)
    chosen = corners[first.clamp(max=alive.shape[0] - 1)]
    return step + 1, alive & ~is_first & (overlaps(corners, chosen) <= overlap), kept | is_first


def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    limit: int,
    overlap: float | Tensor,
    least_score: float | Tensor | None,
    is_centre: bool,
) -> Tensor:
    """Indices (image, class, box) [K, 3] of what is kept of boxes [N, B, 4] with scores [N, C, B], best first.

    All classes of all images advance together, one kept box in each per step: at most `limit` steps.
    """
    number_of_classes = scores.shape[1]
    flat = scores.flatten(0, 1)
    candidates = flat > least_score if least_score is not None else torch.ones_like(flat, dtype=torch.bool)
    found = candidates.nonzero()[flat[candidates].argsort(descending=True, stable=True)]
    found = found[found[:, 0].argsort(stable=True)]
    group, box = found[:, 0], found[:, 1]
    image = group // number_of_classes
    corners = corners_of(boxes, is_centre).flatten(0, 1).index_select(0, image * boxes.shape[1] + box)
    groups = torch.zeros(flat.shape[0], dtype=torch.int64, device=boxes.device)
    step = torch.zeros((), dtype=torch.int64, device=boxes.device)
    alive = torch.ones_like(group, dtype=torch.bool)
    kept = torch.zeros_like(alive)
    if torch.compiler.is_exporting():

        def unfinished(step: Tensor, alive: Tensor, kept: Tensor) -> Tensor:
            return alive.any() & (step < limit)

        def advance(step: Tensor, alive: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return suppress(step, alive, kept, corners, group, groups, overlap)

        _, _, kept = torch.while_loop(unfinished, advance, (step, alive, kept))
    else:
        while bool(alive.any()) and int(step) < limit:
            step, alive, kept = suppress(step, alive, kept, corners, group, groups, overlap)
    return torch.stack([image, group % number_of_classes, box], dim=1)[kept]


def sample_axis(
    start: Tensor, length: Tensor, bins: int, samples: Tensor, number: int, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sample `number` of each bin along one axis: two neighbours' indices [R, bins] and their weights.

    `samples` [R] says how many samples a bin of each region has; those beyond, or outside the image, weigh nothing.
    """
    steps = torch.arange(bins, dtype=start.dtype, device=start.device)
    bin_length = (length / bins).unsqueeze(1)
    position = start.unsqueeze(1) + (steps + (number + 0.5) / samples.clamp(min=1.0).unsqueeze(1)) * bin_length
    inside = (position >= -1) & (position <= size) & (number < samples).unsqueeze(1)
    position = position.clamp(0, size - 1)
    low = position.floor()
    high_weight = (position - low) * inside
    low = low.long()
    return low, (low + 1).clamp(max=size - 1), inside.to(high_weight.dtype) - high_weight, high_weight


def roi_align(
    x: Tensor,
    regions: Tensor,
    image: Tensor,
    size: tuple[int, int],
    scale: float,
    ratio: int,
    is_shifted: bool,
    take_max: bool,
) -> Tensor:
    """Regions (x1, y1, x2, y2) [R, 4] of images [N, C, H, W] as [R, C, *size]: the mean, or the largest, of bilinear
    samples in each bin; `ratio` samples a side, or as many as a bin has pixels where it is 0.
    """
    n, channels, height, width = x.shape
    box = regions * scale - (0.5 if is_shifted else 0.0)
    lengths = box[:, 2:] - box[:, :2]
    lengths = lengths if is_shifted else lengths.clamp(min=1.0)
    bins = torch.tensor([size[1], size[0]], dtype=x.dtype, device=x.device)
    samples = torch.full_like(lengths, ratio) if ratio else (lengths / bins).ceil()
    most_x, most_y = (ratio, ratio) if ratio else (int(samples[:, 0].max()), int(samples[:, 1].max()))
    planes = x.permute(1, 0, 2, 3).reshape(channels, n * height * width)
    offset = (image.long() * height).reshape(-1, 1)
    result = torch.full(
        (channels, regions.shape[0], *size), float("-inf") if take_max else 0.0, dtype=x.dtype, device=x.device
    )
    for number_y in range(most_y):
        for_y = sample_axis(box[:, 1], lengths[:, 1], size[0], samples[:, 1], number_y, height)
        for number_x in range(most_x):
            for_x = sample_axis(box[:, 0], lengths[:, 0], size[1], samples[:, 0], number_x, width)
            for iy, wy in ((for_y[0], for_y[2]), (for_y[1], for_y[3])):
                for ix, wx in ((for_x[0], for_x[2]), (for_x[1], for_x[3])):
                    index = ((iy + offset) * width).unsqueeze(2) + ix.unsqueeze(1)
                    value = planes[:, index] * (wy.unsqueeze(2) * wx.unsqueeze(1))
                    result = torch.maximum(result, value) if take_max else result + value
    if not take_max:
        result = result / samples.prod(1).clamp(min=1.0).reshape(-1, 1, 1)
    return result.transpose(0, 1)


def deform_conv(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: tuple[int, ...],
    pads: tuple[tuple[int, ...], tuple[int, ...]],
    dilation: tuple[int, ...],
    groups: int,
    offset_groups: int,
) -> Tensor:
    """Convolution whose kernel points are moved by `offset` (y, x for each point) and weighted by `mask`."""
    n, channels, height, width = x.shape
    kernel_h, kernel_w = weight.shape[2:]
    out_h, out_w = offset.shape[2:]
    points = kernel_h * kernel_w
    move = offset.reshape(n, offset_groups, points, 2, out_h, out_w)
    y0 = torch.arange(out_h, device=x.device) * stride[0] - pads[0][0]
    x0 = torch.arange(out_w, device=x.device) * stride[1] - pads[0][1]
    ky = torch.arange(kernel_h, device=x.device).repeat_interleave(kernel_w) * dilation[0]
    kx = torch.arange(kernel_w, device=x.device).repeat(kernel_h) * dilation[1]
    py = move[:, :, :, 0] + y0.reshape(-1, 1) + ky.reshape(-1, 1, 1)
    px = move[:, :, :, 1] + x0 + kx.reshape(-1, 1, 1)
    planes = x.reshape(n, offset_groups, channels // offset_groups, height * width)
    columns = torch.zeros(n, offset_groups, planes.shape[2], points * out_h * out_w, dtype=x.dtype, device=x.device)
    for dy in (0, 1):
        for dx in (0, 1):
            iy, ix = py.floor() + dy, px.floor() + dx
            share = (1 - (py - iy).abs()) * (1 - (px - ix).abs())
            share = share * ((iy >= 0) & (iy < height) & (ix >= 0) & (ix < width))
            index = (iy.clamp(0, height - 1) * width + ix.clamp(0, width - 1)).long()
            index = index.reshape(n, offset_groups, 1, -1).expand(-1, -1, planes.shape[2], -1)
            columns = columns + planes.gather(3, index) * share.reshape(n, offset_groups, 1, -1)
    columns = columns.reshape(n, offset_groups, planes.shape[2], points, out_h, out_w)
    if mask is not None:
        columns = columns * mask.reshape(n, offset_groups, 1, points, out_h, out_w)
    columns = columns.reshape(n, groups, channels // groups * points, out_h * out_w)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    result = (kernels @ columns).reshape(n, weight.shape[0], out_h, out_w)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
