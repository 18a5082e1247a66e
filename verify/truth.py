"""What a candidate is compared with: a reference that gives the truth and the noise around it for each sample.

Three kinds: here, any other artifact, run by its own runtime; in `truth_darknet`, the source of a Darknet model, run
by the float64 interpreter; in `truth_tensorflow`, that of a TensorFlow model, run by TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from zoo.base.artifact import FileRecord, TensorSpec
from zoo.base.errors import UsageError
from zoo.verify.detections import TRIALS, Suppression
from zoo.verify.inputs import Sample, batch_limit
from zoo.verify.noise import ROUNDOFF
from zoo.verify.runtimes.protocol import Array, Runner, Settings
from zoo.verify.runtimes.table import load_runner
from zoo.verify.tensors import Difference


@dataclass(frozen=True)
class Observation:
    """The reference on one sample: the truth, and runs that are off by as much as the precision has to be off.

    Output name → array with a leading dimension of 1. There may be more names than the artifact has outputs. `orders`
    are runs that take equal scores in another order: they show what no order is right for, and are no noise.
    `retried(units, seed)`, where the reference can do that, gives another such run, its input moved by so many units;
    from the seed `TRIALS` on it need have no more than tells detections and proposals apart.
    """

    truth: dict[str, Array]
    noise: tuple[dict[str, Array], ...]
    retried: Callable[[float, int], dict[str, Array]] | None = None
    orders: tuple[dict[str, Array], ...] = ()

    @property
    def others(self) -> tuple[dict[str, Array], ...]:
        """Every other run that the reference may give as well, noise or another order."""
        return (*self.noise, *self.orders)

    def moved(self, margin: float, times: int = TRIALS) -> Sequence[dict[str, Array]]:
        """As many runs as a tie needs to show, the input moved by so many units; none where that cannot be done."""
        return [self.retried(margin, seed) for seed in range(times)] if self.retried else ()


@dataclass(frozen=True)
class Layer:
    """A layer of the source after a run: where it stands, what it held, and how far other runs of it were off.

    `line` is that of the cfg, `name` the node of a graph; `sources` are the indices of the layers it takes from;
    `boxes` is how many rows of the decoded outputs it makes, 0 for a layer that is no head.
    """

    index: int
    type: str
    line: int
    truth: Array
    noise: tuple[Difference, ...]
    boxes: int = 0
    name: str = ""
    sources: tuple[int, ...] = ()


class Reference(Protocol):
    """The truth about a model."""

    @property
    def description(self) -> str:
        """What it is, for a report."""

    @property
    def sources(self) -> tuple[FileRecord, ...]:
        """The files that it was made from."""

    @property
    def from_source(self) -> bool:
        """Whether the artifact must have been made from the same files."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes, with every size known but the batch."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names that the artifact must have, no more and no fewer."""

    @property
    def detector(self) -> Mapping[str, Any]:
        """What a program needs around the network, as in the manifest."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Those of `detector` that the source itself says: the manifest of what was made from it must say the same."""

    @property
    def suppression(self) -> Suppression | None:
        """The artifact's own suppression; None where it has none."""

    def observe(self, sample: Sample, precision: str) -> Observation:
        """Run on one sample."""

    def layers(self, sample: Sample) -> Sequence[Layer]:
        """Every layer on one sample, in order of execution; empty where the reference has no layers to show."""


JITTERS = 3


@dataclass
class ArtifactReference:
    """Any model file as the reference. Its own rounding cannot be known, so the noise is what moving the input does:
    each float input element up or down by `STEPS` units in the last place of 1.0, `JITTERS` times over."""

    path: Path
    format: str
    threads: int = 1
    detector: dict[str, Any] = field(default_factory=dict)

    suppression: Suppression | None = None

    facts: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    STEPS: ClassVar[int] = 4
    from_source: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._runner: Runner = load_runner(self.path, self.format, Settings(threads=self.threads))
        batch = batch_limit(self._runner.inputs)
        if batch not in (None, 1):
            self._runner.close()
            raise UsageError(
                f"the reference {self.path.name} takes batches of {batch} only",
                hint="give one for batch 1, or of an open batch",
            )
        self.description = f"{self.path.name}, {self._runner.runtime}"
        files = (self.path,) if self.path.is_file() else ()
        self.sources = tuple(FileRecord.of(path, "model") for path in files)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the model takes."""
        return self._runner.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what it gives."""
        return tuple(spec.name for spec in self._runner.outputs)

    def observe(self, sample: Sample, precision: str) -> Observation:
        step = self.STEPS * ROUNDOFF[precision]
        noise = [self._runner.run(_moved(sample, step, number)) for number in range(JITTERS)]
        return Observation(self._runner.run(sample.feeds), tuple(noise))

    def layers(self, sample: Sample) -> Sequence[Layer]:
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with closing(self._runner):
            pass


def _moved(sample: Sample, step: float, number: int) -> dict[str, Array]:
    """The feeds with every float element moved up or down by `step`, by a stream of its own."""
    random = np.random.default_rng([sample.seed, number])
    return {
        name: (array + step * random.choice([-1.0, 1.0], array.shape)).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in sample.feeds.items()
    }
