"""The page in a real browser, as a person uses it: pick a model, drop a picture, see boxes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.verify.browser import Page, browser_page
from tests.view.serving import serving
from zoo.catalog import Store
from zoo.shapes import SAMPLE
from zoo.view.server import ViewServer
from zoo.vision.masks import encode_mask, placed_mask

SECONDS = 60  # that something may take: the machine may be busy
DROP = """(async () => {
  const content = await (await fetch(%r)).blob(), transfer = new DataTransfer();
  transfer.items.add(new File([content], "dropped", { type: %r }));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
})()"""
BOXES = "document.querySelectorAll('rect.box').length"
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    with serving(Store(tmp_path_factory.mktemp("store")), {}) as server:
        yield server


@pytest.fixture(scope="module")
def tab(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(browser, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab: Page, server: ViewServer) -> Page:
    """The page, loaded, as wide as a desk's screen."""
    show(tab, server, 1280)
    return tab


def show(page: Page, server: ViewServer, width: int, dark: bool = False) -> None:
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.ask("Emulation.setEmulatedMedia", features=scheme)
    page.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    page.events.clear()
    page.ask("Page.navigate", url=server.url)
    wait_for(page, "document.body && document.body.hasAttribute('data-ready')")


def wait_for(page: Page, expression: str) -> Any:
    """The value of an expression as soon as it is true."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if value := page.evaluate(expression):
            return value
        time.sleep(0.05)
    raise AssertionError(f"{expression} stays false; the page says: {page.evaluate(STATUS)!r}")


def drop(page: Page, address: str, kind: str) -> None:
    page.evaluate(DROP % (address, kind))


def complaints(page: Page) -> list[Any]:
    """What the browser wrote to its console: errors, refused loads, exceptions."""
    methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    return [event["params"] for event in page.events if event.get("method") in methods]


def test_pick_drop_see_boxes(page: Page) -> None:
    page.evaluate("document.getElementById('model').value = 'shapes-tiny'")
    drop(page, "sample.png", "image/png")
    boxes = wait_for(page, BOXES)
    assert boxes == page.evaluate("document.querySelectorAll('tbody tr').length") > 2
    words = page.evaluate("document.querySelector('article').textContent")
    for word in ("onnxruntime", "FPS", "not verified yet", "triangle"):
        assert word in words
    inside = """[...document.querySelectorAll('g.tag rect')].every((plate) => {
      const stage = plate.ownerSVGElement.getBoundingClientRect(), box = plate.getBoundingClientRect();
      return box.left >= stage.left - 1 && box.right <= stage.right + 1 && box.top >= stage.top - 1
        && box.bottom <= stage.bottom + 1; })"""
    assert page.evaluate(inside)
    assert complaints(page) == []


def test_formats_are_beside_each_other_and_a_higher_score_leaves_less(page: Page) -> None:
    page.evaluate("document.querySelector('input[value=opencv]').click()")
    drop(page, "sample.png", "image/png")
    wait_for(page, "document.querySelectorAll('article').length === 2")
    assert "All formats see the same" in page.evaluate(STATUS)
    tops = "[...document.querySelectorAll('article')].map((one) => one.getBoundingClientRect().top)"
    assert len(set(page.evaluate(tops))) == 1
    before = page.evaluate(BOXES)
    change = "(id, value) => { const one = document.getElementById(id); one.value = value; \
        one.dispatchEvent(new Event('input', { bubbles: true })); \
        one.dispatchEvent(new Event('change', { bubbles: true })); }"
    page.evaluate(f"({change})('threshold', '0.95')")
    wait_for(page, f"!document.getElementById('results').hasAttribute('aria-busy') && {BOXES} <= {before}")
    assert page.evaluate("document.getElementById('threshold-value').textContent") == "0.95"


def test_masks_are_painted_where_they_lie(page: Page) -> None:
    """The page reads COCO's run lengths as they are written: a red mask on white changes green and blue, there only."""
    random = np.random.default_rng(0)
    mask, box, size = random.random((15, 15)), np.array([0.6, 0.45, 0.9, 0.7]), (61, 43)
    rows, columns, inside = placed_mask(mask, box, size)
    expected = np.zeros(size[::-1], bool)
    expected[rows, columns] = inside
    one = json.dumps({"colour": "#ff0000", "segmentation": encode_mask(mask, box, size)})
    painted = page.evaluate(f"""(() => {{
      const canvas = make("canvas", {{ width: {size[0]}, height: {size[1]} }}), pen = canvas.getContext("2d");
      pen.fillStyle = "#ffffff"; pen.fillRect(0, 0, {size[0]}, {size[1]});
      paintMasks(pen, [{one}], {{ width: {size[0]}, height: {size[1]} }});
      return [...pen.getImageData(0, 0, {size[0]}, {size[1]}).data]; }})()""")
    pixels = np.array(painted).reshape(*size[::-1], 4)
    assert (pixels[..., 0] == 255).all()
    np.testing.assert_array_equal(pixels[..., 1] < 200, expected)


