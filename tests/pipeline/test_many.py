"""Several models at once: who times waits for the others, and one that cannot be verified does not end the rest."""

from __future__ import annotations

import threading
from pathlib import Path

from zoo.base.errors import ConversionError
from zoo.catalog import Store, load_catalog
from zoo.pipeline.many import _one, _taking_part, cards_here
from zoo.pipeline.source import darknet_source
from zoo.verify import Options


def test_here_is_what_needs_no_network(tmp_path: Path) -> None:
    assert [card.name for card in cards_here(load_catalog(), Store(tmp_path))] == ["shapes-tiny"]


def test_who_works_alone_waits_for_all_others(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    turn.touch()
    told: list[str] = []
    joined, waiting = threading.Event(), threading.Event()

    def other() -> None:
        with _taking_part(turn) as alone:
            joined.set()
            assert waiting.wait(10)
            with alone():
                told.append("other alone")

    thread = threading.Thread(target=other)
    with _taking_part(turn) as alone:
        thread.start()
        assert joined.wait(10)
        waiting.set()
        told.append("still at work")  # the other cannot be alone while this one works
        with alone():
            told.append("alone")
    thread.join(10)
    assert told in (["still at work", "alone", "other alone"], ["still at work", "other alone", "alone"])


def test_a_model_that_cannot_be_verified_is_a_failed_report(tmp_path: Path) -> None:
    cfg, weights, turn = tmp_path / "bad.cfg", tmp_path / "bad.weights", tmp_path / "turn"
    cfg.write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[unheard-of]\n")
    weights.write_bytes(b"\0" * 20)
    turn.touch()
    (report,), code = _one(darknet_source(cfg, weights), ("onnx",), Options(threads=1), turn, {})
    assert code == ConversionError.exit_code
    assert not report.passed
    assert "unheard-of" in report.judgement.reason
