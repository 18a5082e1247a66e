"""The HTML page: in a real browser at two widths, in light and dark, with the keyboard; and against hostile names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.mutations.kinds import MUTATIONS
from tests.verify import tiny
from tests.verify.browser import Page, browser_page
from zoo.verify import Options, verify_artifact
from zoo.verify.reports.as_html import to_html, write_html
from zoo.verify.reports.html_text import VOID
from zoo.verify.result import BatchCost, Compared, Gate, Interval, LayerResult, Report

HOSTILE = '</style><script>alert(1)</script><img src=x onerror=alert(2)>" onload="\x00\u202e'
TAB, ENTER, SPACE = ("Tab", 9), ("Enter", 13, "\r"), (" ", 32, " ")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """A pass with everything that a report can have, and a failure with a hostile name and layers."""
    reference = tiny.TinyReference(tiny.detector())
    artifact = tiny.write(reference.model, tmp_path_factory.mktemp("right"), reference.sources)
    passed = verify_artifact(artifact, reference, Options(speed="quick", threads=1))
    assert passed.speed
    cost = BatchCost(3, passed.speed.median, passed.speed.fps, {"host_peak": 10**8})
    beside = Compared("torch", 1, 50, Interval(1.5, 1.4, 1.6), 1.01, True)
    gate = Gate("fps>=1", passed.judgement)
    passed = dataclasses.replace(passed, scaling=(cost,), compared=(beside,), gates=(gate,))
    model = tiny.detector()
    MUTATIONS["one weight off by 1 %"][0](model)
    wrong = tiny.write(model, tmp_path_factory.mktemp("wrong"), reference.sources)
    failed = verify_artifact(dataclasses.replace(wrong, name=HOSTILE), reference, Options(speed="none", threads=1))
    layers = [LayerResult(n, HOSTILE, 1, HOSTILE, 1e-6, size) for n, size in enumerate((1.0, 2.0, 500.0, None))]
    return [passed, dataclasses.replace(failed, layers=tuple(layers), labels=(HOSTILE,) * tiny.CLASSES)]


@pytest.fixture(scope="module")
def page(browser: str, reports: list[Report], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with one tab."""
    with browser_page(browser, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def file(reports: list[Report], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(path, reports)
    return path


class Balance(HTMLParser):
    """Checks that every element is closed where it should be, and keeps names and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else(reports: list[Report]) -> None:
    text = to_html(reports)
    parser = Balance()
    parser.feed(text)
    assert not parser.open
    assert "script" not in parser.names
    addresses = [value for key, value in parser.attributes if key in ("href", "src")]
    assert addresses
    assert all(re.match(r"#|data:image/jpeg;base64,", address) for address in addresses)
    assert not [key for key, _ in parser.attributes if key.startswith("on") or key == "style"]
    assert "\x00" not in text
    assert "\u202e" not in text
    assert to_html(reports) == text


def test_a_saved_result_cannot_bring_its_own_addresses(reports: list[Report]) -> None:
    found = reports[0].detections
    assert found
    assert found.pictures
    for data in ("https://example.org/x.png", 'data:image/svg+xml;base64,AAAA"', "data:image/png;base64,AA\n"):
        pictures = (dataclasses.replace(found.pictures[0], data=data),)
        changed = dataclasses.replace(reports[0], detections=dataclasses.replace(found, pictures=pictures))
        assert data not in to_html([changed])


def test_pictures_that_reports_share_are_in_the_page_once(reports: list[Report]) -> None:
    assert reports[0].detections
    data = reports[0].detections.pictures[0].data
    assert to_html([reports[0], reports[0]]).count(data) == 1


# Every text's colour on its ground: WCAG's contrast ratio, the smallest of the page.
CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = node => { for (; node; node = node.parentElement) {
    const c = parse(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] > .99) return c; }
    return parse(getComputedStyle(document.documentElement).colorScheme ? '255 255 255' : ''); };
  let least = 99;
  for (const node of document.querySelectorAll('body *')) {
    const empty = ![...node.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (empty || node.localName === 'title' || node.closest('.picture svg')) continue;
    const style = getComputedStyle(node), own = node instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(parse(own)), light(ground(node))].sort((x, y) => y - x);
    least = Math.min(least, (a + .05) / (b + .05));
  }
  return least;
})()"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_every_width_and_can_be_read_in_light_and_dark(
    page: Page, file: Path, width: int, dark: bool, tmp_path: Path
) -> None:
    page.events.clear()
    page.open(file, width, dark)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate("document.querySelectorAll('svg[role=img]').length") > 6
    smallest = "Math.min(...[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().width))"
    assert page.evaluate(smallest) > 250
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert {address.partition(":")[0] for address in asked} == {"file", "data"}
    assert not [event for event in page.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_hostile_names_are_text(page: Page, file: Path) -> None:
    page.open(file, 1280)
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.images.length") == 0
    assert "<script>alert(1)</script>" in page.evaluate("document.querySelector('main').innerText")


def test_everything_can_be_done_with_the_keyboard(page: Page, file: Path) -> None:
    page.open(file, 1280)
    page.press(*TAB)
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    seen: dict[str, int] = {}
    for _ in range(60):
        page.press(*TAB)
        name = page.evaluate("document.activeElement.tagName")
        seen[name] = seen.get(name, 0) + 1
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid" or name == "BODY"
        if name == "SUMMARY" and seen[name] == 1:
            before = page.evaluate("document.activeElement.parentElement.open")
            page.press(*ENTER)
            assert page.evaluate("document.activeElement.parentElement.open") != before
        if name == "INPUT" and seen[name] == 1:
            page.press(*SPACE)
            shown = "getComputedStyle(document.querySelector('.picture:has(:focus) .side-reference')).display"
            assert page.evaluate(shown) == "none"
    assert {"A", "DIV", "SUMMARY", "INPUT"} <= set(seen)
