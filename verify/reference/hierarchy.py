"""Class trees (yolo9000): from a softmax for each group of siblings to one class for each box.

Both programs first multiply each class by its ancestors, then choose differently. Arrays are [..., classes].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.darknet.tree import Tree

Array = NDArray[np.floating[Any]]

CONFIDENT = 0.5  # a class counts above this; A has it in the code, P as the default of -hier


def absolute(conditional: Array, tree: Tree) -> Array:
    """Each class's probability times those of all its ancestors."""
    output = np.array(conditional)
    for first, count in tree.groups:
        parent = tree.parents[first]
        if parent >= 0:
            output[..., first : first + count] *= output[..., parent : parent + 1]
    return output


def deepest_of_tree(conditional: Array, tree: Tree) -> Array:
    """A's choice: the last class of the list that is above 0.5 keeps its probability, all others become 0."""
    values = absolute(conditional, tree)
    above = values > CONFIDENT
    last = above.shape[-1] - 1 - above[..., ::-1].argmax(axis=-1)
    chosen = (np.arange(above.shape[-1]) == last[..., None]) & above
    return np.where(chosen, values, 0)


def best_of_tree(conditional: Array, tree: Tree) -> Array:
    """P's choice as 1 among zeros: from the first group down to the best child while the product stays above 0.5."""
    values = absolute(conditional, tree).reshape(-1, conditional.shape[-1])
    children = {tree.parents[first]: (first, count) for first, count in tree.groups}
    output = np.zeros_like(values)
    for row, result in zip(values, output, strict=True):
        result[_descend(row, children)] = 1
    return output.reshape(conditional.shape)


def _descend(row: Array, children: dict[int, tuple[int, int]]) -> int:
    parent, product = -1, 1.0
    while parent in children:
        first, count = children[parent]
        best = first + int(row[first : first + count].argmax())
        product *= float(row[best])
        if product <= CONFIDENT:
            return best if parent < 0 else parent
        parent = best
    return parent
