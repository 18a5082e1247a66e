"""Several programs for the same model, timed in turns: the one fair way to say which is faster.

Two figures that were taken one after the other differ by what the machine did meanwhile; in turns that meets all of
them alike. Every candidate is compared with the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.verify.result import Interval
from zoo.verify.runtimes.protocol import Array
from zoo.verify.speed import Call, Effort, median_interval, seconds, width_of

TURN = 4  # runs of one candidate before the next one's
# The logarithm of a ratio, from which on it need be known in proportion only: what is 22 % slower to within 1 %, what
# is 4 times slower to within 7 %.
CLEAR = 0.2


def time_in_turns(calls: Sequence[Call], effort: Effort) -> Array:
    """Seconds [rounds, calls, TURN], of calls that are warm. The order is turned round from one round to the next
    (ABBA), and each runs once untimed before it is timed: caches that the one before has emptied, and its threads that
    still spin, slow nobody down."""
    order = list(range(len(calls)))

    def round_of(number: int) -> list[list[float]]:
        times = {place: _turn(calls[place]) for place in (order if number % 2 else order[::-1])}
        return [times[place] for place in order]

    return np.array(effort.series(round_of, _widest, len(calls), TURN))


def _turn(call: Call) -> list[float]:
    call()
    return [seconds(call) for _ in range(TURN)]


def _widest(rounds: Sequence[Sequence[Sequence[float]]]) -> float:
    """How uncertain the least certain ratio to the first of them is; of one alone, its time."""
    times = np.array(rounds)
    if times.shape[1] == 1:
        return width_of(times.reshape(-1).tolist())
    usual = np.log(of_turns(times))
    return max(_uncertainty(median_interval(column - usual[:, 0])) for column in usual[:, 1:].T)


def of_turns(times: Array) -> Array:
    """The time of each turn [rounds, calls], from what `time_in_turns` gives: the median of its runs."""
    usual: Array = np.median(times, axis=2)
    return usual


def _uncertainty(ratio: Interval) -> float:
    """Half the 95 % interval of a ratio's logarithm, a share of the ratio; in proportion less beyond `CLEAR`."""
    return (ratio.high - ratio.low) / 2 / max(1.0, abs(ratio.value) / CLEAR)
