"""HTML made safely: whatever is not already `Html` is escaped. Names of models and layers are not ours to trust."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from zoo.base.printable import shown

VOID = frozenset(("meta", "input", "br"))

Value = str | int | float


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Plain text as HTML, fit for content and for quoted attributes."""
    return text if isinstance(text, Html) else Html(html.escape(shown(text)))


def tag(name: str, attributes: Mapping[str, Value], *children: str) -> Html:
    """An element. Attributes whose value is "" stand alone (`checked`); children that are no `Html` are escaped."""
    words = [name, *(_attribute(key, value) for key, value in attributes.items())]
    opened = f"<{' '.join(words)}>"
    return Html(opened) if name in VOID else Html(f"{opened}{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Parts one after the other, each escaped where it must be."""
    return Html(escape(between).join(escape(part) for part in parts))


def table(headings: Iterable[str], rows: Iterable[Iterable[str]], caption: str) -> Html:
    """A table whose first column names the row, in a region that scrolls sideways, by keyboard too."""
    head = tag("tr", {}, *(tag("th", {"scope": "col"}, heading) for heading in headings))
    body = []
    for first, *rest in rows:
        cells = (tag("td", {}, cell) for cell in rest)
        body.append(tag("tr", {}, tag("th", {"scope": "row"}, first), *cells))
    whole = tag("table", {}, tag("caption", {}, caption), tag("thead", {}, head), tag("tbody", {}, *body))
    return tag("div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": "0"}, whole)


def _attribute(key: str, value: Value) -> str:
    if value == "":
        return key
    return f'{key}="{escape(f"{value:.5g}" if isinstance(value, float) else str(value))}"'
