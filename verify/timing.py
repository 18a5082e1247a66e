"""The speeds of the models that passed, taken in turns, and the verdict on what the timed runs gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from zoo.base.artifact import Artifact
from zoo.base.errors import VerificationError, ZooError
from zoo.verify.candidate import Examined, Options
from zoo.verify.histograms import time_histogram
from zoo.verify.inputs import Sample, as_inputs, stack
from zoo.verify.parity import CandidateRun, Evidence, cut
from zoo.verify.result import BatchCost, Compared, Report, SpeedResult
from zoo.verify.runtimes.memory import forget_peak, peak_memory
from zoo.verify.runtimes.protocol import Array, Runner, Settings
from zoo.verify.runtimes.table import load_runner
from zoo.verify.side_by_side import of_turns, time_in_turns
from zoo.verify.speed import EFFORTS, GLANCE, UNSTEADY, Call, Effort, compare_times, measure, median_interval, warm_up
from zoo.verify.verdict import FAIL, PASS, Judgement, overall

BASE = -1  # the place of the model that all others are compared with, where it is none of them


@dataclass(frozen=True)
class Warm:
    """A model that runs, again and again, on one batch: `call` runs it, `outputs` gives what the last run gave. `runs`
    are those it took to be warm, `memory` what they took."""

    artifact: Artifact
    runner: Runner
    feeds: Mapping[str, Array]
    batch: int
    call: Call
    outputs: Callable[[], dict[str, Array]]
    runs: int
    memory: dict[str, int]


def timed(candidates: Sequence[Examined], options: Options, base: Artifact | None = None) -> list[Report]:
    """The reports with the speeds of those that passed so far, timed on one device in turns, with how fast each is
    beside `base`, or beside the first of them, and with the verdict on the outputs of the last timed run."""
    reports = [one.report for one in candidates]
    chosen = {place: one for place, one in enumerate(candidates) if one.to_be_timed(options)}
    if not chosen:
        return reports
    effort = EFFORTS[options.speed]
    with ExitStack() as opened:
        warm, wrong = _warm(opened, chosen, options, effort, base)
        times = _in_turns(warm, effort, wrong)
        for place in times.keys() - {BASE}:
            reports[place] = _report(chosen[place], warm[place], times[place], effort)
    compared = _compared(warm, times, options.seed)
    for place in chosen:
        if place in wrong:
            reports[place] = replace(reports[place], judgement=Judgement(FAIL, wrong[place].message))
        elif place in compared:
            reports[place] = replace(reports[place], compared=(compared[place],))
        elif BASE in wrong:
            reports[place] = replace(
                reports[place],
                notes=(*reports[place].notes, f"not timed beside the reference: {wrong[BASE].message}"),
            )
    return reports


def _warm(
    opened: ExitStack, chosen: Mapping[int, Examined], options: Options, effort: Effort, base: Artifact | None
) -> tuple[dict[int, Warm], dict[int, ZooError]]:
    """The models that run, by their places, `base` first; and why the others do not."""
    warm: dict[int, Warm] = {}
    wrong: dict[int, ZooError] = {}
    if base:
        first = next(iter(chosen.values()))
        settings = Settings(first.report.device.used, options.precision, options.threads, tune=not first.runner)
        try:
            runner = opened.enter_context(closing(load_runner(base.model, base.format, settings)))
            warm[BASE] = _started(base, runner, _batch(first), effort)
        except ZooError as error:
            wrong[BASE] = error
    for place, one in chosen.items():
        try:
            warm[place] = _started(one.artifact, opened.enter_context(one.opened(options)), _batch(one), effort)
        except VerificationError as error:
            wrong[place] = error
    return warm, wrong


def _batch(one: Examined) -> list[Sample]:
    """The first batch that was compared."""
    assert one.evidence
    return [one.evidence.samples[run.sample] for run in one.evidence.runs[: one.evidence.runs[0].batch]]


def _started(artifact: Artifact, runner: Runner, batch: Sequence[Sample], effort: Effort) -> Warm:
    feeds = as_inputs(stack(batch), runner.inputs)
    forget_peak()
    call, outputs = runner.bind(feeds)
    return Warm(artifact, runner, feeds, len(batch), call, outputs, warm_up(call, effort), _memory(runner))


class _StoppedError(Exception):
    """The model at this place could not be run again."""

    def __init__(self, place: int, error: VerificationError) -> None:
        super().__init__(str(error))
        self.place, self.error = place, error


def _in_turns(warm: Mapping[int, Warm], effort: Effort, wrong: dict[int, ZooError]) -> dict[int, Array]:
    """The seconds of each model [rounds, runs of a turn] by its place. One that stops is told in `wrong`, and the
    others begin anew."""
    while running := [place for place in warm if place not in wrong]:
        try:
            times = time_in_turns([_told(place, warm[place].call) for place in running], effort)
            return {place: times[:, column] for column, place in enumerate(running)}
        except _StoppedError as stopped:
            wrong[stopped.place] = stopped.error
    return {}


def _told(place: int, call: Call) -> Call:
    """The call, which says whose it is where it fails."""

    def run() -> None:
        try:
            call()
        except VerificationError as error:
            raise _StoppedError(place, error) from error

    return run


def _report(one: Examined, warm: Warm, times: Array, effort: Effort) -> Report:
    """The report with the speed, and the verdict on the timed run."""
    assert one.evidence
    try:
        speed = _speed(one, warm, times.reshape(-1), effort)
        scaling = _cost_of_batches(warm, one.evidence.samples, speed, one.report.batches)
    except VerificationError as error:
        return replace(one.report, judgement=Judgement(FAIL, error.message))
    judgement = overall([("speed", speed.judgement)])
    return replace(one.report, speed=speed, scaling=scaling, judgement=judgement)


def _speed(one: Examined, warm: Warm, times: Array, effort: Effort) -> SpeedResult:
    judgement = _judgement(one, warm)
    variation = float(times.std() / times.mean())
    interval = median_interval(times)
    copied = measure(lambda: warm.runner.run(warm.feeds), effort) if warm.runner.device != "cpu" else times
    return SpeedResult(
        batch=warm.batch,
        runs=len(times),
        warm_up=warm.runs,
        median=interval,
        p95=float(np.percentile(times, 95)),
        p99=float(np.percentile(times, 99)),
        fps=warm.batch / interval.value,
        variation=variation,
        end_to_end=float(np.median(copied)),
        memory=warm.memory,
        judgement=judgement,
        warnings=_warnings(variation, len(times)),
        latency=time_histogram(times),
    )


def _judgement(one: Examined, warm: Warm) -> Judgement:
    """The verdict on what the last timed run gave, by the same rules as before. A failure is one, but whether the
    samples prove anything was judged on all of them; one of them alone need not."""
    assert one.evidence
    last, evidence = warm.outputs(), one.evidence
    return overall(
        (f"timed run, {evidence.samples[run.sample].name}", _of_sample(one, evidence, run.sample, last, place))
        for place, run in enumerate(evidence.runs[: warm.batch])
    )


def _of_sample(one: Examined, evidence: Evidence, sample: int, last: dict[str, Array], place: int) -> Judgement:
    assert one.judge
    size = evidence.runs[0].batch
    outputs = cut(last, place, size, evidence.observations[0].truth)
    judgement = one.judge(replace(evidence, runs=[CandidateRun(sample, size, outputs)]))
    return judgement if judgement.verdict == FAIL else Judgement(PASS)


def _compared(warm: Mapping[int, Warm], times: Mapping[int, Array], seed: int) -> dict[int, Compared]:
    """Each beside the first of them, where that runs the same batch."""
    if not times:
        return {}
    first, *others = times
    found = {}
    for place in others:
        if warm[place].batch == warm[first].batch:
            both = of_turns(np.stack([times[place], times[first]], axis=1))
            comparison = compare_times(both, seed + place)
            told = (comparison.rounds, comparison.ratio, comparison.chance, comparison.differs)
            found[place] = Compared(_name(warm[first].artifact, list(warm.values())), warm[first].batch, *told)
    return found


def _name(first: Artifact, all_of_them: Sequence[Warm]) -> str:
    """What the report calls the first: its format, where all are the same model."""
    same = len({one.artifact.name for one in all_of_them}) == 1
    return first.format if same else first.model.name


def _cost_of_batches(
    warm: Warm, samples: Sequence[Sample], first: SpeedResult, sizes: Sequence[int]
) -> tuple[BatchCost, ...]:
    """What each batch size costs, shortly measured but for the one that was timed already; none where there is only
    that one."""
    if set(sizes) <= {first.batch}:
        return ()
    known = BatchCost(first.batch, first.median, first.fps, first.memory)
    return tuple(known if size == first.batch else _cost(warm.runner, samples, size) for size in sorted({*sizes}))


def _cost(runner: Runner, samples: Sequence[Sample], size: int) -> BatchCost:
    feeds = as_inputs(stack(list(islice(cycle(samples), size))), runner.inputs)
    forget_peak()
    call, _ = runner.bind(feeds)
    warm_up(call, GLANCE)
    median = median_interval(measure(call, GLANCE))
    return BatchCost(size, median, size / median.value, _memory(runner))


def _memory(runner: Runner) -> dict[str, int]:
    """What the runner tells, and this process's peak; a runner in a process of its own tells that of its process."""
    now = runner.memory()
    return {"host_peak": peak_memory(), **now}


def _warnings(variation: float, runs: int) -> tuple[str, ...]:
    warnings = []
    if variation > UNSTEADY:
        warnings.append(f"unsteady: the times vary by {variation:.0%}; something else runs on this machine")
    if runs < 100:
        warnings.append(f"only {runs} runs: the figure is rough")
    return tuple(warnings)
