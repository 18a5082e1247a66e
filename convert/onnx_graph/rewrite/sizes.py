"""Every size of the inputs fixed, for a target that plans its memory for one; shape arithmetic becomes constants."""

from __future__ import annotations

from dataclasses import replace

from zoo.base.errors import ConversionError, UsageError
from zoo.convert.onnx_graph.graph import Dimension, Graph, Value

CHANNELS = (1, 3, 4)


def with_fixed_sizes(graph: Graph, target: str, size: tuple[int, int] | None, batch: int | None = None) -> Graph:
    """Where the inputs leave it open, a picture (rank 4) has `size`, (height, width), and the batch is `batch` or 1.

    Raises ConversionError, which names the `target`, where a size stays open; UsageError where the batch is another.
    """
    return replace(graph, inputs=tuple(_fixed(value, target, size, batch, graph.source) for value in graph.inputs))


def picture_axes(shape: tuple[Dimension, ...]) -> tuple[int, int]:
    """The axes of height and width of a picture input: after the channels, unless the channels come last."""
    return (1, 2) if shape[3] in CHANNELS and shape[1] not in CHANNELS else (2, 3)


def has_open_pictures(graph: Graph) -> bool:
    """Whether a picture input takes more than one height or width."""
    shapes = (value.shape for value in graph.inputs if value.shape and value.rank == 4)
    return any(not isinstance(shape[axis], int) for shape in shapes for axis in picture_axes(shape))


def _fixed(value: Value, target: str, size: tuple[int, int] | None, batch: int | None, source: str) -> Value:
    shape = value.shape or ()
    wanted = {0: batch or 1}
    if len(shape) == 4 and size:
        wanted |= zip(picture_axes(shape), size, strict=True)
    if batch and shape and shape[0] != batch and isinstance(shape[0], int):
        raise UsageError(f"{source}: the input {value.name!r} is fixed to a batch of {shape[0]}, not {batch}")
    sizes = tuple(found if isinstance(found, int) else wanted.get(axis) for axis, found in enumerate(shape))
    if None in sizes:
        raise ConversionError(
            f"{source}: {target} has fixed sizes, but the input {value.name!r} is {list(shape)}",
            hint="give its height and width: zoo convert … --height 320 --width 320",
        )
    return replace(value, shape=sizes)
