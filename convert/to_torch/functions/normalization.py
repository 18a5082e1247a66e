"""Normalisations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def batch_norm_training(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float, momentum: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by the batch's own statistics; also the running mean and variance that follow."""
    axes = (0, *range(2, x.ndim))
    own_mean, own_variance = x.mean(axes), x.var(axes, correction=0)
    result = F.batch_norm(x, None, None, scale, bias, training=True, eps=epsilon)
    running_mean = mean * momentum + own_mean * (1 - momentum)
    return result, running_mean, variance * momentum + own_variance * (1 - momentum)


def layer_norm_with_statistics(
    x: Tensor, scale: Tensor, bias: Tensor | None, axis: int, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer normalisation over the dimensions from `axis` on, the mean, and 1 / standard deviation."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axes, keepdim=True)
    inverse = torch.rsqrt((x - mean).square().mean(axes, keepdim=True) + epsilon)
    result = (x - mean) * inverse * scale
    return result if bias is None else result + bias, mean, inverse


def rms_norm(x: Tensor, scale: Tensor, axis: int, epsilon: float) -> Tensor:
    """`x` divided by its root mean square over the dimensions from `axis` on."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon) * scale


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    """Divide by a power of the mean square over `size` neighbouring channels; an even `size` reaches further up."""
    before = (size - 1) // 2
    squares = F.pad(x.square().flatten(2).unsqueeze(1), (0, 0, before, size - 1 - before))
    mean = F.avg_pool2d(squares, (size, 1), stride=1).squeeze(1).reshape(x.shape)
    return x / (bias + alpha * mean) ** beta


def lp_normalize(x: Tensor, p: int, axis: int) -> Tensor:
    """`x` divided by its p-norm along `axis`; zeros stay zeros."""
    norm = torch.linalg.vector_norm(x, p, dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


def mean_variance_norm(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mean 0 and variance 1 along `axes`."""
    mean = x.mean(axes, keepdim=True)
    deviation = (x.square().mean(axes, keepdim=True) - mean.square()).sqrt()
    return (x - mean) / (deviation + 1e-9)
