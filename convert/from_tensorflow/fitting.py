"""How a source fits a picture into its network, found by showing it pictures.

For files that take pictures of one size: there the program around the network has to do it. No conversion ends for
this: of a source that takes no colour pictures, or does not run on these, nothing is told. What is told, as the
manifest's `detector` keeps it:

- `resize`: "stretch", or "letterbox": scaled to fit, the rest filled up;
- of a letterbox `place`, "corner" (the upper left one) or "centre", and `pad`, the colour (red, green, blue) that is
  the same to the network as what the source fills up with;
- `coordinates`: which point of the picture a pixel becomes, in ONNX's terms;
- `white`, 255, where floats go up to that, as the colour of the filling shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.batching.context import Context
from zoo.convert.from_tensorflow.batching.value import Value
from zoo.convert.from_tensorflow.evaluate import Evaluator
from zoo.convert.from_tensorflow.load import Loaded
from zoo.convert.from_tensorflow.rebuild import HANDLERS, network_input

Array = NDArray[Any]

# Heights and widths of the pictures shown, where the source takes any: not square, so that padding shows; two, because
# a network may have the shape of one of them.
SIZES = ((32, 64), (64, 32))
COLOURS = 3
LARGEST = COLOURS * 4096**2  # elements of a tensor; a source that makes larger ones before its network is not run
WHITE = 255


def fitting(loaded: Loaded) -> dict[str, Any]:
    """What the source does with a picture before its network; nothing where that cannot be found out."""
    if len(loaded.inputs) != 1:
        return {}
    (shape,) = loaded.shapes.values()
    if len(shape) != 4 or shape[-1] not in (None, COLOURS):
        return {}
    graph = tf.Graph()
    try:
        with graph.as_default():
            picture, network = _before_the_network(loaded, graph)
        if any((tensor.shape.num_elements() or 0) > LARGEST for tensor in _tensors(graph)):
            return {}
        placed = _seen(graph, picture, network)
    except (ConversionError, tf.errors.OpError, ValueError):  # the last of shapes that do not go together
        return {}
    rules = {_coordinates(operation) for operation in graph.get_operations() if operation.type == "ResizeBilinear"}
    return {**placed, **({"coordinates": rules.pop()} if placed and len(rules) == 1 else {})}


def _before_the_network(loaded: Loaded, graph: tf.Graph) -> tuple[Any, Any]:
    """The placeholder of one picture, and the tensor that the first convolution takes."""
    ((key, ref),) = loaded.inputs.items()
    batch, *sizes, _ = loaded.shapes[key]
    picture = tf.compat.v1.placeholder(loaded.dtypes[key], [batch or 1, *sizes, COLOURS], name=key)
    evaluator = Evaluator(loaded.graph, Context(graph), {ref: Value(picture)}, handlers=HANDLERS)
    return picture, evaluator.value(network_input(loaded.graph)).tensor


def _tensors(graph: tf.Graph) -> Iterator[Any]:
    return (tensor for operation in graph.get_operations() for tensor in operation.outputs)


def _seen(graph: tf.Graph, picture: Any, network: Any) -> dict[str, Any]:
    """What pictures of `SIZES` show of the source: a letterbox where one of them is filled up."""
    told: dict[str, Any] = {}
    batch, *given, _ = picture.shape
    with tf.compat.v1.Session(graph=graph) as session:
        for sizes in dict.fromkeys(tuple(own or size for own, size in zip(given, one, strict=True)) for one in SIZES):
            shown = _shown([batch, *sizes, COLOURS], picture.dtype)
            told = _placed(*(session.run(network, {picture: one}) for one in shown))
            if told.get("resize") != "stretch":
                break
    return {**told, **_in_bytes(told["pad"], picture.dtype.is_floating)} if "pad" in told else told


def _in_bytes(colour: list[float], floats: bool) -> dict[str, Any]:
    """The colour where white is 255. Floats go up to 1, as everywhere in zoo, unless the source fills up with more:
    then they go up to 255."""
    unit = WHITE if floats and round(max(colour), 3) <= 1 else 1
    pad = [round(level * unit, 3) + 0.0 for level in colour]
    return {"pad": pad, "white": WHITE} if floats and unit == 1 else {"pad": pad}


def _shown(shape: list[int], dtype: tf.DType) -> Iterator[Array]:
    """A black picture, and one in the full light of each colour."""
    for colour in np.vstack([np.zeros(COLOURS), np.eye(COLOURS) * WHITE]).astype(dtype.as_numpy_dtype):
        yield np.broadcast_to(colour, shape)


def _placed(black: Array, *lit: Array) -> dict[str, Any]:
    """What the network sees, [N, H, W, C], of a black picture and of the lit ones. What no light changes is filled up;
    elsewhere what is seen is linear in the colour, which gives the colour of the filling."""
    if {one.shape for one in lit} != {black.shape} or black.shape[-1:] != (COLOURS,) or not black.size:
        return {}
    inside = np.any([(one[0] != black[0]).any(axis=-1) for one in lit], axis=0)
    if inside.all():
        return {"resize": "stretch"}
    if not inside.any():
        return {}
    first, filled = np.argwhere(inside)[0], np.argwhere(~inside)[-1]
    dark, filling = black[0, *first].astype(np.float64), black[0, *filled].astype(np.float64)
    response = np.stack([one[0, *first] - dark for one in lit], axis=-1) / WHITE
    if not np.isfinite([*response.flat, *filling, *dark]).all():
        return {}
    colour = np.linalg.lstsq(response, filling - dark, rcond=None)[0]
    place = "corner" if not first.any() else "centre"
    return {"resize": "letterbox", "place": place, "pad": colour.tolist()}


def _coordinates(resize: Any) -> str:
    if resize.get_attr("align_corners"):
        return "align_corners"
    return "half_pixel" if resize.get_attr("half_pixel_centers") else "asymmetric"
