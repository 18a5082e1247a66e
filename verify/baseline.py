"""A saved result as the baseline of speed: slower by more than both intervals explain is a failure, and only that.

Speeds of two machines are not compared: where processor, system, GPU or threads differ the report says so, and
nothing is judged. Another version of a runtime on the same machine is: that is what a baseline is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from zoo.verify.gates import with_gates
from zoo.verify.result import Gate, Interval, Report, SpeedResult
from zoo.verify.verdict import FAIL, PASS, Judgement

NAME = "baseline"
MACHINE = ("system", "processor", "cpus", "gpu")  # facts of the environment that make a machine

Key = tuple[str, str, str, str, str]


def against_baseline(reports: Sequence[Report], saved: Sequence[Sequence[Report]]) -> list[Report]:
    """The reports, each with a gate or a note on how its speed stands to the baseline. Several saved results of the
    same build are one baseline: its interval spans theirs, and so holds what changes from run to run."""
    return [_beside(report, [one for run in saved for one in run if _key(one) == _key(report)]) for report in reports]


def _beside(report: Report, before: Sequence[Report]) -> Report:
    if not report.speed:
        return report
    timed = [one for one in before if one.speed and one.speed.batch == report.speed.batch]
    if not timed:
        return _noted(report, "the baseline has no speed for this format, runtime, device and batch: not compared")
    differs = [fact for one in timed if (fact := _other_machine(report, one))]
    if differs:
        return _noted(report, f"not compared with the baseline, which is of another machine: {differs[0]}")
    then = span([one.speed.median for one in timed if one.speed])
    return with_gates(report, [Gate(NAME, _judged(report.speed, then))])


def _judged(speed: SpeedResult, then: Interval) -> Judgement:
    ratio = time_ratio(speed.median, then)
    times = f"{speed.median.value * 1e3:.4g} ms, the baseline {then.value * 1e3:.4g} ms"
    told = f"{times}: {ratio.value:.3f} times as long, 95 % interval {ratio.low:.3f} to {ratio.high:.3f}"
    return Judgement(FAIL if ratio.low > 1 else PASS, told)


def time_ratio(now: Interval, then: Interval) -> Interval:
    """now / then with its interval: relative errors of independent measurements add up by their squares."""
    value = now.value / then.value
    down = math.hypot(math.log(now.value / now.low), math.log(then.high / then.value))
    up = math.hypot(math.log(now.high / now.value), math.log(then.value / then.low))
    return Interval(value, value * math.exp(-down), value * math.exp(up))


def span(medians: Sequence[Interval]) -> Interval:
    """Several runs as one: the middle of their medians, and an interval that holds all of theirs."""
    middle = sorted(median.value for median in medians)[len(medians) // 2]
    return Interval(middle, min(median.low for median in medians), max(median.high for median in medians))


def _other_machine(now: Report, then: Report) -> str:
    """The first fact that differs, "" where it is the same machine used in the same way."""
    for name in MACHINE:
        here, there = now.environment.get(name, "none"), then.environment.get(name, "none")
        if here != there:
            return f"{name} {there}, here {here}"
    threads = (then.device.threads, now.device.threads)
    return "" if threads[0] == threads[1] else f"{threads[0]} threads, here {threads[1]}"


def _noted(report: Report, note: str) -> Report:
    return replace(report, notes=(*report.notes, note))


def _key(report: Report) -> Key:
    program, _, _version = report.device.runtime.partition(" ")
    return report.name, report.format, report.precision, report.device.used, program
