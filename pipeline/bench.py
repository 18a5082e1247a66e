"""Measures models in several formats, on several devices, in turns: the table that people publish.

The measuring is `zoo.verify.side_by_side`'s: all formats and devices of a model are loaded together and take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np

from zoo.base.artifact import Artifact, TensorSpec
from zoo.base.errors import ZooError
from zoo.detect.detector import Detector, Prepared, Raw, open_detector
from zoo.detect.watch import Difference, compare_with
from zoo.verify.environment import environment
from zoo.verify.inputs import make_samples
from zoo.verify.result import Interval
from zoo.verify.runtimes.protocol import Array, Settings
from zoo.verify.side_by_side import time_in_turns
from zoo.verify.speed import Effort, measure, median_interval, warm_up
from zoo.vision.contract import Rule
from zoo.vision.preprocess import Pixels

SIZE = (640, 480)  # width and height of the picture, which counts for models that take any size
AROUND = Effort(seconds=0.2, runs=5, warm_up=0.2)  # for what comes before and after the inference


@dataclass(frozen=True)
class Row:
    """One model in one format on one device. Times are in seconds for one picture.

    `median` (with its 95 % interval), `p95` and `p99` are the inference alone; `around` is the median of preparing the
    picture and reading the detections. `same` says how its detections compare with the first format's. Where it could
    not be measured, `problem` says why and all numbers are None.
    """

    model: str
    format: str
    device: str
    runtime: str = ""
    threads: int = 1
    runs: int = 0
    median: Interval | None = None
    p95: float | None = None
    p99: float | None = None
    around: float | None = None
    detections: int | None = None
    same: str = ""
    problem: str = ""
    exit_code: int = 0

    @property
    def fps(self) -> float | None:
        """Pictures a second, one at a time, inference alone."""
        return 1 / self.median.value if self.median else None


@dataclass(frozen=True)
class Bench:
    """The table, and what it was measured on."""

    rows: tuple[Row, ...]
    environment: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0 where everything was measured, else that of the first problem."""
        return next((row.exit_code for row in self.rows if row.problem), 0)


@dataclass
class _Entry:
    """A loaded model with its picture, its call to be timed, and the seconds of its runs."""

    row: Row
    detector: Detector
    prepared: Prepared
    call: Callable[[], None]
    outputs: Callable[[], dict[str, Array]]


Finder = Callable[[str, str], Artifact]
"""The artifact of a model, by name, in a format."""


def run_bench(
    names: Sequence[str],
    formats: Sequence[str],
    devices: Sequence[str],
    find: Finder,
    *,
    threads: int,
    effort: Effort,
    tell: Callable[[str], None] = lambda line: None,
) -> Bench:
    """Measure every model in every format on every device. What cannot be measured is a row that says why."""
    rows = [row for name in names for row in _measure_model(name, formats, devices, find, threads, effort, tell)]
    return Bench(tuple(rows), environment(any(device != "cpu" for device in devices)))


def _measure_model(
    name: str,
    formats: Sequence[str],
    devices: Sequence[str],
    find: Finder,
    threads: int,
    effort: Effort,
    tell: Callable[[str], None],
) -> list[Row]:
    tell(f"{name}: converting and loading")
    with ExitStack() as stack:
        entries = [_entry(stack, name, one, device, find, threads) for one in formats for device in devices]
        rows = [entry.row if isinstance(entry, _Entry) else entry for entry in entries]
        usable = {place: entry for place, entry in enumerate(entries) if isinstance(entry, _Entry)}
        if not usable:
            return rows
        tell(f"{name}: measuring {len(usable)} in turns")
        for entry in usable.values():
            warm_up(entry.call, effort)
        first = next(iter(usable.values()))
        times = time_in_turns([entry.call for entry in usable.values()], effort)
        for column, (place, entry) in enumerate(usable.items()):
            rows[place] = _row(entry, times[:, column].reshape(-1), first)
        return rows


def _entry(stack: ExitStack, name: str, format: str, device: str, find: Finder, threads: int) -> _Entry | Row:
    try:
        artifact = find(name, format)
        detector = stack.enter_context(closing(open_detector(artifact, Rule(), device, Settings(threads=threads))))
        prepared = detector.prepare(_picture())
        row = Row(artifact.name, format, detector.runner.device, detector.runner.runtime, threads)
        call, outputs = detector.runner.bind(prepared.feeds)
        call()
    except ZooError as error:
        problem = "; ".join(filter(None, (error.message, error.hint)))
        return Row(name, format, device, threads=threads, problem=problem, exit_code=error.exit_code)
    return _Entry(row, detector, prepared, call, outputs)


def _picture() -> Pixels:
    """A drawn scene, the same everywhere: uint8 [H, W, 3]."""
    spec = TensorSpec("picture", "uint8", (1, SIZE[1], SIZE[0], 3))
    (scene,) = (sample for sample in make_samples([spec], seed=0) if sample.name == "scene")
    pixels: Pixels = scene.feeds["picture"][0]
    return pixels


def _row(entry: _Entry, times: Array, first: _Entry) -> Row:
    raw = Raw(entry.outputs(), 0.0)
    found = entry.detector.finish(raw, entry.prepared)
    picture = _picture()

    def around() -> None:
        entry.detector.finish(raw, entry.detector.prepare(picture))

    return replace(
        entry.row,
        runs=len(times),
        median=median_interval(times),
        p95=float(np.percentile(times, 95)),
        p99=float(np.percentile(times, 99)),
        around=float(np.median(measure(around, AROUND))),
        detections=len(found),
        same="" if entry is first else _compared(entry, raw, first).finding,
    )


def _compared(entry: _Entry, raw: Raw, first: _Entry) -> Difference:
    reference = Raw(first.outputs(), 0.0)
    seen = first.detector.finish(reference, first.prepared)
    truth = first.detector.truth(reference, first.prepared, seen)
    return compare_with(truth, entry.detector.finish(raw, entry.prepared))
