"""One report of the HTML page: the verdict, then everything it rests on, folded away where it is a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zoo.verify.reports.html_charts import error_chart, latency_chart, layer_chart
from zoo.verify.reports.html_pictures import Album, told_differences
from zoo.verify.reports.html_text import Html, join, table, tag
from zoo.verify.result import BatchCost, OutputResult, Report, SpeedResult, summary

SYMBOLS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
DIFFERENCES = ("input", "batch", "max", "mean", "p99.9", "relative", "cosine", "SNR dB", "× floor", "worst element", "")


def verdict(word: str) -> Html:
    """A verdict with its sign."""
    return tag("span", {"class": f"verdict {word}"}, f"{SYMBOLS.get(word, '?')} {word}")


def report_section(report: Report, number: int, album: Album, opened: bool) -> Html:
    """Everything about one report, as an element that opens and closes."""
    head, rest = summary(report).split(": ", 1)
    rest = rest.partition(": ")[2]  # the verdict stands there already
    line = tag("summary", {}, verdict(report.judgement.verdict), Html(" "), tag("strong", {}, head), f": {rest}")
    state: Mapping[str, str] = {"open": ""} if opened else {}
    parts = [*_departure(report), *_notes(report), *_gates(report)]
    parts += [tag("div", {"class": "grid"}, *map(_output, report.outputs))] if report.outputs else []
    parts += [*_layers(report), *_detections(report, album), *_speed(report), _facts(report)]
    return tag("details", {"id": f"report-{number}", **state}, line, *parts)


def _departure(report: Report) -> Iterator[Html]:
    at = report.departure
    if at:
        jump = f"{_number(at.times_floor)} times its noise floor; {_number(at.before)} before it"
        yield tag(
            "p",
            {"class": "fail"},
            f"First layer that departs: {at.where}, here ",
            tag("code", {}, at.node),
            f": {jump}",
        )


def _notes(report: Report) -> Iterator[Html]:
    if report.notes:
        yield tag("ul", {}, *(tag("li", {}, note) for note in report.notes))


def _gates(report: Report) -> Iterator[Html]:
    if report.gates:
        rows = [(gate.name, verdict(gate.judgement.verdict), gate.judgement.reason) for gate in report.gates]
        yield table(("condition", "verdict", ""), rows, "Conditions set beside the tolerance")


def _output(output: OutputResult) -> Html:
    """Chart and table of one output."""
    allowed = (
        f"noise floor {output.floor.max:.3g}, allowed {output.floor.max * output.margin:.3g} ({output.margin:g} ×)"
    )
    just = "no margin would pass" if output.just_passes is None else f"{output.just_passes:.3g} × would just pass"
    parts: list[str] = [tag("h3", {}, f"Output {output.name} ", verdict(output.judgement.verdict))]
    parts += [tag("p", {}, output.judgement.reason)] if output.judgement.reason else []
    parts.append(tag("p", {"class": "soft"}, f"{allowed}; {just}"))
    if output.errors and any(output.errors.counts):
        chart = error_chart(output.errors, output.floor, output.margin)
        caption = tag("figcaption", {}, "Errors of all values on all inputs, by size; both axes logarithmic")
        parts.append(tag("figure", {}, chart, caption))
    rows = table(DIFFERENCES, _rows(output), f"Output {output.name} on every input")
    parts.append(tag("details", {}, tag("summary", {}, "Every input"), rows))
    return tag("section", {}, *parts)


def _rows(output: OutputResult) -> Iterator[list[str]]:
    for one in output.measurements:
        d = one.difference
        at = ", ".join(map(str, d.index))
        worst = f"[{at}] expected {_number(d.expected, 6)}, found {_number(d.found, 6)}" if d.index else d.problem
        numbers = (d.max, d.mean, d.p999, d.relative)
        similar = ["—" if d.cosine is None else f"{d.cosine:.9f}", _number(d.snr_db, 4), _number(one.times_floor)]
        sizes = [_number(value) for value in numbers]
        yield [one.sample, str(one.batch), *sizes, *similar, worst, verdict(one.judgement.verdict)]


def _layers(report: Report) -> Iterator[Html]:
    if report.layers and report.outputs:
        chart = layer_chart(report.layers, report.outputs[0].margin, report.departure)
        caption = tag("figcaption", {}, "Every layer beside the reference, in times its own noise, logarithmic")
        yield tag("section", {}, tag("h3", {}, "Layer by layer"), tag("figure", {}, chart, caption))


def _detections(report: Report, album: Album) -> Iterator[Html]:
    found = report.detections
    if not found:
        return
    borderline = len(found.unmatched) - found.errors
    told = f"{found.matched} match, {borderline} borderline, {found.errors} wrong, at a score of {found.threshold:.3g}"
    if found.lowest_iou is not None and found.largest_score_difference is not None:
        told += f"; lowest overlap {found.lowest_iou:.6f}, scores within {found.largest_score_difference:.2g}"
    heading = tag("h3", {}, "Detections ", verdict(found.judgement.verdict))
    yield tag("section", {}, heading, tag("p", {}, told), told_differences(report), album.figures(report))


def _speed(report: Report) -> Iterator[Html]:
    speed = report.speed
    if not speed:
        return
    parts: list[str] = [tag("h3", {}, "Speed ", verdict(speed.judgement.verdict)), _times(speed)]
    parts += [tag("p", {"class": "inconclusive"}, warning) for warning in speed.warnings]
    if speed.latency:
        chart = latency_chart(speed.latency, speed.median, speed.p95, speed.p99)
        caption = tag("figcaption", {}, f"Seconds of {speed.runs} runs; the slowest per cent share the last bar")
        parts.append(tag("div", {"class": "grid"}, tag("figure", {}, chart, caption)))
    if report.scaling:
        heading = ("batch", "median ms", "ms per picture", "FPS", "host peak MB", "device peak MB")
        parts.append(table(heading, map(_cost, report.scaling), "What larger batches cost"))
    yield tag("section", {}, *parts)


def _times(speed: SpeedResult) -> Html:
    m = speed.median
    values = [f"{value * 1e3:.4g}" for value in (m.value, m.low, m.high, speed.p95, speed.p99, speed.end_to_end)]
    median, low, high, p95, p99, whole = values
    facts = {
        "batch": str(speed.batch),
        "median": f"{median} ms, 95 % interval {low} to {high}",
        "p95, p99": f"{p95} ms, {p99} ms",
        "with copies": f"{whole} ms",
        "FPS": f"{speed.fps:.4g}",
        "variation": f"{speed.variation:.1%}",
        "warm-up": f"{speed.warm_up} runs",
    }
    memory = {f"memory, {key.replace('_', ' ')}": _megabytes(value) + " MB" for key, value in speed.memory.items()}
    return _list({**facts, **memory})


def _cost(cost: BatchCost) -> list[str]:
    m = cost.median
    each = f"{m.value * 1e3 / cost.batch:.4g}"
    peaks = [_megabytes(cost.memory.get(f"{where}_peak")) for where in ("host", "device")]
    return [
        str(cost.batch),
        f"{m.value * 1e3:.4g} [{m.low * 1e3:.4g}, {m.high * 1e3:.4g}]",
        each,
        f"{cost.fps:.4g}",
        *peaks,
    ]


def _facts(report: Report) -> Html:
    """Where and with what: folded, because it is the same for most reports of a page."""
    device = report.device
    used = f"{device.used} (asked for: {device.asked}), {device.threads} threads, {report.precision}"
    facts = {"reference": report.reference, "runtime": device.runtime or "none", "device": used, **report.environment}
    facts |= {"seed": str(report.seed), "batches": ", ".join(map(str, report.batches))}
    for provider, operators in device.operators.items():
        facts[provider] = ", ".join(f"{name} {count}" for name, count in operators.items())
    rows = [
        (record.name, whose, tag("code", {}, record.sha256), f"{record.size:,} bytes")
        for whose, records in (("artifact", report.artifact), ("source", report.sources))
        for record in records
    ]
    files = table(("file", "of", "SHA-256", "size"), rows, "Files") if rows else Html("")
    return tag("details", {}, tag("summary", {}, "Machine, versions, files"), _list(facts), files)


def _list(facts: Mapping[str, str]) -> Html:
    return tag("dl", {}, *(join((tag("dt", {}, key), tag("dd", {}, value))) for key, value in facts.items()))


def _megabytes(size: int | None) -> str:
    return "—" if size is None else f"{size / 1e6:.0f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "—" if value is None else f"{value:.{digits}g}"
