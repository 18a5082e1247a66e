"""How fast a loaded model runs: warm-up until stable, enough runs, medians with confidence intervals.

No sample is ever dropped. Intervals come from a moving-block bootstrap, because neighbouring runs are not
independent: the clock and the scheduler change more slowly than one run lasts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from zoo.verify.result import Interval
from zoo.verify.runtimes.protocol import Array

Call = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class Effort:
    """How long to measure: at least so many runs and so many seconds, after at most `warm_up` seconds.

    Less than `seconds` is enough where the 95 % interval has become `narrow`: within that share of the figure on
    either side. 0 is never.
    """

    seconds: float
    runs: int
    warm_up: float
    narrow: float = 0.0

    def series(
        self, run: Callable[[int], T], width: Callable[[list[T]], float], candidates: int = 1, at_once: int = 1
    ) -> list[T]:
        """What each `run` gives, which is told its number and runs each of the candidates so often `at_once`; `seconds`
        and `runs` are for each of them. `width` is that of the interval so far, and is asked for more and more rarely.
        """
        found: list[T] = []
        looked = 0
        least = math.ceil(self.runs / at_once)
        end = time.perf_counter() + self.seconds * candidates
        while len(found) < least or time.perf_counter() < end:
            if self.narrow and len(found) >= max(least, looked * SPARSELY):
                looked = len(found)
                if width(found) <= self.narrow:
                    break
            found.append(run(len(found)))
        return found


FULL = Effort(seconds=2.5, runs=100, warm_up=10.0, narrow=0.01)
QUICK = Effort(seconds=0.5, runs=10, warm_up=1.0)
GLANCE = Effort(seconds=0.2, runs=5, warm_up=0.2)  # for the cost of larger batches; the model is warm
EFFORTS = {"full": FULL, "quick": QUICK}

WINDOW = 5  # runs in each half of the warm-up test
STABLE = 0.05  # medians of two neighbouring windows closer than this: warm
UNSTEADY = 0.05  # the coefficient of variation above which a report warns
RESAMPLES = 1000
SPARSELY = 1.25  # times the runs at the last look at how narrow the interval is
LONGEST = 2000  # times that enter one bootstrap; more would not narrow the interval in a way that matters


def warm_up(call: Call, effort: Effort) -> int:
    """Run until two neighbouring windows have the same median, or time is up. Returns the number of runs."""
    times: list[float] = []
    end = time.perf_counter() + effort.warm_up
    while time.perf_counter() < end or len(times) < 2:
        times.append(seconds(call))
        if len(times) >= 2 * WINDOW and is_stable(times):
            break
    return len(times)


def is_stable(times: Sequence[float]) -> bool:
    """Whether the last two windows agree."""
    before, after = np.median(times[-2 * WINDOW : -WINDOW]), np.median(times[-WINDOW:])
    return bool(abs(after - before) <= STABLE * before)


def measure(call: Call, effort: Effort) -> Array:
    """The seconds of each run, float64 [runs], without warm-up."""
    return np.array(effort.series(lambda _: seconds(call), width_of))


def width_of(times: Sequence[float]) -> float:
    """Half the 95 % interval of the median, as a share of it."""
    interval = median_interval(np.array(times))
    return (interval.high - interval.low) / 2 / interval.value


def seconds(call: Call) -> float:
    """The duration of one call."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) * 1e-9


def median_interval(times: Array, seed: int = 0) -> Interval:
    """The median of a series with its 95 % interval, which is found on every few of very many runs, and holds the
    median of all of them."""
    series = times[:: math.ceil(len(times) / LONGEST)]
    medians = np.median(series[_blocks(len(series), np.random.default_rng(seed))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    median = float(np.median(times))
    return Interval(median, min(float(low), median), max(float(high), median))


def _blocks(length: int, random: np.random.Generator) -> Array:
    """Positions [RESAMPLES, length] made of whole blocks of about sqrt(length) neighbours, around a circle."""
    block = max(1, math.isqrt(length))
    starts = random.integers(0, length, (RESAMPLES, math.ceil(length / block)))
    positions = (starts[:, :, None] + np.arange(block)) % length
    resampled: Array = positions.reshape(RESAMPLES, -1)[:, :length]
    return resampled


@dataclass(frozen=True)
class Comparison:
    """Two models timed in turns: `ratio` of their times, and the same of each with itself: what chance alone does.

    `differs` only where the interval excludes 1 and the ratio is further from 1 than chance moved it.
    """

    ratio: Interval
    chance: float
    rounds: int

    @property
    def differs(self) -> bool:
        """Whether one is faster, by the rule above."""
        apart = self.ratio.low > 1 or self.ratio.high < 1
        return apart and abs(math.log(self.ratio.value)) > abs(math.log(self.chance))


def compare_times(rounds: Array, seed: int = 0) -> Comparison:
    """The comparison from times [rounds, 2] of turns (see `side_by_side.of_turns`). The ratio is second / first."""
    ratio = median_interval(np.log(rounds[:, 1] / rounds[:, 0]), seed)
    halves = [np.median(np.log(rounds[::2, side])) - np.median(np.log(rounds[1::2, side])) for side in (0, 1)]
    interval = Interval(*(math.exp(value) for value in (ratio.value, ratio.low, ratio.high)))
    return Comparison(interval, math.exp(max(abs(float(half)) for half in halves)), len(rounds))
