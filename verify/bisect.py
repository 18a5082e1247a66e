"""Where a candidate goes wrong: the first layer of the source from which it departs.

The reference shows what every layer holds, the candidate's runtime every tensor inside of it. Names need not agree:
a layer is found again by its numbers, in any layout, so this works for every format. A layer that has no tensor of
its own in the candidate (a convolution whose batch normalisation was folded into it) is told from a wrong one by
the layers behind it: where one of them is right, it must have been right too.

Showing tensors keeps a runtime from fusing operators, so this run may differ from the judged one: it only points.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from zoo.verify.inputs import Sample, as_inputs
from zoo.verify.noise import Bounds, noise_floor, times_floor
from zoo.verify.result import Departure, LayerResult, OutputResult
from zoo.verify.runtimes.protocol import Array, Runner
from zoo.verify.tensors import Difference, compare
from zoo.verify.truth import Layer, Reference
from zoo.verify.verdict import FAIL

LAYOUTS = ((0, 2, 3, 1), (0, 3, 1, 2))  # NCHW as NHWC, and back
OUTPUT = "output"  # the type of a departure that is in no layer
FADED = 100  # a fault is not this much smaller, in units of noise, one layer further on
ALIKE = 1e-6  # share of the largest difference by which two tensors may differ and be equally near


@dataclass(frozen=True)
class Step:
    """A layer with the candidate's tensor that is nearest to it."""

    layer: Layer
    node: str
    difference: Difference
    times: float | None

    def within(self, margin: float) -> bool:
        """Whether the candidate has this layer, and it is right."""
        return self.times is not None and self.times <= margin


@dataclass(frozen=True)
class Bisection:
    """The layers that both sides have, in the order of the source, and the first that departs."""

    layers: tuple[LayerResult, ...] = ()
    departure: Departure | None = None


def bisect(
    runner: Runner, reference: Reference, samples: Sequence[Sample], outputs: Sequence[OutputResult], margin: float
) -> Bisection:
    """Compare layer by layer on the first sample, which is noise. A layer departs that is further from the truth than
    `margin` times its own noise; where none is, and an output failed, it is the head that makes the worst number."""
    layers = reference.layers(samples[0])
    tensors = runner.tensors(as_inputs(samples[0].feeds, runner.inputs)) if layers else {}
    steps = list(_steps(layers, tensors))
    hidden = _hidden(layers, steps, margin)
    seen = [step for step in steps if step.layer.index not in hidden]
    results = tuple(
        LayerResult(
            one.layer.index, one.layer.type, one.layer.line, one.node, one.difference.max, one.times, one.layer.name
        )
        for one in seen
    )
    before = 0.0
    for step in seen:
        if not step.within(margin):
            return Bisection(results, _departure(step.layer, step.node, step.difference, step.times, before))
        before = step.times or 0.0
    return Bisection(results, _head(layers, outputs, before) if tensors else None)


def _departure(layer: Layer, node: str, difference: Difference, times: float | None, before: float) -> Departure:
    return Departure(layer.index, layer.type, layer.line, node, difference, times, before, layer.name)


def _steps(layers: Sequence[Layer], tensors: Mapping[str, Array]) -> Iterator[Step]:
    """Every layer but the heads, which decode differently on the two sides, that has a tensor of its size."""
    by_size: dict[int, list[tuple[str, Array]]] = {}
    for name, array in tensors.items():
        if array.dtype.kind == "f":
            by_size.setdefault(array.size, []).append((name, array))
    for layer in layers:
        if not layer.boxes and layer.truth.size in by_size:
            node, found = _nearest(layer.truth, by_size[layer.truth.size])
            difference = compare(found, layer.truth)
            yield Step(layer, node, difference, times_floor(difference, _floor(layer)))


def _floor(layer: Layer) -> Bounds:
    """The noise of one layer: its numbers may be small and matter all the same."""
    return noise_floor(layer.noise, [layer.truth], min(1.0, float(np.abs(layer.truth).max(initial=0.0))))


def _nearest(truth: Array, tensors: Sequence[tuple[str, Array]]) -> tuple[str, Array]:
    """The tensor, laid out like the truth, whose squared distance from it is least: of several that are equally near
    the first, which was computed first."""
    best: tuple[float, str, Array] | None = None
    for name, array in tensors:
        for laid in _layouts(array, truth.shape):
            with np.errstate(all="ignore"):
                distance = float(np.square(laid - truth, dtype=np.float64).mean())
            distance = distance if np.isfinite(distance) else float("inf")
            if best is None or distance < best[0] * (1 - ALIKE):
                best = (distance, name, laid)
    assert best is not None
    return best[1], best[2]


def _layouts(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """The array in the shape of the truth: as it is, and where it is a picture in the other layout."""
    yield array.reshape(shape)
    if len(shape) == 4:
        for axes in LAYOUTS:
            stored = tuple(shape[axis] for axis in axes)
            if array.ndim < 4 or array.shape == stored:
                yield array.reshape(stored).transpose(np.argsort(axes))


def _hidden(layers: Sequence[Layer], steps: Sequence[Step], margin: float) -> set[int]:
    """The indices of layers that the candidate computes without a tensor of their own: they are off, and something
    that depends on them is right, by far. (A constant depends on nothing; a small fault may fade behind its layer.)"""
    times = {step.layer.index: step.times for step in steps}
    constant = {step.layer.index for step in steps if np.ptp(step.layer.truth) == 0}
    behind: dict[int, float] = {}  # the least that something behind the layer is off
    for layer in reversed(layers):
        own = times.get(layer.index)
        usable = own is not None and own <= margin and layer.index not in constant
        least = min(own if usable and own is not None else math.inf, behind.get(layer.index, math.inf))
        for source in layer.sources:
            behind[source] = min(behind.get(source, math.inf), least)
    return {
        index
        for index, own in times.items()
        if own is not None and own > margin and own > FADED * max(behind.get(index, math.inf), 1.0)
    }


def _head(layers: Sequence[Layer], outputs: Sequence[OutputResult], before: float) -> Departure | None:
    """What makes the worst number of the first failed output: the fault is in how it is decoded. For a list of boxes
    [N, boxes, …] that is the head with that row, for another output the layer it is called after."""
    heads = [layer for layer in layers if layer.boxes]
    ends = list(accumulate(layer.boxes for layer in heads))
    named = {layer.name: layer for layer in layers if layer.name}
    named |= {f"{layer.index:03d}_{layer.type}": layer for layer in layers if not layer.name}
    for output in outputs:
        failed = [one for one in output.measurements if one.judgement.verdict == FAIL]
        if not failed:
            continue
        difference, times = failed[0].difference, failed[0].times_floor
        if output.name in named:
            return _departure(named[output.name], output.name, difference, times, before)
        if heads and len(difference.index) == 3:
            head = heads[min(bisect_right(ends, difference.index[1]), len(heads) - 1)]
            return _departure(head, output.name, difference, times, before)
        if layers[-1].name:  # a graph: behind its layers comes only what turns them into this output
            return Departure(len(layers), OUTPUT, 0, output.name, difference, times, before, output.name)
    return None
