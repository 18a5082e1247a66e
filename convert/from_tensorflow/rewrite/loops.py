"""Takes loops over the images of a batch apart: what the loop does to one image is computed for all at once.

Two forms of `map_fn` are known: TensorFlow 1's, made of TensorArrays inside a frame of Enter, Merge, Switch, Exit and
NextIteration; and TensorFlow 2's While with a body function and TensorLists. In both, a loop reads one element of some
tensors, writes one element of some results, and carries nothing else from one image to the next but its counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from zoo.convert.from_tensorflow.batching.value import NotBatched, Value, as_folded, as_stacked, folded, stacked
from zoo.convert.from_tensorflow.graph import Node, SourceGraph

if TYPE_CHECKING:
    from zoo.convert.from_tensorflow.evaluate import Evaluator

PICTURE = 3  # axes of one image's picture


def element(value: Value, node: Node) -> Value:
    """One image's part of a tensor that a loop runs over."""
    if value.is_shared:
        return stacked(value.tensor, tf.shape(value.tensor)[0])
    if value.inner[:1] == (1,):  # a loop over one image, in a graph exported for batch 1
        return stacked(as_folded(value, value.images).tensor, value.images)
    raise NotBatched(f"{node}: a loop inside a loop over the images")


def collected(item: Value, count: Any, sizes: Sequence[int], outer: Value | None) -> Value:
    """The results of all images. `count` is their number; `sizes` what the loop says of each one's shape, -1 where
    nothing; `outer` an element's tensor before the loop, if any."""
    if outer is not None and not outer.is_shared:
        return folded(_sized(as_stacked(item, outer.images).tensor, sizes), outer.images, 1)
    return Value(_sized(as_stacked(item, count).tensor, sizes))


def _sized(tensor: Any, sizes: Sequence[int]) -> Any:
    """Pictures [N, H, W, C] with their size written down: where they were padded to it, no operator shows it."""
    is_known = len(sizes) == PICTURE and -1 not in sizes
    return tf.ensure_shape(tensor, [None, *sizes]) if is_known else tensor


# TensorFlow 1 ---------------------------------------------------------------------------------------------------------


def read_array(evaluator: Evaluator, node: Node) -> list[Value]:
    """TensorArrayRead of an array that a tensor was scattered to before the loop."""
    scatter = evaluator.source.source(node.inputs[2])
    if not scatter.op.startswith("TensorArrayScatter") or not _is_counter(evaluator.source, node.inputs[1]):
        raise NotBatched(f"{node}: it does not read the element of this round of a loop over a tensor")
    return [element(evaluator.value(scatter.inputs[2]), node)]


def gather_array(evaluator: Evaluator, node: Node) -> list[Value]:
    """TensorArrayGather, after the loop, of what each round wrote."""
    source = evaluator.source
    last = source.source(node.inputs[2])
    if last.op.startswith("TensorArrayScatter"):
        return [evaluator.value(last.inputs[2])]
    write = _written(source, last)
    if write is None or not _is_counter(source, write.inputs[1]):
        raise NotBatched(f"{node}: its loop is not a map over the images")
    item = evaluator.value(write.inputs[2])
    array = source.source(node.inputs[0])
    count = evaluator.value(array.inputs[0])
    outer = None if item.is_shared or count.is_shared else count
    if not count.is_shared:
        raise NotBatched(f"{node}: the number of rounds of its loop differs from image to image")
    sizes = [size.size for size in node.attributes["element_shape"].shape.dim]
    return [collected(item, tf.cast(count.tensor, tf.int32), sizes, outer)]


def _written(source: SourceGraph, last: Node) -> Node | None:
    """The TensorArrayWrite in a loop whose final array is `last` (an Exit)."""
    if last.op != "Exit":
        return None
    merge = source.source(source.source(last.inputs[0]).inputs[0])
    for ref in merge.inputs:
        node = source.source(ref)
        if node.op == "NextIteration":
            write = source.source(node.inputs[0])
            return write if write.op.startswith("TensorArrayWrite") else None
    return None


