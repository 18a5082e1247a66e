"""Several programs for the same model, timed in turns: the one fair way to say which is faster.

Two figures that were taken one after the other differ by what the machine did meanwhile; in turns that meets all of
them alike. Every candidate is compared with the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.verify.inputs import as_inputs, closed, make_samples, stack
from zoo.verify.result import Compared, Interval
from zoo.verify.runtimes.protocol import Array, Runner
from zoo.verify.speed import Call, Comparison, Effort, compare_times, median_interval, seconds, warm_up

# The logarithm of a ratio, from which on it need be known in proportion only: what is 22 % slower to within 2 %, what
# is 4 times slower to within 14 %.
CLEAR = 0.2


def time_in_turns(calls: Sequence[Call], effort: Effort) -> Array:
    """Seconds [rounds, calls]. The order is turned round from one round to the next (ABBA), and each runs once untimed
    before it is timed: caches that the one before has emptied, and its threads that still spin, slow nobody down."""
    for call in calls:
        warm_up(call, effort)
    order = list(range(len(calls)))

    def round_of(number: int) -> list[float]:
        times = {place: _settled(calls[place]) for place in (order if number % 2 else order[::-1])}
        return [times[place] for place in order]

    return np.array(effort.series(round_of, _widest, len(calls)))


def _widest(rounds: Sequence[Sequence[float]]) -> float:
    """How uncertain the least certain ratio to the first of them is."""
    times = np.log(np.array(rounds))
    intervals = [median_interval(times[:, column] - times[:, 0]) for column in range(1, times.shape[1])]
    return max((_uncertainty(one) for one in intervals), default=0.0)


def _uncertainty(ratio: Interval) -> float:
    """Half the 95 % interval of a ratio's logarithm, a share of the ratio; in proportion less beyond `CLEAR`."""
    return (ratio.high - ratio.low) / 2 / max(1.0, abs(ratio.value) / CLEAR)


def _settled(call: Call) -> float:
    """The seconds of the second of two runs."""
    call()
    return seconds(call)


def compare_runners(
    runners: Sequence[Runner], inputs: Sequence[TensorSpec], first: str, *, seed: int, batch: int, effort: Effort
) -> list[Compared]:
    """How fast each model but the `first`, which the report calls so, is beside it: one entry for each of those, in
    their order. `inputs` are those of the reference."""
    rounds = time_in_turns([_call(runner, inputs, seed, batch) for runner in runners], effort)
    pairs = ((rounds[:, [column, 0]], column) for column in range(1, len(runners)))
    return [_compared(first, batch, compare_times(both, seed + column)) for both, column in pairs]


def _call(runner: Runner, inputs: Sequence[TensorSpec], seed: int, batch: int) -> Call:
    samples = make_samples(closed(inputs, runner.inputs), seed)
    feeds = stack(list(itertools.islice(itertools.cycle(samples), batch)))
    return runner.bind(as_inputs(feeds, runner.inputs))[0]


def _compared(other: str, batch: int, comparison: Comparison) -> Compared:
    return Compared(other, batch, comparison.rounds, comparison.ratio, comparison.chance, comparison.differs)
