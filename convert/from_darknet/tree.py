"""A class hierarchy in ONNX: softmax over each group of siblings, products along the path from the root.

9418 classes have 1846 groups: groups of similar size are gathered into one padded matrix, one Softmax for each size.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from zoo.convert.onnx_graph.build import GraphBuilder
from zoo.darknet.tree import Tree


def tree_softmax(graph: GraphBuilder, tree: Tree, value: str, name: str, rank: int) -> str:
    """Softmax of the last axis (the classes) of a value with `rank` axes, group by group."""
    count, axis = len(tree.parents), rank - 1
    padding = graph.integers(*[0] * (2 * rank - 1), 1)
    padded = graph.op("Pad", value, padding, graph.constant(np.finfo(np.float32).min), hint=f"{name}.padded")
    parts, position, offset = [], np.zeros(count, np.int64), 0
    for width, groups in _by_width(tree).items():
        indices = np.full((len(groups), width), count, np.int64)
        for row, (first, size) in enumerate(groups):
            indices[row, :size] = np.arange(first, first + size)
            position[first : first + size] = offset + row * width + np.arange(size)
        rows = graph.op("Gather", padded, graph.constant(indices, np.int64), hint=f"{name}.group", axis=axis)
        rows = graph.op("Softmax", rows, hint=f"{name}.softmax", axis=rank)
        shape = graph.integers(*[0] * axis, len(groups) * width)
        parts.append(graph.op("Reshape", rows, shape, hint=f"{name}.row"))
        offset += len(groups) * width
    joined = graph.op("Concat", *parts, hint=f"{name}.rows", axis=axis) if len(parts) > 1 else parts[0]
    return graph.op("Gather", joined, graph.constant(position, np.int64), hint=name, axis=axis)


def _by_width(tree: Tree) -> dict[int, list[tuple[int, int]]]:
    """Groups by the next power of two of their size."""
    widths: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for first, size in tree.groups:
        widths[1 << (size - 1).bit_length()].append((first, size))
    return dict(sorted(widths.items()))


def path_products(graph: GraphBuilder, tree: Tree, value: str, name: str, rank: int) -> str:
    """For each class the product of the values from its root down to it, by doubling the step towards the root."""
    axis = rank - 1
    ancestors = np.append(np.asarray(tree.parents, np.int64), -1)
    ancestors[ancestors < 0] = len(tree.parents)  # the root's parent: an extra element that is 1
    padding = graph.integers(*[0] * (2 * rank - 1), 1)
    value = graph.op("Pad", value, padding, graph.constant(1.0), hint=f"{name}.padded")
    while (ancestors != len(tree.parents)).any():
        above = graph.op("Gather", value, graph.constant(ancestors, np.int64), hint=f"{name}.above", axis=axis)
        value = graph.op("Mul", value, above, hint=f"{name}.product")
        ancestors = ancestors[ancestors]
    ends = graph.integers(len(tree.parents))
    return graph.op("Slice", value, graph.integers(0), ends, graph.integers(axis), hint=name)


def roots(tree: Tree) -> NDArray[np.int64]:
    """The classes without a parent, which are the first group."""
    return np.arange(tree.groups[0][1])
