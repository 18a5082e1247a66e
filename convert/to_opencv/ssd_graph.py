"""Reads a TF 1 SSD of the Object Detection API out of its frozen graph: what is needed to say it in OpenCV's layers.

Structure comes from the operators; numbers come from the graph itself, which is asked: a box encoding of zeros is
decoded to the anchors, one of ones tells the scales of the box coder, a black and a white picture tell how pixels are
normalised. So no name of a node and no line of a pipeline.config has to be believed. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.graph import Node, SourceGraph
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.rewrite.nms_stage import Stage, find_stages
from zoo.convert.from_tensorflow.source import FROZEN, Source
from zoo.convert.to_opencv.frozen_session import Array, FrozenSession

HUB = "take the ONNX file: --to opencv --opencv 4"
LAID = ("Reshape", "Squeeze", "ExpandDims")  # between the convolution of a head and the joint of all heads
CONVERTERS = ("Sigmoid", "Softmax")
NEAR = 1e-4  # of a pixel's or an anchor's value: rounding in float32


@dataclass(frozen=True)
class Level:
    """One map of features: the convolutions' results for boxes and classes, and its anchors' sizes of the picture's."""

    boxes: str
    classes: str
    heights: tuple[float, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Ssd:
    """`network` are the operators between the normalised picture `start` and the levels' results, in no order.

    A pixel is normalised as `scale` · pixel + `shift`, for each channel. `variances` belong to ymin, xmin, height and
    width as OpenCV counts them: x, y, width, height. `stage` has the thresholds and limits of the suppression;
    `outputs` are the source's own, by name.
    """

    graph: SourceGraph
    input: str
    start: str
    network: tuple[Node, ...]
    scale: Array
    shift: Array
    levels: tuple[Level, ...]
    variances: tuple[float, ...]
    converter: str
    stage: Stage
    outputs: Mapping[str, str]


def read_ssd(source: Source, size: tuple[int, int]) -> Ssd:
    """The SSD in `source` for pictures of `size`, (height, width): its own input size.

    Raises ConversionError where the graph is not a TF 1 SSD, or is one that OpenCV's layers cannot say.
    """
    if source.kind != FROZEN:
        raise _unfit(source.path, "is a SavedModel; OpenCV's TensorFlow reader takes frozen graphs only")
    loaded = load(source, "")
    graph, (image, *_) = loaded.graph, loaded.inputs.values()
    stages = find_stages(graph)
    if len(stages) != 1:
        raise _unfit(source.path, f"has {len(stages)} suppressions, expected the one of an SSD")
    joints = [node for node in graph.of_op("ConcatV2") if all(_head(graph, ref) for ref in node.inputs[:-1])]
    by_kind = {_follows(graph, joint, "Exp") is not None: joint for joint in joints}
    if len(joints) != 2 or len(by_kind) != 2:
        raise _unfit(source.path, "is no SSD: it does not join the maps of boxes and of classes of several levels")
    boxes, classes = by_kind[True], by_kind[False]
    heads = [[_head(graph, ref) for ref in joint.inputs[:-1]] for joint in (boxes, classes)]
    start, network = _between(graph, [head for part in heads for head in part])
    with FrozenSession(source.path, image, size) as session:
        scale, shift = _normalisation(session, start)
        anchors, variances = _decoding(session, graph, boxes, source.path)
        maps = [session.run(head).shape[1:3] for head in heads[0]]
    converter = next((op for op in CONVERTERS if _follows(graph, classes, op)), "")
    levels = tuple(
        Level(box, score, *sizes) for box, score, sizes in zip(*heads, _sizes(anchors, maps, source.path), strict=True)
    )
    return Ssd(graph, image, start, network, scale, shift, levels, variances, converter, stages[0], loaded.outputs)


def _unfit(path: Path, why: str) -> ConversionError:
    return ConversionError(f"{path} {why}", hint=HUB)


def _head(graph: SourceGraph, ref: str) -> str:
    """The result of the convolution that a part of a joint comes from; "" where it comes from something else."""
    ref = graph.origin(ref)
    while graph.source(ref).op in LAID:
        ref = graph.origin(graph.source(ref).inputs[0])
    node = graph.source(ref)
    return ref if node.op == "BiasAdd" and graph.source(node.inputs[0]).op == "Conv2D" else ""


def _follows(graph: SourceGraph, node: Node, op: str) -> Node | None:
    """The nearest operator `op` that depends on the node; suppressions are not passed."""
    pending, seen = [node], {node.name}
    while pending:
        one = pending.pop(0)
        if one.op == op:
            return one
        for output in range(4):
            for user in graph.users.get(f"{one.name}:{output}", ()):
                if user.name not in seen and not user.op.startswith(("NonMaxSuppression", "Shape")):
                    seen.add(user.name)
                    pending.append(user)
    return None


def _between(graph: SourceGraph, heads: list[str]) -> tuple[str, tuple[Node, ...]]:
    """Where the network begins, and its operators up to the heads. Constants are not among them."""
    network: dict[str, Node] = {}
    starts: set[str] = set()
    pending = list(heads)
    while pending:
        ref = graph.origin(pending.pop())
        node = graph.source(ref)
        if node.op.startswith("TensorArrayGather") or node.op in ("Placeholder", "ResizeBilinear"):
            starts.add(ref)
        elif node.op != "Const" and node.name not in network:
            network[node.name] = node
            pending += node.inputs
    if len(starts) != 1:
        raise ConversionError(f"the network of the SSD begins at {len(starts)} places, expected one", hint=HUB)
    return starts.pop(), tuple(network.values())


def _normalisation(session: FrozenSession, start: str) -> tuple[Array, Array]:
    """(scale, shift) of each channel: the network takes scale · pixel + shift."""
    black, white, grey = (session.run(start, colour) for colour in (0, 255, 100))
    shift = black[0, 0, 0]
    scale = (white[0, 0, 0] - shift) / np.float32(255)
    if black.shape[1:3] != session.size or np.abs(grey - (100 * scale + shift)).max() > NEAR * np.abs(white).max():
        raise _unfit(session.path, "does not take pictures of {} x {} as they are".format(*session.size))
    return scale, shift


def _decoding(session: FrozenSession, graph: SourceGraph, joint: Node, path: Path) -> tuple[Array, tuple[float, ...]]:
    """Anchors [A, 4] as (y, x of the centre, height, width), and the variances in OpenCV's order."""
    exponent = _follows(graph, joint, "Exp")
    decoded = _follows(graph, exponent, "Pack") if exponent else None
    if decoded is None or len(decoded.inputs) != 4:
        raise _unfit(path, "decodes its boxes in another way than the API's faster_rcnn_box_coder")
    ref, shape = f"{joint.name}:0", session.run(f"{joint.name}:0").shape

    def decode(encoding: Array) -> Array:
        corners = session.run(f"{decoded.name}:0", feeds={ref: encoding.reshape(shape)})
        ymin, xmin, ymax, xmax = corners if decoded.integer("axis") == 0 else corners.T
        return np.stack([(ymin + ymax) / 2, (xmin + xmax) / 2, ymax - ymin, xmax - xmin], axis=1)

    anchors = decode(np.zeros(shape, np.float32))
    moved = decode(np.ones(shape, np.float32))
    steps = (moved[:, :2] - anchors[:, :2]) / anchors[:, 2:]
    growth = np.log(moved[:, 2:] / anchors[:, 2:])
    found = np.concatenate([steps, growth], axis=1)
    y, x, height, width = np.median(found, axis=0).tolist()
    noise = np.random.default_rng(0).normal(size=(len(anchors), 4)).astype(np.float32)
    expected = np.concatenate([
        anchors[:, :2] + noise[:, :2] * [y, x] * anchors[:, 2:],
        np.exp(noise[:, 2:] * [height, width]) * anchors[:, 2:],
    ], axis=1)  # fmt: skip
    if np.abs(decode(noise) - expected).max() > NEAR:
        raise _unfit(path, "decodes its boxes in another way than the API's faster_rcnn_box_coder")
    return anchors, tuple(round(value, 6) for value in (x, y, width, height))


def _sizes(
    anchors: Array, maps: list[tuple[int, ...]], path: Path
) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """(heights, widths) of the anchors of each level: the same in the middle of every cell, or PriorBox has no way."""
    begin = 0
    for height, width in maps:
        here = anchors[begin:]
        apart = np.abs(here[:, :2] - here[0, :2]).max(axis=1) > NEAR
        each = int(apart.argmax()) or len(here)  # those of the first cell
        level = here[: height * width * each]
        y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
        expected = np.concatenate(
            [
                np.repeat(np.stack([y, x], axis=-1).reshape(-1, 2), each, axis=0),
                np.tile(here[:each, 2:], (len(y) * width, 1)),
            ],
            axis=1,
        )
        if level.shape != expected.shape or np.abs(level - expected).max() > NEAR:
            raise _unfit(path, f"has anchors that are not the same in the middle of each of {height} x {width} cells")
        begin += len(level)
        heights, widths = here[:each, 2:].T.tolist()
        yield tuple(heights), tuple(widths)
    if begin != len(anchors):
        raise _unfit(path, f"has {len(anchors)} anchors, but its levels have {begin}")
