"""Every size of the inputs fixed: OpenCV plans its memory for one size, and shape arithmetic becomes constants."""

from __future__ import annotations

from dataclasses import replace

from zoo.base.errors import UsageError
from zoo.convert.onnx_graph.graph import Dimension, Graph, Value

CHANNELS = (1, 3, 4)


def with_fixed_sizes(graph: Graph, batch: int | None, size: tuple[int, int] | None) -> Graph:
    """Where the inputs leave it open, the batch is `batch` or 1 and a picture (rank 4) has `size`, (height, width).

    Raises UsageError where a size stays open or the batch is another.
    """
    return replace(graph, inputs=tuple(_fixed(value, batch, size, graph.source) for value in graph.inputs))


def picture_axes(shape: tuple[Dimension, ...]) -> tuple[int, int]:
    """The axes of height and width of a picture input: after the channels, unless the channels come last."""
    return (1, 2) if shape[3] in CHANNELS and shape[1] not in CHANNELS else (2, 3)


def _fixed(value: Value, batch: int | None, size: tuple[int, int] | None, source: str) -> Value:
    shape = value.shape or ()
    wanted = {0: batch or 1}
    if len(shape) == 4 and size:
        wanted |= zip(picture_axes(shape), size, strict=True)
    if batch and shape and shape[0] != batch and isinstance(shape[0], int):
        raise UsageError(f"{source}: the input {value.name!r} is fixed to a batch of {shape[0]}, not {batch}")
    sizes = tuple(found if isinstance(found, int) else wanted.get(axis) for axis, found in enumerate(shape))
    if None in sizes:
        raise UsageError(
            f"{source}: the input {value.name!r} is {list(shape)}; OpenCV needs a fixed size",
            hint="give --width and --height",
        )
    return replace(value, shape=sizes)
