"""Operators that move, cut, join and repeat without computing: most only remember a new order of axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.convert.to_tensorflow.backend import tf
from zoo.convert.to_tensorflow.layout import (
    Laid,
    Size,
    aligned,
    joined,
    logical,
    plain,
    reshaped,
    transposed,
    unsqueezed,
    without,
)
from zoo.convert.to_tensorflow.operators.sizes import as_sizes, packed, sizes_in
from zoo.convert.to_tensorflow.operators.table import Call, Input, as_laid, by_axis, operator, picture

HUGE = 1 << 31  # a slice's bound beyond this means: to the end


def laid(value: Input) -> Laid:
    """A value that must be there."""
    found = as_laid(value)
    assert found is not None
    return found


@by_axis("Shape")
def shape(call: Call, data: Input) -> np.ndarray:
    sizes = laid(data).sizes()
    return as_sizes(sizes[call.attribute("start", 0) : call.attribute("end", len(sizes))])


@by_axis("Identity")
def identity(_: Call, data: Input) -> Input:
    return data


@by_axis("Size")
def size(_: Call, data: Input) -> np.ndarray | Laid:
    x = laid(data)
    if None not in x.shape:
        return np.array(math.prod(size or 0 for size in x.shape), np.int64)
    return plain(tf.size(x.tensor, out_type=tf.int64))


@by_axis("Reshape")
def reshape(call: Call, data: Input, target: Input = None) -> Laid:
    x = laid(data)
    if isinstance(target, Laid):
        return plain(tf.reshape(logical(x), _with_copied_sizes(call, x, target)))
    wanted = sizes_in(np.array(call.attribute("shape")) if target is None else target)
    keep_zero = call.attribute("allowzero", 0)
    copied = [axis for axis, size in enumerate(wanted) if isinstance(size, int) and size == 0 and not keep_zero]
    old = x.sizes()
    if _joins_the_rest(wanted, copied, x.rank):
        return joined(x, len(copied))
    sizes = [old[axis] if axis in copied else size for axis, size in enumerate(wanted)]
    return _reshape(x, sizes, copied)


def _joins_the_rest(wanted: list[Size], copied: list[int], rank: int) -> bool:
    """Whether all sizes but the last are the value's own, and the last one, -1, is whatever the other axes hold."""
    if not 0 < len(wanted) <= rank or not isinstance(wanted[-1], int):
        return False
    return copied == list(range(len(wanted) - 1)) and wanted[-1] == -1


def _reshape(x: Laid, sizes: list[Size], copied: list[int]) -> Laid:
    """Reshape to sizes of which one may be -1; those at `copied` are x's own."""
    target = [size if isinstance(size, int) and size >= 0 else None for size in sizes]
    unknown = [axis for axis, size in enumerate(target) if size is None]
    inferred = [axis for axis in unknown if isinstance(sizes[axis], int)]
    dynamic = {axis for axis, size in enumerate(x.shape) if size is None}
    if inferred and dynamic == {*unknown} - {*inferred} <= {*copied}:
        rest = math.prod(size for size in target if size is not None)
        target[inferred[0]] = math.prod(size for size in x.shape if size is not None) // max(rest, 1)
        unknown.remove(inferred[0])
    size = [-1 if axis in unknown else target[axis] for axis in range(len(target))] if len(unknown) == 1 else sizes
    if 0 in target and len(unknown) == 1:
        size = sizes
    return reshaped(x, target, packed(size if unknown else target))


def _with_copied_sizes(call: Call, x: Laid, target: Laid) -> tf.Tensor:
    """A shape that is computed while the model runs, with x's sizes where it says 0."""
    wanted = tf.cast(target.tensor, tf.int64)
    if call.attribute("allowzero", 0):
        return wanted
    count = tf.shape(wanted)[0]
    own = tf.concat([packed(x.sizes()), tf.ones([count], tf.int64)], 0)[:count]
    return tf.where(tf.equal(wanted, 0), own, wanted)