def test_a_label_is_text_whatever_it_says(page: Page) -> None:
    """Labels come with a model that anyone may have made."""
    evil = json.dumps({"label": "<img src=x onerror=alert(1)>", "score": 0.5, "box": [0, 0, 1, 1], "colour": "#ff0000"})
    found = f'{{"detections": [{evil}], "format": "onnx"}}'
    made = f"[boxes({found}, {{ width: 9, height: 9 }}), list([{evil}])]"
    assert page.evaluate(f"{made}.every((one) => !one.querySelector('img') && one.textContent.includes('onerror'))")


def test_a_file_that_is_no_picture_is_told_in_words(page: Page) -> None:
    drop(page, "style.css", "image/png")
    wait_for(page, f"{STATUS}.includes('expected a picture')")
    assert page.evaluate("document.querySelectorAll('article').length") == 0


def test_a_model_that_is_not_here_says_how_to_get_it(page: Page) -> None:
    page.evaluate("document.getElementById('model').value = 'yolov3'")
    drop(page, "sample.png", "image/png")
    wait_for(page, f"{STATUS}.includes('yolov3')")


def test_a_video_is_looked_at_frame_by_frame(page: Page, server: ViewServer, tmp_path: Path) -> None:
    clip = tmp_path / "clip.webm"
    with Image.open(SAMPLE) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((320, 320)))
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"VP80"), 10, (320, 320))
    for _ in range(10):
        writer.write(np.ascontiguousarray(pixels[..., ::-1]))
    writer.release()
    page.ask("DOM.enable")
    root = page.ask("DOM.getDocument")["root"]["nodeId"]
    field = page.ask("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.ask("DOM.setFileInputFiles", files=[str(clip)], nodeId=field)
    assert wait_for(page, BOXES) > 2
    wait_for(page, f"{STATUS}.includes('frames a second')")
    assert not page.evaluate("document.getElementById('video').hidden")
    assert complaints(page) == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_is_cut_off(tab: Page, server: ViewServer, dark: bool) -> None:
    show(tab, server, 390, dark)
    drop(tab, "sample.png", "image/png")
    wait_for(tab, BOXES)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark


def test_everything_is_reached_with_the_keyboard(page: Page) -> None:
    reached = []
    for _ in range(10):
        page.press("Tab", 9)
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.value || ''"))
    for control in ("model", "onnx", "opencv", "threshold", "file", "sample"):
        assert control in reached
    assert reached[-1] == "sample"
    page.press("Enter", 13, "\r")
    assert wait_for(page, BOXES) > 2


def test_the_description_of_the_api_is_a_page(tab: Page, server: ViewServer) -> None:
    tab.events.clear()
    tab.ask("Page.navigate", url=f"{server.url}api")
    wait_for(tab, "document.querySelectorAll('.operation').length === 3")
    assert "/v1/detect" in tab.evaluate("document.body.textContent")
    assert complaints(tab) == []
