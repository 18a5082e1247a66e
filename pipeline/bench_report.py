"""The table of a bench as text for people and programs: Markdown, CSV, JSON, and a plot as SVG. Measures nothing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

from zoo.base.files import atomic_file
from zoo.pipeline.bench import Bench, Row

SCHEMA = 1
HEAD = ("model", "format", "runs with", "device", "FPS", "median ms", "95 % interval", "p95 ms", "p99 ms", "around ms",
        "detections")  # fmt: skip

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 250, 90, 20, 8, 64  # of the plot, in pixels
COLOURS = {"onnx": "#2a6f97", "opencv": "#6a994e", "tf": "#e07a1f", "tflite": "#c9a227", "torch": "#b5446e"}
OTHER = "#6c757d"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}.faint{fill:#57606a}rect.ground{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9aa4af}rect.ground{fill:#0d1117}}"
)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, as `HEAD` names it."""
    name = (row.model, row.format, row.runtime or "–", row.device)
    if not row.median or row.p95 is None or row.p99 is None or row.around is None:
        return (*name, "–", *[""] * 5, row.problem)
    spread = f"{1000 * row.median.low:.2f}–{1000 * row.median.high:.2f}"
    times = [f"{1000 * value:.2f}" for value in (row.median.value, row.p95, row.p99, row.around)]
    found = f"{row.detections}" + (f", {row.same}" if row.same else "")
    return (*name, f"{1 / row.median.value:.1f}", times[0], spread, *times[1:], found)


def to_markdown(bench: Bench) -> str:
    """A table, and below it what it was measured on."""
    numbers = range(HEAD.index("FPS"), HEAD.index("detections"))
    lines = [
        f"| {' | '.join(HEAD)} |",
        "|" + "|".join(" ---: " if place in numbers else " --- " for place in range(len(HEAD))) + "|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in cells(row))} |" for row in bench.rows),
        "",
        f"One picture at a time, {bench.rows[0].threads} threads on the CPU, timed in turns. FPS and percentiles: the "
        "inference alone; around: preparing the picture and reading the detections. Detections are compared with the "
        "first format's.",
        "",
        "; ".join(f"{name} {value}" for name, value in bench.environment.items()),
    ]
    return "\n".join(lines) + "\n"


def to_csv(bench: Bench) -> str:
    """One line a row, times in milliseconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "format", "runtime", "device", "threads", "runs", "fps", "median_ms", "low_ms", "high_ms",
                     "p95_ms", "p99_ms", "around_ms", "detections", "same", "problem"))  # fmt: skip
    for row in bench.rows:
        interval = (row.median.value, row.median.low, row.median.high) if row.median else (None, None, None)
        times = ["" if one is None else f"{1000 * one:.4f}" for one in (*interval, row.p95, row.p99, row.around)]
        fps = f"{row.fps:.3f}" if row.fps else ""
        found = "" if row.detections is None else row.detections
        writer.writerow((row.model, row.format, row.runtime, row.device, row.threads, row.runs, fps, *times, found,
                         row.same, row.problem))  # fmt: skip
    return text.getvalue()


def to_json(bench: Bench) -> str:
    """Rows field by field, times in seconds, with `fps`."""
    rows = [{**dataclasses.asdict(row), "fps": row.fps} for row in bench.rows]
    return json.dumps({"schema": SCHEMA, "environment": bench.environment, "rows": rows}, indent=2) + "\n"


def to_svg(bench: Bench) -> str:
    """Bars of frames a second; the fastest of each model has the full length. The dark end of a bar begins at p95."""
    rows = [row for row in bench.rows if row.fps]
    parts: list[str] = []
    y = TOP
    for model in dict.fromkeys(row.model for row in rows):
        parts.append(f'<text x="16" y="{y + 14}" font-weight="600">{escape(model)}</text>')
        y += BAR + 4
        own = [row for row in rows if row.model == model]
        scale = (WIDTH - LEFT - RIGHT) / max(row.fps for row in own if row.fps)
        for row in own:
            parts += _bar(row, y, scale)
            y += BAR + GAP
        y += GAP
    height = y + 34
    where = escape(bench.environment.get("processor", "") or bench.environment.get("system", ""))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="frames a second by model and format"><style>{STYLE}</style>'
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
        '<text x="16" y="28" font-size="16" font-weight="600">frames a second, one picture at a time</text>'
        '<text x="16" y="46" class="faint">inference alone; the dark end is the slowest of twenty runs (p95)</text>'
        f'{"".join(parts)}<text x="16" y="{height - 14}" class="faint">{where}</text></svg>\n'
    )


def _bar(row: Row, y: int, scale: float) -> list[str]:
    assert row.fps and row.p95
    label = escape(f"{row.format} · {row.runtime.split('+')[0]} · {row.device}")
    slow = 1 / row.p95
    colour = COLOURS.get(row.format, OTHER)
    return [
        f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{max(1, row.fps * scale):.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        f'<rect x="{LEFT + slow * scale:.1f}" y="{y}" width="{max(0, (row.fps - slow) * scale):.1f}" height="{BAR}" '
        'fill="#000" fill-opacity="0.35"/>',
        f'<text x="{LEFT + row.fps * scale + 8:.1f}" y="{y + 14}">{row.fps:.1f}</text>',
    ]


# File → what it holds.
FILES: dict[str, Callable[[Bench], str]] = {
    "bench.md": to_markdown,
    "bench.csv": to_csv,
    "bench.json": to_json,
    "bench.svg": to_svg,
}


def write_bench(bench: Bench, folder: Path) -> list[Path]:
    """Write every form into a folder; returns the paths."""
    for name, form in FILES.items():
        with atomic_file(folder / name) as file:
            file.write(form(bench).encode())
    return [folder / name for name in FILES]