@by_axis("Flatten")
def flatten(call: Call, data: Input) -> Laid:
    x = laid(data)
    axis = call.attribute("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    halves = [x.shape[:axis], x.shape[axis:]]
    known = [None if None in half else math.prod(size or 0 for size in half) for half in halves]
    if known != [None, None]:
        return _reshape(x, [-1 if size is None else size for size in known], [])
    return reshaped(x, known, packed([math.prod(x.sizes()[:axis]), -1]))


@by_axis("Transpose")
def transpose(call: Call, data: Input) -> Laid:
    x = laid(data)
    return transposed(x, call.attribute("perm") or range(x.rank)[::-1])


@by_axis("Squeeze")
def squeeze(call: Call, data: Input, _: Input = None) -> Laid:
    x = laid(data)
    axes = call.axes(x.rank)
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    return without(x, axes, tf.squeeze(x.tensor, [x.position(axis) for axis in axes]) if axes else x.tensor)


@by_axis("Unsqueeze")
def unsqueeze(call: Call, data: Input, _: Input = None) -> Laid:
    x = laid(data)
    axes = np.atleast_1d(call.setting("axes", 1))
    return unsqueezed(x, [int(axis) % (x.rank + len(axes)) for axis in axes])


@by_axis("Concat")
def concat(call: Call, *values: Input) -> Laid:
    parts = [laid(value) if isinstance(value, np.ndarray) and value.dtype == object else value for value in values]
    tensors, order = aligned([part for part in parts if part is not None])
    return Laid(tf.concat(tensors, order.index(call.attribute("axis", 1) % len(order))), order)


@by_axis("Split")
def split(call: Call, data: Input, _: Input = None) -> list[Laid]:
    x = laid(data)
    axis = x.position(call.attribute("axis", 0))
    count = len(call.node.outputs)
    sizes = call.setting("split", 1)
    length = x.tensor.shape[axis]
    if sizes is None and length is not None and length % count:
        piece = -(-length // count)
        sizes = [piece] * (count - 1) + [length - piece * (count - 1)]
    return [Laid(part, x.order) for part in tf.split(x.tensor, count if sizes is None else sizes, axis)]


@by_axis("Slice", until=9)
def slice_attributes(call: Call, data: Input) -> Laid:
    starts, ends = call.attribute("starts"), call.attribute("ends")
    return _sliced(laid(data), call.attribute("axes") or range(len(starts)), starts, ends, [1] * len(starts))


@by_axis("Slice", since=10)
def slice_inputs(call: Call, data: Input, starts: Input, ends: Input, axes: Input = None, steps: Input = None) -> Laid:
    given = call.constant(3, "axes")
    count = None if given is None else given.size
    first = sizes_in(starts, count)
    along = range(len(first)) if given is None else given.tolist()
    strides = [1] * len(first) if steps is None else sizes_in(steps, count)
    return _sliced(laid(data), along, first, sizes_in(ends, count), strides)


def _sliced(x: Laid, axes: Any, starts: Any, ends: Any, steps: Any) -> Laid:
    cuts = [slice(None)] * x.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        backwards = isinstance(step, int) and step < 0
        size = x.shape[axis % x.rank]
        cuts[x.position(axis)] = slice(_bound(start, size), _bound(end, size, backwards), step)
    return Laid(x.tensor[tuple(cuts)], x.order)


def _bound(bound: Size, size: int | None, backwards: bool = False) -> Size:
    """A bound as Python's slices have it: None is "to the end", which ONNX writes as a number beyond it."""
    if not isinstance(bound, int):
        return bound
    if bound >= HUGE - 1:
        return None
    limit = HUGE // 2 if size is None else size
    return None if backwards and bound < -limit else max(bound, 1 - HUGE)


@by_axis("Expand")
def expand(_: Call, data: Input, target: Input) -> Laid:
    wanted = sizes_in(target)
    x = laid(data)
    (tensor,), order = aligned([x], len(wanted))
    rank = len(order)
    own = [1] * (rank - x.rank) + x.sizes()
    wanted = [1] * (rank - len(wanted)) + wanted
    sizes = [_broadcast(a, b) for a, b in zip(own, wanted, strict=True)]
    return Laid(tf.broadcast_to(tensor, packed([sizes[axis] for axis in order])), order)


def _broadcast(a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b) if 0 not in (a, b) else 0
    known = [size for size in (a, b) if isinstance(size, int)]
    if not known:
        return tf.maximum(a, b)
    return known[0] if known[0] != 1 else next(size for size in (a, b) if not isinstance(size, int))


@by_axis("Tile", since=6)
def tile(_: Call, data: Input, repeats: Input) -> Laid:
    x = laid(data)
    counts = sizes_in(repeats, x.rank)
    return Laid(tf.tile(x.tensor, packed([counts[axis] for axis in x.order])), x.order)


@by_axis("Pad", since=2)
def pad(call: Call, data: Input, pads: Input = None, value: Input = None, axes: Input = None) -> Laid:
    """Negative pads cut. `axes` (opset 18) says which axes the pads are for."""
    x = laid(data)
    given = call.constant(3, "axes")
    named = list(range(x.rank)) if given is None else [int(axis) % x.rank for axis in given]
    amounts = sizes_in(np.array(call.attribute("pads")) if pads is None else pads, 2 * len(named))
    pairs: list[tuple[Size, Size]] = [(0, 0)] * x.rank
    for index, axis in enumerate(named):
        pairs[x.position(axis)] = (amounts[index], amounts[index + len(named)])
    mode = call.attribute("mode", "constant")
    if mode in ("edge", "wrap"):
        return Laid(_repeated_edges(x.tensor, pairs, mode), x.order)
    fill = call.attribute("value", 0) if value is None else tf.reshape(call.tensor(2), [])
    return Laid(padded(_cut(x.tensor, pairs), pairs, mode, tf.cast(fill, x.tensor.dtype)), x.order)


def padded(tensor: tf.Tensor, pairs: list[tuple[Size, Size]], mode: str = "constant", fill: Any = 0) -> tf.Tensor:
    """Pad where the amounts are positive."""
    amounts = [[max(size, 0) if isinstance(size, int) else size for size in pair] for pair in pairs]
    if all(isinstance(size, int) and size == 0 for pair in amounts for size in pair):
        return tensor
    table = tf.reshape(packed([size for pair in amounts for size in pair]), [-1, 2])
    return tf.pad(tensor, table, mode, fill)


def _cut(tensor: tf.Tensor, pairs: list[tuple[Size, Size]]) -> tf.Tensor:
    cuts = [[-size if isinstance(size, int) and size < 0 else 0 for size in pair] for pair in pairs]
    return tensor[tuple(slice(before, -after or None) for before, after in cuts)] if np.any(cuts) else tensor


def _repeated_edges(tensor: tf.Tensor, pairs: list[tuple[Size, Size]], mode: str) -> tf.Tensor:
    for axis, (before, after) in enumerate(pairs):
        if (before, after) != (0, 0):
            length = tf.shape(tensor, out_type=tf.int64)[axis]
            places = tf.range(-tf.cast(before, tf.int64), length + after)
            wraps = mode == "wrap"
            chosen = tf.math.floormod(places, length) if wraps else tf.clip_by_value(places, 0, length - 1)
            tensor = tf.gather(tensor, chosen, axis=axis)
    return tensor


@by_axis("CenterCropPad")
def center_crop_pad(call: Call, data: Input, target: Input) -> Laid:
    """An odd difference leaves the extra element at the end when cropping, and pads it there."""
    x = laid(data)
    axes = call.attribute("axes") or range(x.rank)
    pairs: list[tuple[Size, Size]] = [(0, 0)] * x.rank
    for axis, wanted in zip(axes, sizes_in(target), strict=True):
        size = x.shape[axis % x.rank]
        if size is None:
            raise call.error("the size to crop or pad is known only when the model runs", "export with fixed sizes")
        extra = int(wanted) - size
        before = extra // 2 if extra >= 0 else -(-extra // 2)
        pairs[x.position(axis)] = (before, extra - before)
    return Laid(padded(_cut(x.tensor, pairs), pairs), x.order)


@picture("DepthToSpace")
def depth_to_space(call: Call, x: tf.Tensor) -> tf.Tensor:
    """DCR is TensorFlow's own order; CRD keeps a channel's pixels together."""
    block = call.attribute("blocksize")
    if call.attribute("mode", "DCR") == "DCR":
        return tf.nn.depth_to_space(x, block)
    channels = x.shape[-1] // block**2
    order = np.arange(x.shape[-1]).reshape(channels, block**2).T.ravel()
    return tf.nn.depth_to_space(tf.gather(x, order, axis=-1), block)


@picture("SpaceToDepth")
def space_to_depth(call: Call, x: tf.Tensor) -> tf.Tensor:
    block = call.attribute("blocksize")
    result = tf.nn.space_to_depth(x, block)
    if call.attribute("mode", "DCR") == "DCR":
        return result
    channels = x.shape[-1]
    return tf.gather(result, np.arange(channels * block**2).reshape(block**2, channels).T.ravel(), axis=-1)


@operator("ConstantOfShape")
def constant_of_shape(call: Call, _: tf.Tensor) -> tf.Tensor:
    value = call.attribute("value", np.zeros(1, np.float32)).reshape(())
    return tf.fill(packed(sizes_in(call.input(0))), tf.constant(value))


@operator("Constant")
def constant(call: Call) -> Any:
    floats = {"value_float", "value_floats"}
    for name, value in call.node.attributes.items():
        if name == "value":
            return value
        if name in floats or name in ("value_int", "value_ints"):
            return np.array(value, np.float32 if name in floats else np.int64)
    raise call.error("a constant that is no dense tensor of numbers", "export the model with dense constants")


@operator("Range")
def range_(_: Call, start: tf.Tensor, limit: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    return tf.range(tf.reshape(start, []), tf.reshape(limit, []), tf.reshape(delta, []))


@operator("EyeLike")
def eye_like(call: Call, x: tf.Tensor) -> tf.Tensor:
    from zoo.convert.to_tensorflow.operators.arithmetic import element_type

    rows, columns = tf.unstack(tf.shape(x))
    ones = tf.eye(rows, columns, dtype=element_type(call, "dtype") if "dtype" in call.node.attributes else x.dtype)
    shift = call.attribute("k", 0)
    if not shift:
        return ones
    places = tf.range(columns)[None, :] - tf.range(rows)[:, None]
    return tf.cast(tf.equal(places, shift), ones.dtype)


@operator("Trilu")
def trilu(call: Call, x: tf.Tensor, _: tf.Tensor = None) -> tf.Tensor:
    """Keep the upper (or lower) triangle, counted from the diagonal k."""
    shift = call.constant(1, "k")
    first = 0 if shift is None else int(shift.item())
    rows, columns = tf.unstack(tf.shape(x)[-2:])
    places = tf.range(columns)[None, :] - tf.range(rows)[:, None]
    kept = places >= first if call.attribute("upper", 1) else places <= first
    return tf.where(kept, x, tf.zeros((), x.dtype))


@operator("ReverseSequence")
def reverse_sequence(call: Call, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    time, batch = call.attribute("time_axis", 0), call.attribute("batch_axis", 1)
    return tf.reverse_sequence(x, lengths, seq_axis=time, batch_axis=batch)


@by_axis("Dropout")
def dropout(call: Call, data: Input, *_: Input) -> tuple[Laid | None, ...]:
    """Inference keeps every element; training mode has no place in a converted model."""
    x = laid(data)
    training, ratio = call.constant(2, "training_mode"), call.constant(1, "ratio")
    if training is not None and training.any() and (ratio is None or ratio != 0):
        raise call.error("dropout in training mode gives random results", "export the model for inference")
    mask = Laid(tf.ones_like(x.tensor, tf.bool if call.opset >= 10 else x.tensor.dtype), x.order)
    return x, mask
