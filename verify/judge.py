"""A saved result judged again with another tolerance, from its statistics alone: nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoo.base.errors import UsageError
from zoo.verify.noise import Bounds, judge_difference, times_floor
from zoo.verify.parity import over_measurements
from zoo.verify.result import OutputResult, Report
from zoo.verify.verdict import overall


def judge_again(
    report: Report, *, margin: float | None = None, tolerance: float | None = None, only: Sequence[str] = ()
) -> Report:
    """The report with the verdict that another `margin` (times the noise floor), or an absolute `tolerance` for the
    largest difference, gives; `only` limits it to these outputs.
    Conditions that were set beside the tolerance keep their verdicts.

    A report without outputs, e.g. on a stale artifact, keeps its verdict, and so do detections and speed. Raises
    UsageError where an output of `only` is not in the report.
    """
    unknown = sorted(set(only) - {output.name for output in report.outputs})
    if unknown:
        raise UsageError(f"{report.name} has no output {', '.join(unknown)} in this result")
    if not report.outputs:
        return report
    outputs = tuple(_again(one, margin, tolerance) for one in report.outputs if not only or one.name in only)
    parts = [(f"output {one.name}", one.judgement) for one in outputs]
    parts += [("detections", report.detections.judgement)] if report.detections and not only else []
    parts += [("speed", report.speed.judgement)] if report.speed else []
    parts += [(gate.name, gate.judgement) for gate in report.gates]
    return replace(report, outputs=outputs, judgement=overall(parts))


def _again(output: OutputResult, margin: float | None, tolerance: float | None) -> OutputResult:
    """An absolute tolerance is a floor of that size and a margin of 1: p99.9 and rms are below the maximum anyway."""
    floor = output.floor if tolerance is None else Bounds(tolerance, tolerance, tolerance)
    factor = 1.0 if tolerance is not None else output.margin if margin is None else margin
    measurements = [
        replace(
            one,
            times_floor=times_floor(one.difference, floor),
            judgement=judge_difference(one.difference, floor, factor),
        )
        for one in output.measurements
    ]
    return over_measurements(output.name, measurements, output.truth, floor, factor, output.errors)
