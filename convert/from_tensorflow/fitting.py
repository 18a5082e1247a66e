"""How a source fits a picture into its network, found by showing it pictures. Runs in the child only.

For files that take pictures of one size: there the program around the network has to do it. What is told, as the
manifest's `detector` keeps it:

- `resize`: "stretch", or "letterbox": scaled to fit, the rest filled up;
- of a letterbox `place`, "corner" (the upper left one) or "centre", and `pad`, the colour (red, green, blue) that is
  the same to the network as what the source fills up with;
- `coordinates`: which point of the picture a pixel becomes, in ONNX's terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from zoo.convert.from_tensorflow.batching.context import Context
from zoo.convert.from_tensorflow.batching.value import NotBatched, Value
from zoo.convert.from_tensorflow.evaluate import Evaluator
from zoo.convert.from_tensorflow.load import Loaded
from zoo.convert.from_tensorflow.rebuild import HANDLERS, network_input

Array = NDArray[Any]

SIZE = (32, 64)  # height and width of the pictures shown, where the source takes any: not square, so that padding shows
WHITE = 255


def fitting(loaded: Loaded) -> dict[str, Any]:
    """What the source does with a picture before its network; nothing where it takes none."""
    if len(loaded.inputs) != 1 or len(*loaded.shapes.values()) != 4:
        return {}
    graph = tf.Graph()
    try:
        with graph.as_default():
            picture, network = _before_the_network(loaded, graph)
    except NotBatched:
        return {}
    with tf.compat.v1.Session(graph=graph) as session:
        black, *lit = (session.run(network, {picture: shown})[0] for shown in _shown(picture))
    rules = {_coordinates(operation) for operation in graph.get_operations() if operation.type == "ResizeBilinear"}
    return {**_placed(black, np.stack(lit, axis=-1)), **({"coordinates": rules.pop()} if len(rules) == 1 else {})}


def _before_the_network(loaded: Loaded, graph: tf.Graph) -> tuple[Any, Any]:
    """The placeholder of one picture, and the tensor that the first convolution takes."""
    ((key, ref),) = loaded.inputs.items()
    _, *sizes, channels = loaded.shapes[key]
    picture = tf.compat.v1.placeholder(loaded.dtypes[key], [1, *sizes, channels], name=key)
    evaluator = Evaluator(loaded.graph, Context(graph), {ref: Value(picture)}, handlers=HANDLERS)
    return picture, evaluator.value(network_input(loaded.graph)).tensor


def _shown(picture: Any) -> list[Array]:
    """A black picture, and one in the full light of each colour."""
    sizes = [given or size for given, size in zip(picture.shape[1:3], SIZE, strict=True)]
    colours = np.vstack([np.zeros(3), np.eye(3) * WHITE])
    return [np.broadcast_to(colour, (1, *sizes, 3)).astype(picture.dtype.as_numpy_dtype) for colour in colours]


def _placed(black: Array, lit: Array) -> dict[str, Any]:
    """What the network sees of a black picture is [H, W, C], of the lit ones [H, W, C, 3]. What no light changes is
    filled up; elsewhere what is seen is linear in the colour, which gives the colour of the filling."""
    response = (lit - black[..., np.newaxis]).astype(np.float64) / WHITE
    inside = response.any(axis=(2, 3))
    if inside.all():
        return {"resize": "stretch"}
    first, filled = np.argwhere(inside)[0], np.argwhere(~inside)[-1]
    colour = np.linalg.lstsq(response[*first], black[*filled].astype(np.float64) - black[*first], rcond=None)[0]
    place = "corner" if not first.any() else "centre"
    return {"resize": "letterbox", "place": place, "pad": [abs(round(float(level), 3)) for level in colour]}


def _coordinates(resize: Any) -> str:
    if resize.get_attr("align_corners"):
        return "align_corners"
    return "half_pixel" if resize.get_attr("half_pixel_centers") else "asymmetric"