def _is_counter(source: SourceGraph, ref: str) -> bool:
    """True for a loop variable that starts at 0 and grows by 1."""
    switch = source.source(ref)
    merge = source.source(switch.inputs[0]) if switch.op == "Switch" else switch
    if merge.op != "Merge":
        return False
    start, following = (source.source(part) for part in merge.inputs)
    if following.op != "NextIteration":
        return False
    step = source.source(following.inputs[0])
    first = source.constant(start.inputs[0]) if start.op == "Enter" else source.constant(merge.inputs[0])
    added = [source.constant(part) for part in step.inputs] if step.op in ("Add", "AddV2") else []
    return first is not None and first.item() == 0 and any(a is not None and a.item() == 1 for a in added)


# TensorFlow 2 ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Map:
    """A While that was recognised: the evaluator of its body, and a tensor that it runs over, before the loop."""

    body: Evaluator
    outer: Value


def stack_list(evaluator: Evaluator, node: Node) -> list[Value]:
    """TensorListStack, after the loop, of what each round set."""
    ref = evaluator.source.origin(node.inputs[0])
    loop = evaluator.source.producer(ref)
    if loop.op not in ("While", "StatelessWhile"):
        raise NotBatched(f"{node}: it stacks what {loop} gives, not what a loop gives")
    taken = _map_of(evaluator, loop)
    body = taken.body.source
    result = body.source(body.results[int(ref.rpartition(":")[2])])
    if result.op != "TensorListSetItem":
        raise NotBatched(f"{loop}: what it carries from round to round is not a list of results")
    item = taken.body.value(result.inputs[2])
    count = tf.shape(taken.outer.tensor)[0]
    sizes = evaluator.source.constant(node.inputs[1])
    return [collected(item, count, [] if sizes is None else sizes.ravel().tolist(), taken.outer)]


def _map_of(evaluator: Evaluator, loop: Node) -> _Map:
    if loop.name not in evaluator.nested:
        body = evaluator.source.function(loop.attributes["body"].func.name)
        arguments: dict[str, Value] = {}
        outers = []
        for position, (argument, ref) in enumerate(zip(body.arguments, loop.inputs, strict=True)):
            if body.origin(body.results[position]) != argument:
                continue  # changes from round to round: a counter or a list of results
            given = evaluator.source.source(ref)
            if given.op == "TensorListFromTensor":
                outers.append(evaluator.value(given.inputs[0]))
                arguments[argument] = element(outers[-1], loop)
            elif given.op != "TensorListReserve":
                arguments[argument] = evaluator.value(ref)
        if not outers:
            raise NotBatched(f"{loop}: it runs over no tensor")
        outer = next((value for value in outers if not value.is_shared), outers[0])
        evaluator.nested[loop.name] = _Map(evaluator.inside(body, arguments), outer)
    taken = evaluator.nested[loop.name]
    assert isinstance(taken, _Map)
    return taken


def list_item(evaluator: Evaluator, node: Node) -> list[Value]:
    """TensorListGetItem in a body: the argument is bound to the element of this round already."""
    ref = evaluator.source.origin(node.inputs[0])
    if ref not in evaluator.bound:
        raise NotBatched(f"{node}: it reads a list that the loop itself changes")
    return [evaluator.bound[ref]]


def call(evaluator: Evaluator, node: Node) -> list[Value]:
    """PartitionedCall: the function's body in its place."""
    function = evaluator.source.function(node.attributes["f"].func.name)
    arguments = {name: evaluator.value(ref) for name, ref in zip(function.arguments, node.inputs, strict=True)}
    inner = evaluator.inside(function, arguments)
    return [inner.value(ref) for ref in function.results]


HANDLERS = {
    "TensorArrayReadV3": read_array,
    "TensorArrayGatherV3": gather_array,
    "TensorListStack": stack_list,
    "TensorListGetItem": list_item,
    "PartitionedCall": call,
    "StatefulPartitionedCall": call,
}
