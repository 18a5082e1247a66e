"""The truth about a TensorFlow model: TensorFlow itself running the original file, in processes of its own.

There is no float64 run of these graphs, so the noise is the spread of TensorFlow's own runs around the one that is
taken for the truth: with oneDNN and without, with another number of threads, with every pixel moved by one unit in the
last place, behind the graph's own cast to float, and with the means over whole pictures exact, whose rounding all its
own runs share. For TF32 and fp16 the pixels are moved by one unit of theirs. Beside them are runs with equal scores in
another order, which no network says anything about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self

from zoo.base.artifact import FileRecord, TensorSpec
from zoo.base.errors import UsageError
from zoo.verify import rows
from zoo.verify.detections import TRIALS
from zoo.verify.inputs import Sample
from zoo.verify.noise import ROUNDOFF
from zoo.verify.proposals import MOST
from zoo.verify.runtimes.isolated import IsolatedRunner
from zoo.verify.runtimes.protocol import Array, Settings, Tensors, available_threads
from zoo.verify.runtimes.table import runtime_of
from zoo.verify.tensors import compare
from zoo.verify.truth import Layer, Observation
from zoo.vision import suppression

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
COMPUTING = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul")
PICTURE_AXES = 4
JITTERS = 2  # runs with a moved input in each process
# What detections and proposals are told apart by: all that is kept of many runs, whose features would fill the memory,
# as all anchors of one stage would.
TELLING = (rows.BOXES, rows.SCORES, rows.CLASSES, rows.COUNT, suppression.BOXES, suppression.SCORES)

Node = tuple[str, str, list[str]]


class TensorFlowReference:
    """A TensorFlow model run as its authors ran it. `model` is a frozen graph or the folder of a SavedModel, `sources`
    its files as a manifest records them; none where the artifact need not come from them. `options` are the
    converter's, as the manifest keeps them.

    Raises MissingBackend without TensorFlow, VerificationError where it refuses the file, and UsageError for a model
    whose conversion takes or gives what TensorFlow's own does not.
    """

    suppression: ClassVar[None] = None
    facts: ClassVar[Mapping[str, Any]] = MappingProxyType({"box_format": "yxyx", "first_class": 1})  # of both zoos

    def __init__(
        self,
        model: Path,
        sources: Sequence[FileRecord] = (),
        options: Mapping[str, Any] | None = None,
        detector: Mapping[str, Any] | None = None,
    ) -> None:
        options = options or {}
        if options.get("pre", "image") != "image":
            raise UsageError(
                f"{model.name}: converted with --pre raw it takes other inputs than TensorFlow's own",
                hint="verify the conversion with --pre image; the network inside is the same",
            )
        self.sources, self.from_source = tuple(sources), bool(sources)
        self.detector: dict[str, Any] = {"box_format": "yxyx", **(detector or {})}
        with ThreadPoolExecutor(2) as starting:  # both processes import TensorFlow at the same time
            first = starting.submit(_start, model, available_threads(), onednn=True)
            second = starting.submit(_start, model, 1, onednn=False)
            self._runner, self._other = first.result(), second.result()
        self.description = f"{model.name}, {self._runner.runtime} with oneDNN"
        self.inputs = tuple(_closed(spec) for spec in self._runner.inputs)
        given = [spec.name for spec in self._runner.outputs]
        self.outputs = tuple(name for name in given if options.get("post") != "raw" or name.startswith("raw_"))
        self._seen: dict[tuple[str, str], Observation] = {}
        self._shown: tuple[str, list[Layer]] = ("", [])

    def observe(self, sample: Sample, precision: str) -> Observation:
        """See `Reference`. Each sample runs alone: models exported for batch 1 answer for the first picture only."""
        key = (_fingerprint(sample.feeds), precision)
        if key not in self._seen:
            truth = self._runner.run(sample.feeds)
            unit = 2 * ROUNDOFF[precision]
            noise = [self._other.run(sample.feeds)]
            noise += [one.moved(sample.feeds, unit, seed) for one in self._runners for seed in range(JITTERS)]
            noise += [self._runner.moved(sample.feeds, unit, exact=True)]
            orders = [self._runner.moved(sample.feeds, 0.0, seed, ties=True) for seed in range(JITTERS)]

            @cache
            def retried(units: float, seed: int) -> dict[str, Array]:
                run = self._runner.moved(sample.feeds, units * unit, seed, crops=True, exact=bool(seed % 2), ties=True)
                return run if seed < TRIALS else {name: run[name] for name in TELLING if _is_short(run.get(name))}

            self._seen[key] = Observation(truth, tuple(noise), retried, tuple(orders))
        return self._seen[key]

    def layers(self, sample: Sample) -> list[Layer]:
        """The nodes of the network (see `network_nodes`); the noise of each is the spread of four other runs. Those of
        the last sample are kept: several formats are bisected on the same."""
        key = _fingerprint(sample.feeds)
        if key != self._shown[0]:
            self._shown = key, self._layers(sample)
        return self._shown[1]

    def _layers(self, sample: Sample) -> list[Layer]:
        truth = self._runner.tensors(sample.feeds)
        spread = [self._other.tensors(sample.feeds)]
        spread += [one.moved(sample.feeds, 2 * ROUNDOFF["fp32"], inner=True) for one in self._runners]
        spread += [self._runner.moved(sample.feeds, 2 * ROUNDOFF["fp32"], inner=True, exact=True)]
        nodes = network_nodes(self._runner.nodes(), {name: array.ndim for name, array in truth.items()})
        places = {name: place for place, (name, _, _) in enumerate(nodes)}
        return [
            Layer(
                index=place,
                type=kind,
                line=0,
                truth=truth[name],
                noise=tuple(compare(other[name], truth[name]) for other in spread),
                name=name,
                sources=tuple(places[source] for source in sources if source in places),
            )
            for place, (name, kind, sources) in enumerate(nodes)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with closing(self._runner), closing(self._other):
            pass

    @property
    def _runners(self) -> tuple[IsolatedRunner, IsolatedRunner]:
        return self._runner, self._other


def network_nodes(nodes: Sequence[Node], axes: Mapping[str, int]) -> list[Node]:
    """The nodes (name, type, sources) that are the network: convolutions and matrix products, the picture that goes
    into them, and what is made of them as long as it is a picture, that is, has four `axes`. What turns it into
    detections works on lists that differ from run to run."""
    computing = {name for name, kind, _ in nodes if kind in COMPUTING}
    kept = set(computing)
    for name, _, sources in nodes:
        if axes[name] == PICTURE_AXES and kept & set(sources):
            kept.add(name)
        if name in computing:
            kept.update(source for source in sources if axes.get(source) == PICTURE_AXES)
    return [node for node in nodes if node[0] in kept]


def _start(model: Path, threads: int, *, onednn: bool) -> IsolatedRunner:
    return IsolatedRunner(model, runtime_of("tf"), Settings(threads=threads), {ONEDNN: str(int(onednn))})


def _is_short(rows: Array | None) -> bool:
    return rows is not None and (rows.ndim < 2 or rows.shape[1] <= MOST)


def _fingerprint(feeds: Tensors) -> str:
    return hashlib.sha256(
        b"".join(array.tobytes() + repr(array.shape).encode() for array in feeds.values())
    ).hexdigest()


def _closed(spec: TensorSpec) -> TensorSpec:
    """The batch is open: each picture is run by itself, so the reference takes any number of them."""
    return TensorSpec(spec.name, spec.dtype, ("batch", *spec.shape[1:]), spec.meaning)
