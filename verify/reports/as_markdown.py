"""Reports as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.base.files import named_file
from zoo.verify.reports.words import framework, where
from zoo.verify.result import Report, summary
from zoo.verify.verdict import PASS

MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}


def to_markdown(reports: Sequence[Report]) -> str:
    """The verdict in one line, a table with a line for each report, and what is wrong below it."""
    passed = sum(report.passed for report in reports)
    lines = [f"**zoo verify: {passed} of {len(reports)} pass**", ""]
    lines.append("| | model | framework | device | × noise floor | detections | median | FPS | against |")
    lines.append("|---|---|---|---|---|---|---|---|---|")
    lines += [_row(report) for report in reports]
    for report in reports:
        if not report.passed:
            lines += ["", f"**{_escape(summary(report))}**", *_details(report)]
    return "\n".join(lines) + "\n"


def write_markdown(path: Path, reports: Sequence[Report]) -> None:
    """Save the text."""
    with named_file(path) as file:
        file.write(to_markdown(reports).encode())


def _row(report: Report) -> str:
    margins = [output.just_passes for output in report.outputs if output.just_passes is not None]
    detections = report.detections
    speed, compared = report.speed, report.compared
    cells = [
        MARKS[report.judgement.verdict],
        report.name,
        framework(report),
        where(report),
        f"{max(margins):.2g}" if margins else "—",
        f"{detections.matched} match, {detections.errors} wrong" if detections else "—",
        f"{speed.median.value * 1e3:.2f} ms" if speed else "—",
        f"{speed.fps:.1f}" if speed else "—",
        "; ".join(
            f"{one.speedup.value:.2f}× {one.other}{'' if one.differs else ' (no difference)'}" for one in compared
        )
        or "—",
    ]
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _details(report: Report) -> list[str]:
    lines = [""]
    if report.departure:
        at = report.departure
        lines.append(f"- first layer that departs: **{_escape(at.where)}**, here `{at.node}`")
    lines += [
        f"- `{gate.name}`: {_escape(gate.judgement.reason)}" for gate in report.gates if gate.judgement.verdict != PASS
    ]
    lines += [
        f"- `{output.name}`: {_escape(output.judgement.reason)}"
        for output in report.outputs
        if output.judgement.verdict != PASS
    ]
    return lines


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
