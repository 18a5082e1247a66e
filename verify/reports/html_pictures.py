"""The test pictures with what both sides detect on them, differences marked; each can be hidden, by keyboard too.

A picture that several reports share is in the page once, and only so many are in a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from zoo.verify.reports.html_text import Html, join, tag
from zoo.verify.result import Box, DetectionResult, Picture, Report

SIDE = 320.0  # units of the longer side
MOST = 40  # pictures in one page
SHOWN, LISTED = 3, 20  # differences told in words, of one report: at once, and when unfolded
EMBEDDED = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/]+=*")  # a saved result may hold anything
TOGGLES = {"reference": "reference (solid)", "candidate": "candidate (dashed)", "names": "names"}


class Album:
    """The pictures of a page: their content once, and the figures that show them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def figures(self, report: Report) -> Html:
        """The pictures of a report; "" where it has none that can be shown."""
        found = report.detections
        shown = [picture for picture in found.pictures if self._enter(picture)] if found else []
        if not found or not shown:
            return Html("")
        figures = [self._figure(picture, found, report.labels) for picture in shown]
        choices = [
            tag("label", {}, tag("input", {"type": "checkbox", "class": f"show-{key}", "checked": ""}), text)
            for key, text in TOGGLES.items()
        ]
        return tag("div", {"class": "picture"}, tag("p", {}, *choices), tag("div", {"class": "grid"}, *figures))

    def contents(self) -> Html:
        """Every picture once, to be referred to."""
        images = [
            tag("image", {"id": f"picture-{number}", "href": data, "width": "100%", "height": "100%"})
            for data, number in self._numbers.items()
        ]
        return tag("svg", {"class": "store", "aria-hidden": "true"}, tag("defs", {}, *images)) if images else Html("")

    def _enter(self, picture: Picture) -> bool:
        if picture.data not in self._numbers and (len(self._numbers) == MOST or not EMBEDDED.fullmatch(picture.data)):
            return False
        self._numbers.setdefault(picture.data, len(self._numbers))
        return True

    def _figure(self, picture: Picture, found: DetectionResult, labels: Sequence[str]) -> Html:
        width, height = (SIDE, SIDE / picture.aspect) if picture.aspect >= 1 else (SIDE * picture.aspect, SIDE)
        marks = _differences(picture, found)
        sides = (("reference", picture.reference), ("candidate", picture.candidate))
        frames = [_side(side, boxes, marks, width, height, labels) for side, boxes in sides]
        counts = ", ".join(f"{side} {len(boxes)}" for side, boxes in sides)
        wrong = sum(kind == "only" for kind in marks.values())
        told = (
            f"{picture.sample}, in a batch of {picture.batch}: {counts}; {wrong} wrong, {len(marks) - wrong} borderline"
        )
        shown = tag("use", {"href": f"#picture-{self._numbers[picture.data]}", "width": width, "height": height})
        attributes = {"viewBox": f"0 0 {width:.5g} {height:.5g}", "role": "img", "aria-label": told}
        return tag("figure", {}, tag("svg", attributes, shown, *frames), tag("figcaption", {}, told))


def told_differences(report: Report) -> Html:
    """What only one side has, in words; the worst first."""
    found = report.detections
    if not found or not found.unmatched:
        return Html("")
    ordered = sorted(found.unmatched, key=lambda one: (bool(one.borderline), -one.box.score))
    lines = [
        f"{one.sample} (batch {one.batch}): {_name(one.box, report.labels)} only in the {one.side}, "
        f"{one.borderline or 'unexplained'}"
        for one in ordered[:LISTED]
    ]
    items = [tag("li", {}, line) for line in lines]
    rest = items[SHOWN:]
    if len(ordered) > LISTED:
        rest.append(tag("li", {}, f"and {len(ordered) - LISTED} more, in the JSON"))
    folded = tag("details", {}, tag("summary", {}, f"{len(ordered) - SHOWN} more"), tag("ul", {}, *rest))
    return join((tag("ul", {}, *items[:SHOWN]), folded if rest else Html("")))


def _differences(picture: Picture, found: DetectionResult) -> dict[tuple[str, Box], str]:
    """(side, box) of this picture's differences → "only" for an error, "near" for a borderline one."""
    return {
        (one.side, one.box): "near" if one.borderline else "only"
        for one in found.unmatched
        if (one.sample, one.batch) == (picture.sample, picture.batch)
    }


def _side(
    side: str,
    boxes: Sequence[Box],
    marks: Mapping[tuple[str, Box], str],
    width: float,
    height: float,
    labels: Sequence[str],
) -> Html:
    """The frames of one side. Names stand once, on the reference's, and on whatever only one side has."""
    parts: list[str] = []
    for box in boxes:
        x1, x2 = (_inside(value, width) for value in (box.x1, box.x2))
        y1, y2 = (_inside(value, height) for value in (box.y1, box.y2))
        place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        mark = marks.get((side, box), "")
        kinds = ["under"] if mark or side == "reference" else []  # a candidate's dashes let the reference through
        kinds.append(f"{side} {mark}".strip())
        parts += [tag("rect", {"class": kind, **place}) for kind in kinds]
        if mark or side == "reference":
            name = ("≠ " if mark == "only" else "≈ " if mark else "") + _name(box, labels)
            parts.append(tag("text", {"x": min(x1 + 2, width - 60), "y": max(y1 - 3, 10.0)}, name))
    return tag("g", {"class": f"side-{side}"}, *parts)


def _inside(value: float, size: float) -> float:
    return min(max(value, 0.0), 1.0) * size


def _name(box: Box, labels: Sequence[str]) -> str:
    name = labels[box.label] if 0 <= box.label < len(labels) else ""
    return f"{name[:24] or f'class {box.label}'} {box.score:.2f}"
