"""What a verification found, as plain data: this is what is saved, judged again, and shown in every report.

A verdict is "pass", "fail" or "inconclusive". Only "pass" is a pass. Times are in seconds, memory in bytes. The JSON
form is these classes field by field; its schema lies beside the JSON writer and in docs/verify.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.base.artifact import FileRecord
from zoo.verify.noise import Bounds
from zoo.verify.tensors import Difference
from zoo.verify.verdict import FAIL, PASS, Judgement

SCHEMA = 3  # raised whenever a field comes, goes or changes its meaning


@dataclass(frozen=True)
class Histogram:
    """How many values lie between neighbouring `edges`; there is one more edge than there are counts. The first and
    the last count also hold what lies beyond their edges: no value is left out."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Measurement:
    """One output on one sample. `batch` is the size of the batch in which the candidate saw the sample.

    `times_floor` is the margin that would just pass, None where none would.
    """

    sample: str
    batch: int
    difference: Difference
    times_floor: float | None
    judgement: Judgement


@dataclass(frozen=True)
class OutputResult:
    """One output of the model over all samples. `just_passes` is the largest of its `times_floor`; `truth` says
    whether the reference could have exposed a fault; `errors` counts |found − truth| of all elements on all samples."""

    name: str
    judgement: Judgement
    truth: Judgement
    floor: Bounds
    margin: float
    just_passes: float | None
    measurements: tuple[Measurement, ...]
    errors: Histogram | None = None


@dataclass(frozen=True)
class Box:
    """A detection: corners relative to the network's input."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    label: int


@dataclass(frozen=True)
class Unmatched:
    """A detection that only one side has. `side` is "reference" or "candidate"; `borderline` says why this may be,
    and is "" where nothing explains it: that is an error."""

    sample: str
    batch: int
    side: str
    box: Box
    borderline: str


@dataclass(frozen=True)
class Picture:
    """An input as a small picture, with what each side detects on it. `data` is a data URI of a PNG or JPEG; `aspect`
    is width / height of the network's input, to which the boxes are relative."""

    sample: str
    batch: int
    aspect: float
    data: str
    reference: tuple[Box, ...]
    candidate: tuple[Box, ...]


@dataclass(frozen=True)
class DetectionResult:
    """Detections after non-maximum suppression, matched by class and overlap over all samples. `pictures` are those
    worth looking at: real pictures and drawn scenes, and any with a difference, as many as fit."""

    judgement: Judgement
    threshold: float
    nms: float
    matched: int
    lowest_iou: float | None
    largest_score_difference: float | None
    unmatched: tuple[Unmatched, ...]
    pictures: tuple[Picture, ...] = ()

    @property
    def errors(self) -> int:
        """How many differences nothing explains."""
        return sum(not one.borderline for one in self.unmatched)


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SpeedResult:
    """Seconds for one inference at one batch size. `variation` is standard deviation / mean.

    `end_to_end` is the median with copies to and from the device; equal to `median` on the CPU.
    `memory` is what the process ("host") and the device ("device") held when the model was warm, and the most that they
    held until then ("host_peak", "device_peak"), where that can be told. `latency` counts the runs by their seconds.
    """

    batch: int
    runs: int
    warm_up: int
    median: Interval
    p95: float
    p99: float
    fps: float
    variation: float
    end_to_end: float
    memory: dict[str, int]
    judgement: Judgement
    warnings: tuple[str, ...] = ()
    latency: Histogram | None = None


@dataclass(frozen=True)
class BatchCost:
    """What one batch costs: seconds, pictures in a second, and memory as in `SpeedResult`."""

    batch: int
    median: Interval
    fps: float
    memory: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """This candidate timed in turns with another program for the same model. `speedup` is the other's time / this
    one's; `chance` is how far from 1 the same comparison of a model with itself came. `differs` is the verdict."""

    other: str
    batch: int
    rounds: int
    speedup: Interval
    chance: float
    differs: bool


@dataclass(frozen=True)
class Gate:
    """A condition that the user set beside the tolerance, e.g. "fps>=30", and whether it is met."""

    name: str
    judgement: Judgement


@dataclass(frozen=True)
class LayerResult:
    """One layer of candidate and reference side by side, on one sample. `index`, `line`, `node` and `name` as in
    `Departure`; `times_floor` is by the layer's own noise, None where no margin would do."""

    index: int
    type: str
    line: int
    node: str
    max: float
    times_floor: float | None
    name: str = ""


@dataclass(frozen=True)
class Departure:
    """The first layer that departs from the reference: of a Darknet source its index, the line of the cfg and the
    layer's type; of a graph the place, type and `name` of the node. `node` is the candidate's."""

    layer: int
    type: str
    line: int
    node: str
    difference: Difference
    times_floor: float | None
    before: float
    name: str = ""

    @property
    def where(self) -> str:
        """For a person."""
        place = f"node {self.name}" if self.name else f"{self.layer}"
        return f"{place} [{self.type}]" + (f", cfg line {self.line}" if self.line else "")


@dataclass(frozen=True)
class Device:
    """The device asked for and the one really used. `operators` counts nodes by provider, where that can be told."""

    asked: str
    used: str
    runtime: str
    threads: int
    operators: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """The verdict on one artifact on one device at one precision, with everything it rests on.

    `scaling` is what larger batches cost; `compared` the speed beside other formats; `layers` what a bisection saw;
    `labels` the names of the classes, by the label of a box; "" where there is none. `exit_code` is that of the error
    that left nothing to judge, such as a backend that is not here; 0 where there was none.
    """

    name: str
    format: str
    precision: str
    device: Device
    reference: str
    judgement: Judgement
    artifact: tuple[FileRecord, ...]
    sources: tuple[FileRecord, ...]
    seed: int
    batches: tuple[int, ...]
    outputs: tuple[OutputResult, ...] = ()
    detections: DetectionResult | None = None
    speed: SpeedResult | None = None
    scaling: tuple[BatchCost, ...] = ()
    compared: tuple[Compared, ...] = ()
    gates: tuple[Gate, ...] = ()
    departure: Departure | None = None
    layers: tuple[LayerResult, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    exit_code: int = 0

    @property
    def passed(self) -> bool:
        """True only for the verdict "pass"."""
        return self.judgement.verdict == PASS


def summary(report: Report) -> str:
    """One line for a person: the verdict and the number that it rests on."""
    head = f"{report.name} · {report.format} · {report.device.used} · {report.precision}"
    if report.judgement.verdict == FAIL:
        return f"{head}: FAIL: {report.judgement.reason}"
    if not report.passed:
        return f"{head}: INCONCLUSIVE: {report.judgement.reason}"
    margins = [output.just_passes for output in report.outputs if output.just_passes is not None]
    parts = [f"within {max(margins):.2g}× the noise floor" if margins else "detections equal"]
    if report.detections:
        parts.append(f"{report.detections.matched} detections match")
    if report.speed:
        parts.append(f"{report.speed.fps:.1f} FPS")
    return f"{head}: PASS: {', '.join(parts)}"
