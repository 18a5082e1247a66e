"""Values with a remembered order of axes, so that a Transpose costs nothing until someone needs the axes in order.

ONNX writes pictures as N, C, H, W; TensorFlow computes on N, H, W, C. A `Laid` is a tensor as it lies in memory plus
its `order`: axis j of the tensor is axis order[j] of the ONNX value. A convolution's result stays N, H, W, C with the
order (0, 2, 3, 1); an ONNX Transpose only rewrites the order; element-wise operators bring their inputs to one
common order; and only an operator that needs the ONNX order pays for a real transpose (`logical`).

Nothing here knows an ONNX operator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf

Order = tuple[int, ...]
Size = Any  # an int, or a scalar int64 tensor where the size is known only when the model runs


@dataclass(frozen=True, eq=False)
class Laid:
    """A tensor, and which axis of the ONNX value each of its axes holds."""

    tensor: tf.Tensor
    order: Order

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes in ONNX order; None where not known before the model runs."""
        return tuple(self.tensor.shape[self.position(axis)] for axis in range(self.rank))

    def position(self, axis: int) -> int:
        """Where the tensor holds the ONNX axis `axis` (negative: from the end)."""
        return self.order.index(axis % self.rank)

    def sizes(self) -> list[Size]:
        """The sizes in ONNX order: ints where known, else scalar int64 tensors."""
        if None not in self.shape:
            return list(self.shape)
        running = tf.shape(self.tensor, out_type=tf.int64)
        return [running[self.position(axis)] if size is None else size for axis, size in enumerate(self.shape)]


def plain(tensor: tf.Tensor) -> Laid:
    """A tensor whose axes are in ONNX order already."""
    return Laid(tensor, tuple(range(len(tensor.shape))))


def channels_last(rank: int) -> Order:
    """The order N, spatial…, C."""
    return (0, *range(2, rank), 1)


def in_order(value: Laid, order: Order) -> tf.Tensor:
    """The tensor with its axes in `order`: as it is, by a reshape where only axes of size 1 move, or transposed."""
    if value.order == order:
        return value.tensor
    sizes = value.shape
    longer = [axis for axis in value.order if sizes[axis] != 1]
    if longer == [axis for axis in order if sizes[axis] != 1] and sum(size is None for size in sizes) <= 1:
        return tf.reshape(value.tensor, [-1 if sizes[axis] is None else sizes[axis] for axis in order])
    return tf.transpose(value.tensor, [value.position(axis) for axis in order])


def logical(value: Laid) -> tf.Tensor:
    """The tensor with its axes in ONNX order."""
    return in_order(value, tuple(range(value.rank)))


def transposed(value: Laid, axes: Sequence[int]) -> Laid:
    """ONNX's Transpose: new axis i is old axis axes[i]. Moves nothing."""
    return Laid(value.tensor, tuple(list(axes).index(axis) for axis in value.order))


def without(value: Laid, axes: Sequence[int], tensor: tf.Tensor) -> Laid:
    """`tensor` is `value`'s with the ONNX axes `axes` gone; number the others anew."""
    kept = [axis for axis in value.order if axis not in axes]
    names = sorted(kept)
    return Laid(tensor, tuple(names.index(axis) for axis in kept))


def unsqueezed(value: Laid, axes: Sequence[int]) -> Laid:
    """ONNX's Unsqueeze: axes of size 1 at the (non-negative, new) positions `axes`."""
    order = list(value.order)
    tensor = value.tensor
    for axis in sorted(axes):
        order = [other + (other >= axis) for other in order]
        place = order.index(axis + 1) if axis + 1 in order else len(order)
        tensor = tf.expand_dims(tensor, place)
        order.insert(place, axis)
    return Laid(tensor, tuple(order))


def aligned(values: Sequence[Laid | np.ndarray], rank: int = 0) -> tuple[list[tf.Tensor | np.ndarray], Order]:
    """The values with their axes in one order, ready for an element-wise operator that broadcasts, and that order.

    The order is that of the biggest value, so that small ones move. Values of a lower rank get leading axes of
    size 1 as broadcasting would give them; `rank` asks for a higher rank than any of them has.
    """
    rank = max(rank, *(len(value.shape) for value in values))
    leader = max(values, key=lambda value: _weight(value, rank))
    order: Order = tuple(range(rank))
    if isinstance(leader, Laid):
        order = unsqueezed(leader, range(rank - leader.rank)).order
    return [_arranged(value, order) for value in values], order


