"""The loss of Darknet's yolo layers, as AlexeyAB's program has it with `iou_loss=ciou`.

A truth is learned by every anchor whose shape is like its own (IoU above `iou_thresh`), and in any case by the most
alike one, in the cell that its centre lies in. Everywhere else the objectness shall be 0, but where the predicted
box meets some truth (IoU above `ignore_thresh`) nothing is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zoo.shapes.network import Trainable, decode


@dataclass(frozen=True)
class Truth:
    """The truth of a batch: `boxes` [N, M, 4] (centre x, y, width, height, relative; zeros fill up), `classes` [N, M]
    (−1 fills up)."""

    boxes: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Weighting:
    """The keys of [yolo] that steer the loss."""

    ignore_thresh: float
    iou_thresh: float
    iou_normalizer: float


def yolo_loss(model: Trainable, outputs: list[Tensor], truth: Truth, weighting: Weighting) -> Tensor:
    """The mean loss for each responsible anchor, summed over boxes, objectness and classes."""
    net = model.network.net
    picture, which = torch.nonzero(truth.classes >= 0, as_tuple=True)
    boxes, classes = truth.boxes[picture, which], truth.classes[picture, which]
    sizes = [torch.tensor(head.anchors) / torch.tensor([net.width, net.height]) for head in model.heads]
    likeness = _shape_iou(boxes[:, 2:], torch.cat(sizes))
    chosen = (likeness > weighting.iou_thresh) | (likeness == likeness.amax(dim=1, keepdim=True))
    total, count = torch.zeros(()), chosen.sum()
    for raw, head, responsible in zip(
        outputs, model.heads, torch.split(chosen, [len(s) for s in sizes], dim=1), strict=True
    ):
        predicted, objectness, logits = decode(raw, head, net.width, net.height)
        target, asked = _objectness_target(predicted.detach(), truth, weighting.ignore_thresh)
        row, anchor = torch.nonzero(responsible, as_tuple=True)
        column = (boxes[row, 0] * raw.shape[3]).long()
        line = (boxes[row, 1] * raw.shape[2]).long()
        place = (picture[row], anchor, line, column)
        target[place], asked[place] = 1.0, 1.0
        total = total + weighting.iou_normalizer * (1 - ciou(predicted[place], boxes[row])).sum()
        total = total + functional.binary_cross_entropy_with_logits(objectness[..., 0], target, asked, reduction="sum")
        wanted = functional.one_hot(classes[row], head.classes).float()
        total = total + functional.binary_cross_entropy_with_logits(logits[place], wanted, reduction="sum")
    return total / count


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4] (centre x, y, width, height), broadcast."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(dim=-1)
    return shared / (a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1) - shared + 1e-9)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of Zheng et al. 2020 (arXiv:1911.08287), equations 7 to 11: IoU − ρ² / c² − αv."""
    overlap = iou(a, b)
    low = torch.minimum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.maximum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    distance = (a[..., :2] - b[..., :2]).square().sum(dim=-1) / (high - low).square().sum(dim=-1).clamp(min=1e-9)
    angle = torch.atan(b[..., 2] / b[..., 3]) - torch.atan(a[..., 2] / a[..., 3])
    v = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        alpha = v / (1 - overlap + v).clamp(min=1e-9)
    return overlap - distance - alpha * v


def _shape_iou(sizes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes [T, 2] and anchors [A, 2] laid on the same centre [T, A]."""
    shared = torch.minimum(sizes[:, None], anchors).prod(dim=-1)
    return shared / (sizes.prod(dim=-1)[:, None] + anchors.prod(dim=-1) - shared)


def _objectness_target(predicted: Tensor, truth: Truth, ignore: float) -> tuple[Tensor, Tensor]:
    """0 everywhere [N, anchors, h, w], and where it is asked for: 1, or 0 where a truth is met well enough."""
    flat = predicted.flatten(1, 3)
    best = iou(flat[:, :, None], truth.boxes[:, None]).amax(dim=-1)
    asked = (best <= ignore).float().reshape(predicted.shape[:-1])
    return torch.zeros_like(asked), asked
