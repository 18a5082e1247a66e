"""What is verified: how it was asked for, and an artifact with everything that was found out about it so far."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace

from zoo.base.artifact import Artifact
from zoo.verify.noise import MARGIN
from zoo.verify.parity import Evidence
from zoo.verify.result import Report
from zoo.verify.runtimes.protocol import Runner, Settings, available_threads
from zoo.verify.runtimes.table import load_runner
from zoo.verify.verdict import Judgement


@dataclass(frozen=True)
class Options:
    """How to verify. `device` may be "auto"; `batches` of None are 1 and 3 where the model takes any, else its own.

    `margin` (times the noise floor) of None is the margin of the precision; `speed` is "full", "quick" or "none";
    `threshold` and `nms` are those of the detections compared. `bisect` compares layer by layer even where nothing
    failed. `shared` says that other work goes on beside this until speeds are measured. `runtime` names one of the
    runtimes that run the format; "" is the first of them.
    """

    device: str = "cpu"
    precision: str = "fp32"
    batches: tuple[int, ...] | None = None
    threads: int = field(default_factory=available_threads)
    seed: int = 0
    margin: float | None = None
    speed: str = "full"
    threshold: float = 0.25
    nms: float = 0.45
    bisect: bool = False
    shared: bool = False
    runtime: str = ""

    @property
    def settings(self) -> Settings:
        """How to run, but for the device."""
        return Settings(precision=self.precision, threads=self.threads, shared=self.shared, runtime=self.runtime)

    @property
    def allowed(self) -> float:
        """The margin to judge with."""
        return MARGIN[self.precision] if self.margin is None else self.margin


@dataclass(frozen=True)
class Examined:
    """An artifact after everything but its speed. `report` is on what was found so far; `runner` is the open model on a
    CPU, `evidence` what was compared, and `judge` the verdict on any evidence: all None where there is nothing to time.
    """

    artifact: Artifact
    report: Report
    runner: Runner | None = None
    evidence: Evidence | None = None
    judge: Callable[[Evidence], Judgement] | None = None

    def to_be_timed(self, options: Options) -> bool:
        """Whether it passed so far, and its speed is asked for."""
        return self.report.passed and options.speed != "none"

    def opened(self, options: Options) -> AbstractContextManager[Runner]:
        """The model to time: on a GPU a session of its own, which may search for the fastest algorithms."""
        if self.runner:
            return nullcontext(self.runner)
        settings = replace(options.settings, device=self.report.device.used, shared=False, tune=True)
        return closing(load_runner(self.artifact.model, self.artifact.format, settings))