def _weight(value: Laid | np.ndarray, rank: int) -> tuple[bool, bool, float]:
    known = isinstance(value, Laid)
    return known, len(value.shape) == rank, math.prod(math.inf if size is None else size for size in value.shape)


def _arranged(value: Laid | np.ndarray, order: Order) -> tf.Tensor | np.ndarray:
    missing = len(order) - len(value.shape)
    if isinstance(value, Laid):
        return in_order(unsqueezed(value, range(missing)), order)
    if value.size == 1 and missing:
        return value.reshape(())
    return value.reshape((1,) * missing + value.shape).transpose(order)


def reshaped(value: Laid, target: Sequence[int | None], size: tf.Tensor | list[int]) -> Laid:
    """ONNX's Reshape to `target` (None where not known yet; `size` is the whole shape for TensorFlow).

    Splitting an axis, or joining axes that lie together in memory, keeps the order; else the value is brought to
    the order that needs the fewest moves.
    """
    groups = _groups(value.shape, target)
    if groups is None:
        return plain(tf.reshape(logical(value), size))
    sizes = value.shape
    places = {axis: place for place, axis in enumerate(value.order)}
    groups = sorted(groups, key=lambda group: min((places[a] for a in group[0] if sizes[a] != 1), default=len(sizes)))
    tensor = in_order(value, tuple(axis for old, _ in groups for axis in old))
    order = tuple(axis for _, new in groups for axis in new)
    return Laid(tf.reshape(tensor, [-1 if target[axis] is None else target[axis] for axis in order]), order)


def joined(value: Laid, first: int) -> Laid:
    """The axes from `first` on as one, whatever their sizes; where they lie together in memory, nothing moves."""
    inner = [axis for axis in value.order if axis >= first]
    begin = value.position(inner[0])
    end = begin + len(inner)
    if list(value.order[begin:end]) != sorted(inner):
        return joined(plain(logical(value)), first)
    running = tf.shape(value.tensor)
    sizes = [running[place] if size is None else size for place, size in enumerate(value.tensor.shape)]
    order = (*value.order[:begin], first, *value.order[end:])
    return Laid(tf.reshape(value.tensor, [*sizes[:begin], math.prod(sizes[begin:end]), *sizes[end:]]), order)


def _groups(old: Sequence[int | None], new: Sequence[int | None]) -> list[tuple[list[int], list[int]]] | None:
    """The smallest runs of old axes that hold the same elements as a run of new axes; None where sizes do not tell.

    One unknown size on each side is the same number when the known ones agree in product.
    """
    unknown = [sum(size is None for size in side) for side in (old, new)]
    known = [math.prod(size for size in side if size is not None) for side in (old, new)]
    if unknown not in ([0, 0], [1, 1]) or known[0] != known[1] or not known[0]:
        return None
    groups: list[tuple[list[int], list[int]]] = []
    sides = (old, new)
    taken: tuple[list[int], list[int]] = ([], [])
    done = [0, 0]
    while done[0] < len(old) or done[1] < len(new):
        counts = [_count(side, axes) for side, axes in zip(sides, taken, strict=True)]
        behind = 0 if done[1] == len(new) or (done[0] < len(old) and _is_behind(counts[0], counts[1])) else 1
        taken[behind].append(done[behind])
        done[behind] += 1
        if taken[0] and taken[1] and _count(old, taken[0]) == _count(new, taken[1]):
            groups.append(taken)
            taken = ([], [])
    if taken != ([], []):
        if not groups:
            return None
        groups[-1] = (groups[-1][0] + taken[0], groups[-1][1] + taken[1])
    return groups


def _count(sizes: Sequence[int | None], axes: Sequence[int]) -> tuple[bool, int]:
    """Whether the axes hold the unknown size, and the product of the others."""
    return any(sizes[a] is None for a in axes), math.prod(sizes[a] or 1 for a in axes)


def _is_behind(ours: tuple[bool, int], theirs: tuple[bool, int]) -> bool:
    return ours <= theirs if ours[0] == theirs[0] else not ours[0]
