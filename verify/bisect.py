"""Where a failed candidate goes wrong: the first layer of the source from which it departs.

Works for ONNX artifacts whose nodes are named after the layers of the source (`012_convolutional/…`): the last tensor
of each layer becomes an output, and each is judged by the noise of its own layer. Exposing tensors keeps a runtime
from fusing across layers, so this run may differ from the judged one: it only points.
"""

from __future__ import annotations

import re
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.base.artifact import Artifact
from zoo.verify.inputs import Sample
from zoo.verify.noise import noise_floor, times_floor
from zoo.verify.result import Departure, OutputResult
from zoo.verify.runtimes.protocol import Array, Settings
from zoo.verify.runtimes.table import load_runner
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Reference
from zoo.verify.verdict import FAIL

if TYPE_CHECKING:
    import onnx

LAYER = re.compile(r"(\d{3,})_\w+")  # the name of a node begins with the layer it belongs to


@dataclass(frozen=True)
class Step:
    """One layer of both sides: the candidate's node and tensor, and how far it is from the reference."""

    layer: Layer
    node: str
    found: Array


def find_departure(
    artifact: Artifact,
    reference: Reference,
    samples: Sequence[Sample],
    outputs: Sequence[OutputResult],
    margin: float,
    settings: Settings,
) -> Departure | None:
    """The first layer that is further from the truth than `margin` times its own noise, on the first sample, which is
    noise; where none is, the head whose rows of a failed output are worst. None where neither can be told."""
    layers = reference.layers(samples[0]) if artifact.format == "onnx" else ()
    if not layers:
        return None
    before = 0.0
    for step in _steps(artifact.model, layers, samples[0], settings):
        difference = compare(step.found, step.layer.truth)
        unit = min(1.0, float(abs(step.layer.truth).max()))  # a layer's numbers may be small and matter all the same
        times = times_floor(difference, noise_floor(step.layer.noise, [step.layer.truth], unit))
        if times is None or times > margin:
            layer = step.layer
            return Departure(layer.index, layer.type, layer.line, step.node, difference, times, before)
        before = times
    return _head(layers, outputs, before)


def _head(layers: Sequence[Layer], outputs: Sequence[OutputResult], before: float) -> Departure | None:
    """The head that makes the worst row of the first failed output [N, boxes, …]: the fault is in how it is decoded."""
    heads = [layer for layer in layers if layer.boxes]
    ends = list(accumulate(layer.boxes for layer in heads))
    for output in outputs:
        failed = [one for one in output.measurements if one.judgement.verdict == FAIL]
        if failed and len(failed[0].difference.index) == 3:
            row = failed[0].difference.index[1]
            head = heads[min(bisect_right(ends, row), len(heads) - 1)]
            worst = failed[0]
            return Departure(head.index, head.type, head.line, output.name, worst.difference, worst.times_floor, before)
    return None


def _steps(model: Path, layers: Sequence[Layer], sample: Sample, settings: Settings) -> list[Step]:
    """The layers that both sides have, in the order of the source. A head of another size is decoded differently on
    the two sides and is left out; a vector may be kept as [N, C, 1, 1]."""
    import onnx

    graph = onnx.load(model)
    last = last_tensors(graph)
    known = {name for _, name in last.values()} - {output.name for output in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(known))
    with tempfile.TemporaryDirectory() as folder:
        exposed = Path(folder) / "exposed.onnx"
        onnx.save(graph, exposed)
        with closing(load_runner(exposed, "onnx", settings)) as runner:
            tensors = runner.run(sample.feeds)
    pairs = [(layer, *last[layer.index]) for layer in layers if layer.index in last]
    return [
        Step(layer, node, tensors[name].reshape(layer.truth.shape))
        for layer, node, name in pairs
        if tensors[name].size == layer.truth.size
    ]


def last_tensors(model: onnx.ModelProto) -> dict[int, tuple[str, str]]:
    """Layer index → (node, tensor): the first output of the last node that is named after the layer."""
    found = {}
    for node in model.graph.node:
        layer = LAYER.match(node.name)
        if layer and node.output:
            found[int(layer[1])] = (node.name, node.output[0])
    return found
