"""Several models at once: who times waits for the others, and one that cannot be verified does not end the rest."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from zoo.base.errors import ConversionError
from zoo.catalog import Store, load_catalog
from zoo.pipeline.many import _one, _taking_part, cards_here
from zoo.pipeline.source import darknet_source
from zoo.verify import Options


def test_here_is_what_needs_no_network(tmp_path: Path) -> None:
    assert [card.name for card in cards_here(load_catalog(), Store(tmp_path))] == ["shapes-tiny"]


def test_a_file_url_needs_no_network(tmp_path: Path) -> None:
    catalog = tmp_path / "zoo.yaml"
    catalog.write_text(
        "schema: 1\nmodels:\n"
        "  mine: {family: darknet, task: detection, contract: darknet-detector, input: {width: 32, height: 32},\n"
        f"    files: [{{role: cfg, name: a.cfg, urls: [{(tmp_path / 'a.cfg').as_uri()}]}},\n"
        f"            {{role: weights, name: a.weights, urls: [{(tmp_path / 'a.weights').as_uri()}]}}]}}\n"
    )
    (tmp_path / "a.cfg").write_text("[net]")

    def here() -> list[str]:
        return [card.name for card in cards_here(load_catalog((catalog,)), Store(tmp_path / "store"))]

    assert "mine" not in here()
    (tmp_path / "a.weights").write_bytes(b"weights")
    assert "mine" in here()


def another(turn: Path, told: list[str]) -> tuple[threading.Thread, threading.Event]:
    """A worker that takes part already, and works alone once the event is set."""
    joined, go = threading.Event(), threading.Event()

    def work() -> None:
        with _taking_part(turn) as alone:
            joined.set()
            assert go.wait(10)
            with alone():
                told.append("other alone")

    thread = threading.Thread(target=work)
    thread.start()
    assert joined.wait(10)
    return thread, go


def test_who_works_alone_waits_for_all_others(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    told: list[str] = []
    with _taking_part(turn) as alone:
        thread, go = another(turn, told)
        go.set()
        told.append("still at work")  # the other cannot be alone while this one works
        with alone():
            told.append("alone")
    thread.join(10)
    assert told in (["still at work", "alone", "other alone"], ["still at work", "other alone", "alone"])


def test_who_waits_comes_before_who_would_go_on_working(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    told: list[str] = []
    with _taking_part(turn) as alone:
        thread, go = another(turn, told)
        go.set()
        with alone():
            time.sleep(0.2)  # by now the other waits
            told.append("alone")
        told.append("at work again")
    thread.join(10)
    assert told in (["alone", "other alone", "at work again"], ["other alone", "alone", "at work again"])


def test_a_model_that_cannot_be_verified_is_a_failed_report(tmp_path: Path) -> None:
    cfg, weights, turn = tmp_path / "bad.cfg", tmp_path / "bad.weights", tmp_path / "turn"
    cfg.write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[unheard-of]\n")
    weights.write_bytes(b"\0" * 20)
    (report,) = _one(darknet_source(cfg, weights), ("onnx",), Options(threads=1), turn, {})
    assert report.exit_code == ConversionError.exit_code
    assert not report.passed
    assert "unheard-of" in report.judgement.reason
