"""Conditions that a user sets beside the tolerance, e.g. `fps>=30,max_abs<=1e-4`. Judges saved numbers; runs nothing.

REQUIREMENT  = CONDITION { "," CONDITION }
CONDITION    = NAME ( ">=" | "<=" | ">" | "<" ) NUMBER
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from zoo.base.errors import UsageError
from zoo.verify.result import Gate, OutputResult, Report, SpeedResult
from zoo.verify.verdict import FAIL, PASS, Judgement, overall

CONDITION = re.compile(r"\s*([a-z_0-9]+)\s*(>=|<=|>|<)\s*([-+.\w]+)\s*")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
Measure = Callable[[Report], float | None]


@dataclass(frozen=True)
class Condition:
    """One condition: a measure's name, how it is compared, and with what."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Conditions from a command line. Raises UsageError that says which is wrong."""
    return tuple(_parsed(part) for part in text.split(",") if part.strip())


def _parsed(part: str) -> Condition:
    found = CONDITION.fullmatch(part)
    if not found:
        raise UsageError(f"{part.strip()!r} is no condition", hint="expected NAME>=NUMBER or NAME<=NUMBER: fps>=30")
    name, sign, number = found.groups()
    if name not in MEASURES:
        raise UsageError(f"{part.strip()!r}: nothing is called {name!r}", hint=f"known are {', '.join(MEASURES)}")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise UsageError(f"{part.strip()!r}: {number!r} is not a number")
    return Condition(name, sign, limit)


def apply_conditions(reports: Sequence[Report], conditions: Sequence[Condition]) -> list[Report]:
    """The reports with the verdicts of these conditions, in place of older ones of the same name.

    What was not measured is not met, with two exceptions: a report that is no pass anyway may lack its speed, and what
    all others are compared with has no speedup of its own.
    """
    base = {_model(report) for report in reports if report.compared}
    return [with_gates(report, _gates(report, conditions, base)) for report in reports]


def with_gates(report: Report, gates: Iterable[Gate]) -> Report:
    """The report with these gates in place of those of the same name, and the verdict that follows."""
    new = {gate.name: gate for gate in gates}
    kept = [gate for gate in report.gates if gate.name not in new]
    parts = [("", report.judgement), *((gate.name, gate.judgement) for gate in new.values())]
    judgement = report.judgement if not report.passed else overall(parts)
    return replace(report, gates=(*kept, *new.values()), judgement=judgement)


def _gates(report: Report, conditions: Sequence[Condition], base: set[tuple[str, str, str]]) -> list[Gate]:
    gates = []
    for condition in conditions:
        value = MEASURES[condition.name](report)
        may_lack = not report.passed or (condition.name == "speedup" and _model(report) in base)
        if value is not None or not may_lack:
            gates.append(Gate(str(condition), _judged(condition, value)))
    return gates


def _judged(condition: Condition, value: float | None) -> Judgement:
    if value is None:
        return Judgement(FAIL, f"{condition.name} was not measured in this run")
    if COMPARE[condition.sign](value, condition.limit):
        return Judgement(PASS, f"{value:.4g}")
    return Judgement(FAIL, f"{condition.name} is {value:.4g}")


def _model(report: Report) -> tuple[str, str, str]:
    return report.name, report.device.used, report.precision


def _of_speed(measure: Callable[[SpeedResult], float | None]) -> Measure:
    return lambda report: measure(report.speed) if report.speed else None


def _of_outputs(measure: Callable[[OutputResult], float | None], pick: Callable[[Iterable[float]], float]) -> Measure:
    """The worst over all outputs; None where one of them has none."""

    def worst(report: Report) -> float | None:
        values = [measure(output) for output in report.outputs]
        known = [value for value in values if value is not None]
        return pick(known) if known and len(known) == len(values) else None

    return worst


def _memory(where: str) -> Measure:
    return _of_speed(lambda speed: speed.memory[where] / 1e6 if where in speed.memory else None)


def _largest(output: OutputResult) -> float | None:
    comparable = all(not (m.difference.problem or m.difference.not_finite) for m in output.measurements)
    return max(m.difference.max for m in output.measurements) if comparable and output.measurements else None


def _signal(output: OutputResult) -> float | None:
    """The lowest signal-to-noise ratio; infinite where candidate and truth are equal."""
    comparable = all(not (m.difference.problem or m.difference.not_finite) for m in output.measurements)
    sizes = [math.inf if m.difference.snr_db is None else m.difference.snr_db for m in output.measurements]
    return min(sizes) if comparable and sizes else None


def _speedup(report: Report) -> float | None:
    """The smallest, where there are several."""
    return min((one.speedup.value for one in report.compared), default=None)


# Name → what it measures of a report. docs/verify.md lists them with their units.
MEASURES: dict[str, Measure] = {
    "fps": _of_speed(lambda speed: speed.fps),
    "median_ms": _of_speed(lambda speed: speed.median.value * 1e3),
    "p95_ms": _of_speed(lambda speed: speed.p95 * 1e3),
    "p99_ms": _of_speed(lambda speed: speed.p99 * 1e3),
    "speedup": _speedup,
    "host_peak_mb": _memory("host_peak"),
    "device_peak_mb": _memory("device_peak"),
    "max_abs": _of_outputs(_largest, max),
    "snr_db": _of_outputs(_signal, min),
    "times_floor": _of_outputs(lambda output: output.just_passes, max),
    "matched": lambda report: report.detections.matched if report.detections else None,
}
