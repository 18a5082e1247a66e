"""The statistics of speed, on simulated clocks: no test here depends on how fast this machine is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from zoo.verify import speed
from zoo.verify.runtimes.protocol import Array
from zoo.verify.side_by_side import TURN, of_turns, time_in_turns
from zoo.verify.speed import LONGEST, Effort, compare_times, is_stable, measure, median_interval, warm_up

NOTHING = Effort(seconds=0.0, runs=7, warm_up=0.0)


class Clock:
    """perf_counter whose time passes only when a call says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: int(self.now * 1e9))

    def takes(self, *durations: float) -> speed.Call:
        """A call that takes these times, the last one for ever."""
        left = list(durations)

        def call() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_measure_runs_at_least_so_often_and_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert len(measure(clock.takes(10.0), Effort(3.0, 100, 0))) == 100
    assert len(measure(clock.takes(0.015625), Effort(3.0, 100, 0))) == 192
    np.testing.assert_allclose(measure(clock.takes(1.0, 2.0, 3.0), Effort(0, 3, 0)), [1, 2, 3])


def uncertain(spread: float) -> Array:
    """Durations around 1/64 s that vary."""
    durations: Array = np.random.default_rng(0).lognormal(0, spread, 4000) / 64
    return durations


def test_measuring_ends_early_only_where_the_median_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, enough = Clock(monkeypatch), Effort(30.0, 100, 0, narrow=0.01)
    assert len(measure(clock.takes(0.015625), enough)) == 100
    assert len(measure(clock.takes(*uncertain(0.3)), enough)) > 1000


def test_turns_end_early_only_where_every_ratio_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, enough = Clock(monkeypatch), Effort(30.0, 100, 0, narrow=0.02)
    assert time_in_turns([clock.takes(0.015625), clock.takes(0.03125)], enough).shape == (100 // TURN, 2, TURN)
    calls = [clock.takes(0.015625), clock.takes(0.03125), clock.takes(*uncertain(0.3))]
    assert len(time_in_turns(calls, enough)) > 100


def test_one_alone_takes_turns_until_its_time_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, enough = Clock(monkeypatch), Effort(30.0, 100, 0, narrow=0.01)
    assert len(time_in_turns([clock.takes(0.015625)], enough)) == 100 // TURN
    assert time_in_turns([clock.takes(*uncertain(0.3))], enough).size > 1000


def test_a_ratio_far_from_1_need_be_certain_in_proportion_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, enough = Clock(monkeypatch), Effort(30.0, 100, 0, narrow=0.02)
    rounds = time_in_turns([clock.takes(0.0625), clock.takes(*uncertain(0.3))], enough)
    assert len(rounds) < 50
    ratio = compare_times(of_turns(rounds)).ratio
    assert 0.02 < (ratio.high - ratio.low) / 2 / ratio.value < 0.14


def test_warm_up_ends_when_times_are_stable_or_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert warm_up(clock.takes(*[0.1] * 5, 0.01), Effort(0, 0, 10)) == 13
    assert not is_stable([0.1] * 5 + [0.05] * 5)
    clock = Clock(monkeypatch)
    assert warm_up(clock.takes(*[2.0**-n for n in range(60)]), Effort(0, 0, 1.99)) < 12


def test_the_interval_holds_the_median_of_runs_that_it_is_not_made_of() -> None:
    """Of very many runs every second one counts: here those of the slower kind."""
    times = np.where(np.arange(2 * LONGEST) % 2, 1.0, 2.0)
    interval = median_interval(times)
    assert interval.low <= interval.value <= interval.high


def test_the_interval_holds_the_true_median_in_about_95_of_100_series() -> None:
    inside = 0
    for seed in range(200):
        series = np.random.default_rng(seed).lognormal(0, 0.1, 120)
        interval = median_interval(series, seed)
        assert interval.low <= interval.value <= interval.high
        inside += interval.low <= 1 <= interval.high
    assert 180 <= inside <= 200


def drifting(random: np.random.Generator, rounds: int = 150) -> Array:
    """Times of a machine whose clock wanders: neighbours are alike."""
    walk = np.cumsum(random.normal(0, 0.01, rounds))
    return np.exp(walk[:, None] + random.normal(0, 0.05, (rounds, 2)))


def test_a_model_against_itself_shows_no_difference() -> None:
    differs = sum(compare_times(drifting(np.random.default_rng(seed)), seed).differs for seed in range(200))
    assert differs <= 10


def test_a_tenth_slower_is_found_and_measured() -> None:
    for seed in range(20):
        rounds = drifting(np.random.default_rng(seed))
        rounds[:, 1] *= 1.1
        comparison = compare_times(rounds, seed)
        assert comparison.differs
        assert comparison.ratio.value == pytest.approx(1.1, rel=0.03)


def test_turns_swap_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    order: list[str] = []
    tick = clock.takes(0.5)

    def call(name: str) -> speed.Call:
        def run() -> None:
            order.append(name)
            tick()

        return run

    rounds = time_in_turns([call("a"), call("b")], NOTHING)
    turn = TURN + 1  # one of them untimed
    assert "".join(order[-4 * turn :]) in (
        "a" * turn + "b" * 2 * turn + "a" * turn,
        "b" * turn + "a" * 2 * turn + "b" * turn,
    )
    assert rounds.shape == (2, 2, TURN)  # at least seven runs of each
    assert not compare_times(of_turns(rounds)).differs
