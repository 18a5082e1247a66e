"""What Darknet's output layers hold after a forward pass: softmax, yolo, Gaussian_yolo, region, detection.

Pure functions on arrays of one float type. The values are those in Darknet's memory, in its order; making boxes of
them is `decode`'s work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.verify.reference.activations import logistic

Array = NDArray[np.floating[Any]]


def softmax(x: Array, axis: int = -1, temperature: float = 1.0) -> Array:
    """exp(x / temperature) over its sum along `axis`, shifted by the greatest."""
    scaled = x / x.dtype.type(temperature)
    power = np.exp(scaled - scaled.max(axis=axis, keepdims=True))
    result: Array = power / power.sum(axis=axis, keepdims=True)
    return result


def softmax_chunks(x: Array, sizes: Sequence[int], axis: int = -1, temperature: float = 1.0) -> Array:
    """One softmax for each of the contiguous chunks of `sizes` along `axis`."""
    parts = np.split(x, np.cumsum(sizes)[:-1], axis=axis)
    return np.concatenate([softmax(part, axis, temperature) for part in parts], axis=axis)


def softmax_layer(x: Array, groups: int, temperature: float, tree_groups: Sequence[int]) -> Array:
    """[N, …] → [N, outputs]: over the whole flattened map, in `groups` equal chunks, or in the groups of a tree."""
    rows = x.reshape(len(x), -1)
    sizes = tree_groups or [rows.shape[1] // groups] * groups
    return softmax_chunks(rows, sizes, temperature=temperature)


def yolo(x: Array, anchors: int, scale_x_y: float, new_coords: bool) -> Array:
    """Logistic on x, y, objectness and classes (not with new_coords), then x and y stretched about their middle."""
    output = x.reshape(len(x), anchors, -1, *x.shape[2:]).copy()
    if not new_coords:
        output[:, :, :2] = logistic(output[:, :, :2])
        output[:, :, 4:] = logistic(output[:, :, 4:])
    _stretch(output[:, :, :2], scale_x_y)
    return output.reshape(x.shape)


def gaussian_yolo(x: Array, anchors: int, scale_x_y: float) -> Array:
    """Per anchor mean and sigma of x, y, w, h, then objectness and classes; all logistic but the means of w and h."""
    output = x.reshape(len(x), anchors, -1, *x.shape[2:]).copy()
    raw = output[:, :, 4:7:2].copy()
    output = logistic(output)
    output[:, :, 4:7:2] = raw
    _stretch(output[:, :, 0:3:2], scale_x_y)
    return output.reshape(x.shape)


def _stretch(xy: Array, scale: float) -> None:
    """In place: xy · scale − (scale − 1) / 2."""
    xy *= xy.dtype.type(scale)
    xy += xy.dtype.type(-0.5 * (scale - 1))


def region_flat(x: Array, anchors: int, use_softmax: bool, tree_groups: Sequence[int]) -> Array:
    """A's region: memory in the order (y, x, anchor, 4 + 1 + classes), in the shape of the input. Logistic on the
    objectness, softmax (or one for each group of a tree) on the classes, which else stay raw; x, y, w, h raw."""
    images, depth, height, width = x.shape
    output = x.transpose(0, 2, 3, 1).reshape(images, height, width, anchors, depth // anchors).copy()
    output[..., 4] = logistic(output[..., 4])
    if tree_groups:
        output[..., 5:] = softmax_chunks(output[..., 5:], tree_groups)
    elif use_softmax:
        output[..., 5:] = softmax(output[..., 5:])
    return output.reshape(x.shape)


def region_maps(x: Array, anchors: int, use_softmax: bool, tree_groups: Sequence[int]) -> Array:
    """P's region: stays [anchors · (4 + 1 + classes), H, W]. Logistic on x, y and the objectness, softmax over the
    classes, logistic where there is none.

    The groups of a tree follow P's CUDA code: its CPU code mixes cells and classes and divides by 0.
    """
    output = x.reshape(len(x), anchors, -1, *x.shape[2:]).copy()
    output[:, :, :2] = logistic(output[:, :, :2])
    output[:, :, 4] = logistic(output[:, :, 4])
    if tree_groups:
        output[:, :, 5:] = softmax_chunks(output[:, :, 5:], tree_groups, axis=2)
    elif use_softmax:
        output[:, :, 5:] = softmax(output[:, :, 5:], axis=2)
    else:
        output[:, :, 5:] = logistic(output[:, :, 5:])
    return output.reshape(x.shape)


def detection(x: Array, places: int, classes: int, use_softmax: bool) -> Array:
    """YOLOv1: [N, outputs], first the classes of each place, which get a softmax if asked; the rest is raw."""
    output = x.reshape(len(x), -1).copy()
    if use_softmax:
        scores = output[:, : places * classes].reshape(len(x), places, classes)
        output[:, : places * classes] = softmax(scores).reshape(len(x), -1)
    return output
