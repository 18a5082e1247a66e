"""The entries of the operator table, grouped by kind; importing this package fills the table."""

from zoo.convert.to_torch.operators import (
    activation,
    arithmetic,
    control_flow,
    convolution,
    detection,
    indexing,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    sequence,
    shape,
)

__all__ = [
    "activation",
    "arithmetic",
    "control_flow",
    "convolution",
    "detection",
    "indexing",
    "normalization",
    "pooling",
    "recurrent",
    "reduction",
    "resize",
    "sequence",
    "shape",
]
