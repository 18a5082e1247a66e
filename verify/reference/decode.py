"""Raw heads → boxes and scores of every box, in Darknet's own order, as its get_network_boxes makes them.

Boxes are centre x, y, width, height relative to the network input. Scores are what Darknet compares with its
threshold: objectness × class probability, and so on for the older heads. Knows neither pictures nor suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.errors import VerificationError
from zoo.darknet import Network
from zoo.darknet.layers import Detection, GaussianYolo, Head, Region, Softmax, Yolo
from zoo.verify.reference.activations import logistic
from zoo.verify.reference.darknet import head_name
from zoo.verify.reference.hierarchy import best_of_tree, deepest_of_tree

Array = NDArray[np.floating[Any]]
Decoded = tuple[Array, Array]

THRESHOLD = 0.25  # of Darknet's programs


def decode(network: Network, heads: Mapping[str, Array], *, threshold: float = THRESHOLD) -> Decoded:
    """(boxes [N, B, 4], scores [N, B, C]) of all heads, one behind the other.

    `threshold` matters to a region with a class tree only: there a box has one class, whose score counts where the
    *objectness* is above the threshold (A: the score is the class probability; P: it is the objectness). Raises
    VerificationError where the network has no head that makes boxes.
    """
    parts = [DECODERS[type(layer)](layer, heads[head_name(layer)], network, threshold) for layer in network.heads]
    if not parts:
        raise VerificationError("the network has no layer that makes boxes: it is no detector")
    boxes, scores = zip(*parts, strict=True)
    return np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)


def probabilities(network: Network, heads: Mapping[str, Array]) -> Array:
    """[N, C]: what the last softmax of a classifier holds. Raises VerificationError where there is none."""
    layers = [layer for layer in network.layers if isinstance(layer, Softmax)]
    if not layers:
        raise VerificationError("the network has no softmax layer: it is no classifier")
    return heads[head_name(layers[-1])]


def _cells(head: Array, anchors: int) -> Array:
    """A head [N, anchors · values, H, W] as [N, H, W, anchors, values]."""
    images, _, height, width = head.shape
    return head.reshape(images, anchors, -1, height, width).transpose(0, 3, 4, 1, 2)


def _centres(xy: Array) -> Array:
    """x, y within their cell, [N, H, W, anchors, 2], → relative to the network input."""
    height, width = xy.shape[1:3]
    rows, columns = np.indices((height, width), xy.dtype)
    corner = np.stack([columns, rows], axis=-1)[:, :, None]
    result: Array = (corner + xy) / np.array([width, height], xy.dtype)
    return result


def _anchors(layer: Head, unit: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """[anchors, 2]: width and height as shares of `unit` (width, height)."""
    result: Array = np.array(layer.anchors, dtype) / np.array(unit, dtype)
    return result


def _flat(boxes: Array, scores: Array) -> Decoded:
    return boxes.reshape(len(boxes), -1, 4), scores.reshape(len(scores), -1, scores.shape[-1])


def _yolo(layer: Yolo, head: Array, network: Network, threshold: float) -> Decoded:
    cells = _cells(head, len(layer.anchors))
    anchors = _anchors(layer, (network.net.width, network.net.height), head.dtype)
    raw = cells[..., 2:4]
    sizes = (raw * raw * 4 if layer.new_coords else np.exp(raw)) * anchors
    return _flat(np.concatenate([_centres(cells[..., :2]), sizes], axis=-1), cells[..., 4:5] * cells[..., 5:])


# yolo_point → how much of the width and height lies between the predicted point and the centre.
POINTS = {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}


def _gaussian_yolo(layer: GaussianYolo, head: Array, network: Network, threshold: float) -> Decoded:
    cells = _cells(head, len(layer.anchors))
    anchors = _anchors(layer, (network.net.width, network.net.height), head.dtype)
    sizes = np.exp(cells[..., 4:8:2]) * anchors
    centres = _centres(cells[..., 0:4:2]) + sizes * head.dtype.type(POINTS[layer.yolo_point])
    sigma = cells[..., 1:8:2].mean(axis=-1, keepdims=True)
    return _flat(np.concatenate([centres, sizes], axis=-1), cells[..., 8:9] * cells[..., 9:] * (1 - sigma))


def _region(layer: Region, head: Array, network: Network, threshold: float) -> Decoded:
    return (_region_flat if network.dialect == "alexey" else _region_maps)(layer, head, threshold)


def _region_flat(layer: Region, head: Array, threshold: float) -> Decoded:
    """A's region: the memory is (y, x, anchor, values), x and y still raw."""
    images, _, height, width = head.shape
    cells = head.reshape(images, height, width, len(layer.anchors), -1)
    sizes = np.exp(cells[..., 2:4]) * _anchors(layer, (width, height), head.dtype)
    boxes = np.concatenate([_centres(logistic(cells[..., :2])), sizes], axis=-1)
    objectness, classes = cells[..., 4:5], cells[..., 5:]
    if layer.classfix == -1:
        objectness = np.where(objectness < 0.5, 0, objectness)
    if layer.tree:
        return _flat(boxes, deepest_of_tree(classes, layer.tree) * (objectness > threshold))
    return _flat(boxes, objectness * classes)


def _region_maps(layer: Region, head: Array, threshold: float) -> Decoded:
    """P's region: anchors are major in the order of boxes."""
    height, width = head.shape[2:]
    cells = _cells(head, len(layer.anchors))
    sizes = np.exp(cells[..., 2:4]) * _anchors(layer, (width, height), head.dtype)
    boxes = np.concatenate([_centres(cells[..., :2]), sizes], axis=-1)
    objectness, classes = cells[..., 4:5], cells[..., 5:]
    if layer.tree:
        objectness = objectness * (objectness > threshold)
        classes = best_of_tree(classes, layer.tree)
    return _flat(boxes.transpose(0, 3, 1, 2, 4), (objectness * classes).transpose(0, 3, 1, 2, 4))


def _detection(layer: Detection, head: Array, network: Network, threshold: float) -> Decoded:
    side, boxes_each, classes = layer.side, layer.num, layer.classes
    places = side * side
    scores, objectness, boxes = np.split(head, [places * classes, places * (classes + boxes_each)], axis=1)
    cells = boxes.reshape(len(head), side, side, boxes_each, 4)
    sizes = cells[..., 2:] ** 2 if layer.sqrt else cells[..., 2:]
    objectness = objectness.reshape(len(head), side, side, boxes_each, 1)
    scores = scores.reshape(len(head), side, side, 1, classes)
    return _flat(np.concatenate([_centres(cells[..., :2]), sizes], axis=-1), objectness * scores)


Decoder = Callable[[Any, Array, Network, float], Decoded]
DECODERS: dict[type[Head], Decoder] = {
    Yolo: _yolo,
    GaussianYolo: _gaussian_yolo,
    Region: _region,
    Detection: _detection,
}
