"""Reports as tables on the terminal, with a one-line verdict under each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zoo.verify.reports.words import beside, framework, where
from zoo.verify.result import DetectionResult, OutputResult, Report, SpeedResult, summary

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


def show(reports: Sequence[Report], console: Console) -> None:
    """Print every report, then, for more than one, a table of all."""
    for report in reports:
        console.print(_one(report))
    if len(reports) > 1:
        console.print(_matrix(reports))


def _one(report: Report) -> Group:
    parts: list[Table | Text] = []
    if report.outputs:
        parts.append(_outputs(report.outputs))
    lines = [
        *_detection_lines(report.detections),
        *_speed_lines(report.speed),
        *_scaling_lines(report),
        *_beside_lines(report),
        *_gate_lines(report),
        *_departure_lines(report),
        *report.notes,
    ]
    parts += [Text(line) for line in lines]
    parts.append(Text(summary(report), style=STYLES[report.judgement.verdict]))
    return Group(*parts)


def _outputs(outputs: Sequence[OutputResult]) -> Table:
    """The worst sample of each output, in 80 columns; everything else is in the JSON."""
    table = Table(box=None, pad_edge=False)
    for heading in ("output", "worst on", "max", "relative", "SNR dB", "× floor", "verdict"):
        left = heading in ("output", "worst on", "verdict")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for output in outputs:
        worst = max(output.measurements, key=lambda m: float("inf") if m.times_floor is None else m.times_floor)
        difference = worst.difference
        table.add_row(
            escape(output.name),
            escape(f"{worst.sample} (batch {worst.batch})"),
            *(_number(value) for value in (difference.max, difference.relative)),
            "—" if difference.snr_db is None else f"{difference.snr_db:.0f}",
            f"{_number(worst.times_floor)}/{output.margin:g}",
            Text(output.judgement.verdict, style=STYLES[output.judgement.verdict]),
        )
    return table


def _detection_lines(result: DetectionResult | None) -> list[str]:
    if not result:
        return []
    borderline = len(result.unmatched) - result.errors
    line = (
        f"detections at {result.threshold:.3g}: {result.matched} match, {borderline} borderline, {result.errors} wrong"
    )
    if result.lowest_iou is not None and result.largest_score_difference is not None:
        line += f"; lowest IoU {result.lowest_iou:.6f}, scores within {result.largest_score_difference:.2g}"
    return [line]


def _speed_lines(speed: SpeedResult | None) -> list[str]:
    if not speed:
        return []
    median = speed.median
    milliseconds = [f"{value * 1e3:.2f}" for value in (median.value, median.low, median.high, speed.p95, speed.p99)]
    middle, low, high, p95, p99 = milliseconds
    line = f"speed: median {middle} ms [{low}, {high}], p95 {p95}, p99 {p99}, {speed.fps:.1f} FPS, {speed.runs} runs"
    return [line, *(f"  {warning}" for warning in speed.warnings)]


def _departure_lines(report: Report) -> list[str]:
    at = report.departure
    if not at:
        return []
    size = f"{_number(at.times_floor)} times its noise floor; {_number(at.before)} before it"
    return [f"first layer that departs: {at.where}; here {at.node}: {size}"]


def _scaling_lines(report: Report) -> list[str]:
    costs = [f"{cost.batch}: {cost.median.value * 1e3:.2f} ms ({cost.fps:.1f} FPS)" for cost in report.scaling]
    return [f"batch {', '.join(costs)}"] if costs else []


def _beside_lines(report: Report) -> list[str]:
    return [f"in turns with {one.other}: {beside(one)}" for one in report.compared]


def _gate_lines(report: Report) -> list[str]:
    return [f"{gate.name}: {gate.judgement.verdict}, {gate.judgement.reason}" for gate in report.gates]


def _matrix(reports: Sequence[Report]) -> Table:
    """One line for each model × framework × device, as speeds are usually published."""
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "framework", "device", "ms", "FPS", "against", "verdict"):
        table.add_column(heading, justify="right" if heading in ("ms", "FPS") else "left")
    for report in reports:
        speed = report.speed
        table.add_row(
            *(escape(cell) for cell in (report.name, framework(report), where(report))),
            f"{speed.median.value * 1e3:.2f}" if speed else "—",
            f"{speed.fps:.1f}" if speed else "—",
            escape("; ".join(f"{one.speedup.value:.2f}× {one.other}" for one in report.compared)),
            Text(report.judgement.verdict, style=STYLES[report.judgement.verdict]),
        )
    return table


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2g}"
