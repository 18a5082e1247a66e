"""Several programs for the same model, timed in turns: the one fair way to say which is faster.

Two figures that were taken one after the other differ by what the machine did meanwhile; in turns that meets all of
them alike. Every candidate is compared with the first.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np

from zoo.base.artifact import Artifact, TensorSpec
from zoo.verify.inputs import as_inputs, closed, make_samples, stack
from zoo.verify.result import Compared
from zoo.verify.runtimes.protocol import Array, Runner, Settings
from zoo.verify.runtimes.table import load_runner
from zoo.verify.speed import Call, Comparison, Effort, compare_times, seconds, warm_up


def time_in_turns(calls: Sequence[Call], effort: Effort) -> Array:
    """Seconds [rounds, calls]. The order is turned round from one round to the next (ABBA), and each runs once untimed
    before it is timed: caches that the one before has emptied, and its threads that still spin, slow nobody down."""
    for call in calls:
        warm_up(call, effort)
    order = list(range(len(calls)))
    rounds: list[list[float]] = []
    end = time.perf_counter() + effort.seconds * len(calls)
    while len(rounds) < effort.runs or time.perf_counter() < end:
        times = {place: _settled(calls[place]) for place in (order if len(rounds) % 2 else order[::-1])}
        rounds.append([times[place] for place in order])
    return np.array(rounds)


def _settled(call: Call) -> float:
    """The seconds of the second of two runs."""
    call()
    return seconds(call)


def compare_artifacts(
    artifacts: Sequence[Artifact],
    inputs: Sequence[TensorSpec],
    settings: Settings,
    *,
    seed: int,
    batch: int,
    effort: Effort,
) -> list[Compared]:
    """How fast each artifact but the first is beside the first: one entry for each of those, in their order.

    `inputs` are those of the reference. Raises what loading a model raises.
    """
    settings = replace(settings, tune=settings.on_gpu)
    with ExitStack() as stack_of:
        runners = [
            stack_of.enter_context(closing(load_runner(artifact.model, artifact.format, settings)))
            for artifact in artifacts
        ]
        calls = [_call(runner, inputs, seed, batch) for runner in runners]
        rounds = time_in_turns(calls, effort)
    first = artifacts[0]
    name = first.format if len({artifact.name for artifact in artifacts}) == 1 else first.model.name
    pairs = ((rounds[:, [column, 0]], column) for column in range(1, len(artifacts)))
    return [_compared(name, batch, compare_times(both, seed + column)) for both, column in pairs]


def _call(runner: Runner, inputs: Sequence[TensorSpec], seed: int, batch: int) -> Call:
    samples = make_samples(closed(inputs, runner.inputs), seed)
    feeds = stack(list(itertools.islice(itertools.cycle(samples), batch)))
    return runner.bind(as_inputs(feeds, runner.inputs))[0]


def _compared(other: str, batch: int, comparison: Comparison) -> Compared:
    return Compared(other, batch, comparison.rounds, comparison.ratio, comparison.chance, comparison.differs)
