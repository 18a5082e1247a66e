"""The plots of the HTML report, as SVG without script: errors, latencies, layers, bars of speed.

Each has a text that says what it shows to those who do not see it, and draws numbers that stand in the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from zoo.verify.noise import Bounds
from zoo.verify.reports.html_text import Html, tag
from zoo.verify.result import Departure, Histogram, Interval, LayerResult

WIDTH, HEIGHT = 340.0, 170.0
LEFT, RIGHT, TOP, BOTTOM = 8.0, 8.0, 30.0, 22.0
EDGE = 46.0  # room for a word
UPPER = ("noise", "median")
FLOOR = 1e-3  # times the noise: what lies below is drawn there


def error_chart(errors: Histogram, floor: Bounds, margin: float) -> Html:
    """|error| of every element by size, both axes logarithmic, with the noise floor and what is allowed."""
    used = [number for number, count in enumerate(errors.counts) if count]
    if not used:
        return Html("")
    allowed = floor.max * margin
    decades = [math.log10(edge) for edge in errors.edges]
    marks = [math.log10(value) for value in (floor.max, allowed) if value > 0]
    low = math.floor(min(decades[used[0]], *marks))
    high = math.ceil(max(decades[used[-1] + 1], *marks))
    across, tallest = _Scale(low, high), math.log10(1 + max(errors.counts))
    bars = [
        _bar(
            across(decades[number]),
            across(decades[number + 1]),
            math.log10(1 + errors.counts[number]) / tallest,
            "beyond" if errors.edges[number] >= allowed else "bar",
            f"{errors.counts[number]} values up to {errors.edges[number + 1]:.1e}",
        )
        for number in used
    ]
    lines = [_line(across(value), kind) for value, kind in zip(marks, ("mark", "limit"), strict=False)]
    words = [
        _above(across(value), text, text == "noise") for value, text in zip(marks, ("noise", "allowed"), strict=False)
    ]
    ticks = _powers(across, low, high)
    total = f"errors of {sum(errors.counts)} values; noise floor {floor.max:.2e}, allowed {allowed:.2e}"
    return _chart(total, [*bars, *lines, *words, *ticks])


def latency_chart(latency: Histogram, median: Interval, p95: float, p99: float) -> Html:
    """Runs by their time; the slowest per cent share one bar at the right."""
    edges, counts = latency.edges, latency.counts
    most = edges[-2] if len(edges) > 2 else edges[-1]
    across = _Scale(edges[0], most + 0.06 * (most - edges[0]) if most > edges[0] else most + 1e-9)
    ends = [*(across(edge) for edge in edges[:-1]), WIDTH - RIGHT]
    bars = [
        _bar(
            ends[number],
            ends[number + 1],
            count / max(counts),
            "bar",
            f"{count} runs up to {edges[number + 1] * 1e3:.3g} ms",
        )
        for number, count in enumerate(counts)
        if count
    ]
    marks = [(value, name) for value, name in ((median.value, "median"), (p95, "p95")) if value <= most]
    lines = [_line(across(value), "mark") for value, _ in marks]
    words = [_above(across(value), name, name == "median") for value, name in marks]
    ticks = [_tick(across(value), f"{value * 1e3:.3g} ms") for value in (edges[0], (edges[0] + most) / 2)]
    ticks.append(_tick(WIDTH - RIGHT, f"… {edges[-1] * 1e3:.3g} ms"))
    told = f"{sum(counts)} runs: median {median.value * 1e3:.3g} ms, p95 {p95 * 1e3:.3g} ms, p99 {p99 * 1e3:.3g} ms"
    return _chart(told, [*bars, *lines, *words, *ticks])


def layer_chart(layers: Sequence[LayerResult], margin: float, departure: Departure | None) -> Html:
    """How far each layer is from the reference, in times its own noise, logarithmic. The first that departs is ringed:
    the bisection says which, because not every layer beyond the margin is at fault."""
    sizes = [_decade(layer.times_floor) for layer in layers]
    known = [size for size in sizes if size is not None]
    low = math.floor(min([*known, 0.0]))
    high = math.ceil(max([*known, math.log10(margin)])) + (None in sizes)
    across, upward = _Scale(0, max(1, len(layers) - 1)), _Scale(low, high, HEIGHT - BOTTOM, TOP)
    points = [(across(n), upward(high if size is None else size)) for n, size in enumerate(sizes)]
    limit = upward(math.log10(margin))
    path = tag("path", {"class": "path", "d": "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)})
    dots = [
        tag(
            "circle",
            {"class": "bar" if y >= limit else "beyond", "cx": x, "cy": y, "r": 2.2},
            tag("title", {}, f"{layer.name or layer.index} [{layer.type}]: {_times(layer.times_floor)} its noise"),
        )
        for (x, y), layer in zip(points, layers, strict=True)
    ]
    places = {(layer.index, layer.name): place for place, layer in enumerate(layers)}
    first = places.get((departure.layer, departure.name)) if departure else None
    extra = [] if first is None else [_ring(*points[first])]
    rule = tag("line", {"class": "limit", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": limit, "y2": limit})
    scale = [tag("text", {"class": "soft", "x": LEFT, "y": limit - 3}, f"{margin:g}× noise allowed")]
    scale += [
        tag("text", {"class": "soft", "x": WIDTH - RIGHT, "y": upward(power) - 3, "text-anchor": "end"}, f"1e{power}×")
        for power in (low, high)
    ]
    ticks = [_tick(across(n), f"layer {layers[n].index}") for n in sorted({0, len(layers) - 1})]
    departs = f"the first that departs is {departure.where}" if departure else "none departs"
    return _chart(f"{len(layers)} layers; {departs}", [rule, *scale, path, *dots, *extra, *ticks])


def speed_bar(fps: Interval, largest: float) -> Html:
    """One horizontal bar with its interval, as wide as its place, `largest` being the full width."""
    value, low, high = (100 * part / largest for part in (fps.value, fps.low, fps.high))
    parts = [
        tag("rect", {"class": "track", "x": 0, "y": 0, "width": 100, "height": 10}),
        tag("rect", {"class": "bar", "x": 0, "y": 1, "width": value, "height": 8}),
        tag("line", {"class": "whisker", "x1": low, "x2": high, "y1": 5, "y2": 5}),
        *(tag("line", {"class": "whisker", "x1": end, "x2": end, "y1": 2, "y2": 8}) for end in (low, high)),
    ]
    return tag("svg", {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria-hidden": "true"}, *parts)


class _Scale:
    """A number → its place on the chart."""

    def __init__(self, low: float, high: float, start: float = LEFT, end: float = WIDTH - RIGHT) -> None:
        self.low, self.start = low, start
        self.unit = (end - start) / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.unit


def _chart(told: str, parts: Iterable[str]) -> Html:
    base = HEIGHT - BOTTOM
    axis = tag("line", {"class": "axis", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": base, "y2": base})
    attributes = {"viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "role": "img", "aria-label": told}
    return tag("svg", attributes, axis, *parts)


def _bar(left: float, right: float, share: float, kind: str, told: str) -> Html:
    height = share * (HEIGHT - TOP - BOTTOM)
    place = {"x": left, "y": HEIGHT - BOTTOM - height, "width": max(0.8, right - left - 0.8), "height": height}
    return tag("rect", {"class": kind, **place}, tag("title", {}, told))


def _line(x: float, kind: str) -> Html:
    return tag("line", {"class": kind, "x1": x, "x2": x, "y1": TOP - 8, "y2": HEIGHT - BOTTOM})


def _above(x: float, text: str, leftwards: bool) -> Html:
    """A word beside the top of a line, on the side where there is room; two words stand at two heights."""
    leftwards = x > WIDTH - EDGE or (leftwards and x > EDGE)
    height = TOP - 10 if text in UPPER else TOP + 2
    anchor, shift = ("end", -3.0) if leftwards else ("start", 3.0)
    return tag("text", {"x": x + shift, "y": height, "text-anchor": anchor}, text)


def _powers(across: _Scale, low: int, high: int) -> list[Html]:
    """Ticks at powers of ten, as many as have room."""
    step = next(n for n in range(1, 99) if abs(across(low + n) - across(low)) >= 1.4 * EDGE)
    return [_tick(across(power), f"1e{power}") for power in range(low, high + 1, step)]


def _tick(x: float, text: str) -> Html:
    anchor = "start" if x < LEFT + EDGE / 2 else "end" if x > WIDTH - RIGHT - EDGE / 2 else "middle"
    return tag("text", {"class": "soft", "x": x, "y": HEIGHT - 8, "text-anchor": anchor}, text)


def _ring(x: float, y: float) -> Html:
    return tag("circle", {"class": "departs", "cx": x, "cy": y, "r": 6})


def _decade(times: float | None) -> float | None:
    return None if times is None else math.log10(max(times, FLOOR))


def _times(times: float | None) -> str:
    return "not comparable with" if times is None else f"{times:.3g} times"
