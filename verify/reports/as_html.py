"""Reports as one HTML page that needs nothing else: no network, no other file, no script.

Its content security policy forbids what it does not use, so that a hostile name in a model cannot load or run anything
even if it were to get through the escaping.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.base.files import named_file
from zoo.verify.reports.html_charts import speed_bar
from zoo.verify.reports.html_pictures import Album
from zoo.verify.reports.html_report import report_section, verdict
from zoo.verify.reports.html_style import STYLE
from zoo.verify.reports.html_text import Html, table, tag
from zoo.verify.reports.words import beside, framework, where
from zoo.verify.result import Interval, Report, SpeedResult

OPEN = 3  # so many reports that are no pass are open when the page opens


def to_html(reports: Sequence[Report]) -> str:
    """All reports of one command as one page."""
    passed = sum(report.passed for report in reports)
    title = f"zoo verify: {passed} of {len(reports)} pass"
    album = Album()
    opened = [number for number, report in enumerate(reports) if not report.passed][:OPEN]
    opened = [0] if len(reports) == 1 else opened
    sections = [report_section(report, n, album, n in opened) for n, report in enumerate(reports)]
    main = tag(
        "main",
        {"id": "content"},
        tag("h1", {}, title),
        *_overview(reports),
        tag("h2", {}, "In detail"),
        *sections,
    )
    skip = tag("a", {"class": "skip", "href": "#content"}, "To the content")
    body = tag("body", {}, skip, main, album.contents())
    return "<!DOCTYPE html>\n" + tag("html", {"lang": "en"}, _head(title), body) + "\n"


def write_html(path: Path, reports: Sequence[Report]) -> None:
    """Save the page."""
    with named_file(path) as file:
        file.write(to_html(reports).encode())


def _head(title: str) -> Html:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        {},
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "referrer", "content": "no-referrer"}),
        tag("title", {}, title),
        tag("style", {}, Html(STYLE)),
    )


def _overview(reports: Sequence[Report]) -> Iterator[Html]:
    yield tag("h2", {}, "Verdicts")
    yield _matrix(reports)
    timed = [report for report in reports if report.speed]
    if timed:
        yield tag("h2", {}, "Speed")
        yield tag(
            "p", {"class": "soft"}, "Pictures in a second, with the 95 % interval; of each model on its own scale."
        )
        for name in dict.fromkeys(report.name for report in timed):
            yield from _bars(name, [report for report in timed if report.name == name])
        yield table(SPEEDS, map(_speed_row, timed), "Models by framework and device")


def _matrix(reports: Sequence[Report]) -> Html:
    """Models down, formats and devices across; a cell leads to its report."""
    columns = list(dict.fromkeys(_column(report) for report in reports))
    cells: dict[tuple[str, str], list[str]] = {}
    for number, report in enumerate(reports):
        worst = max((output.just_passes or 0.0 for output in report.outputs), default=0.0)
        word = verdict(report.judgement.verdict)
        link = tag("a", {"href": f"#report-{number}"}, word)
        size = (
            tag("div", {"class": "soft"}, f"{worst:.2g} × noise" if worst < 100 else f"{worst:,.0f} × noise")
            if worst
            else Html("")
        )
        cells.setdefault((report.name, _column(report)), []).append(tag("div", {}, link, size))
    names = list(dict.fromkeys(report.name for report in reports))
    rows = [[name, *(Html("".join(cells.get((name, column), ["—"]))) for column in columns)] for name in names]
    return table(["model", *columns], rows, "Models by format and device")


def _column(report: Report) -> str:
    return f"{report.format}, {where(report)}"


def _bars(name: str, timed: Sequence[Report]) -> Iterator[Html]:
    speeds = [(report, _fps(report.speed)) for report in timed if report.speed]
    largest = max(fps.high for _, fps in speeds)
    rows = []
    for report, fps in speeds:
        figures = f"{fps.value:.1f} FPS [{fps.low:.1f}, {fps.high:.1f}]"
        line = tag("div", {"class": "row"}, tag("span", {}, _column(report)), tag("span", {}, figures))
        rows.append(tag("li", {}, line, speed_bar(fps, largest)))
    yield tag("h3", {}, name)
    yield tag("ul", {"class": "bars"}, *rows)


def _fps(speed: SpeedResult) -> Interval:
    m = speed.median
    return Interval(speed.fps, speed.batch / m.high, speed.batch / m.low)


SPEEDS = ("model", "framework", "device", "batch", "median ms", "p95", "p99", "FPS", "against another")


def _speed_row(report: Report) -> list[str]:
    speed = report.speed
    assert speed
    m = speed.median
    against = "; ".join(f"{one.other}: {beside(one)}" for one in report.compared)
    times = [f"{m.value * 1e3:.2f} [{m.low * 1e3:.2f}, {m.high * 1e3:.2f}]"]
    times += [f"{value * 1e3:.2f}" for value in (speed.p95, speed.p99)]
    return [report.name, framework(report), where(report), str(speed.batch), *times, f"{speed.fps:.1f}", against or "—"]
