"""The speed of a candidate as part of its verification: the outputs of the timed run are judged too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice

import numpy as np

from zoo.verify.histograms import time_histogram
from zoo.verify.inputs import Sample, as_inputs, stack
from zoo.verify.parity import cut
from zoo.verify.result import BatchCost, SpeedResult
from zoo.verify.runtimes.memory import forget_peak, peak_memory
from zoo.verify.runtimes.protocol import Array, Runner, Tensors
from zoo.verify.speed import GLANCE, UNSTEADY, Effort, measure, median_interval, warm_up
from zoo.verify.verdict import Judgement, overall

Judge = Callable[[int, dict[str, Array]], Judgement]
"""The judgement on the outputs for one sample, by its position."""


def time_candidate(
    runner: Runner, samples: Sequence[Sample], batch: Sequence[int], effort: Effort, judge: Judge, truth: Tensors
) -> SpeedResult:
    """Time one batch (positions of samples) and judge what the last timed run gave; `truth` as in `run_candidate`."""
    feeds = as_inputs(stack([samples[position] for position in batch]), runner.inputs)
    forget_peak()
    call, outputs = runner.bind(feeds)
    warm = warm_up(call, effort)
    times = measure(call, effort)
    last = outputs()
    judgement = overall(
        (f"timed run, {samples[position].name}", judge(position, cut(last, place, len(batch), truth)))
        for place, position in enumerate(batch)
    )
    variation = float(times.std() / times.mean())
    interval = median_interval(times)
    copied = measure(lambda: runner.run(feeds), effort) if runner.device != "cpu" else times
    return SpeedResult(
        batch=len(batch),
        runs=len(times),
        warm_up=warm,
        median=interval,
        p95=float(np.percentile(times, 95)),
        p99=float(np.percentile(times, 99)),
        fps=len(batch) / interval.value,
        variation=variation,
        end_to_end=float(np.median(copied)),
        memory=_memory(runner),
        judgement=judgement,
        warnings=_warnings(variation, len(times)),
        latency=time_histogram(times),
    )


def cost_of_batches(
    runner: Runner, samples: Sequence[Sample], first: SpeedResult, sizes: Sequence[int]
) -> tuple[BatchCost, ...]:
    """What each batch size costs, shortly measured but for the one that was timed already; none where there is only
    that one."""
    if set(sizes) <= {first.batch}:
        return ()
    known = BatchCost(first.batch, first.median, first.fps, first.memory)
    return tuple(known if size == first.batch else _cost(runner, samples, size) for size in sorted({*sizes}))


def _cost(runner: Runner, samples: Sequence[Sample], size: int) -> BatchCost:
    feeds = as_inputs(stack(list(islice(cycle(samples), size))), runner.inputs)
    forget_peak()
    call, _ = runner.bind(feeds)
    warm_up(call, GLANCE)
    median = median_interval(measure(call, GLANCE))
    return BatchCost(size, median, size / median.value, _memory(runner))


def _memory(runner: Runner) -> dict[str, int]:
    """What the runner tells, and this process's peak; a runner in a process of its own tells that of its process."""
    return {"host_peak": peak_memory(), **runner.memory()}


def _warnings(variation: float, runs: int) -> tuple[str, ...]:
    warnings = []
    if variation > UNSTEADY:
        warnings.append(f"unsteady: the times vary by {variation:.0%}; something else runs on this machine")
    if runs < 100:
        warnings.append(f"only {runs} runs: the figure is rough")
    return tuple(warnings)
