"""The bench: every cell is measured or says why not, and every form of the table says the same."""

from __future__ import annotations

import csv
import io
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import zoo.cli.main as entry
from tests.schemas import WRITTEN, problems
from zoo.base.artifact import Artifact
from zoo.base.errors import MissingBackend
from zoo.pipeline.bench import Bench, Row, run_bench
from zoo.pipeline.bench_report import HEAD, to_csv, to_json, to_markdown, to_svg, write_bench
from zoo.pipeline.models import find_models
from zoo.verify.result import Interval
from zoo.verify.speed import Effort

EFFORT = Effort(seconds=0.05, runs=4, warm_up=0.05)
BENCH = Bench(
    (
        Row("a<b", "onnx", "cpu", "ort 1", 2, 10, Interval(0.010, 0.009, 0.011), 0.02, 0.03, 0.001, 3),
        Row("a<b", "torch", "cpu", "torch 1", 2, 10, Interval(0.020, 0.019, 0.021), 0.04, 0.05, 0.001, 2, "1 missing"),
        Row("a<b", "tf", "cuda", problem="no | GPU", exit_code=5),
    ),
    {"processor": "a <processor>"},
)


def test_formats_are_measured_in_turns_and_compared() -> None:
    def find(name: str, format: str) -> Artifact:
        if format == "tf":
            raise MissingBackend("tensorflow is not here")
        (found,) = find_models(name, (format,))
        return found

    bench = run_bench(["shapes-tiny"], ["onnx", "opencv", "tf"], ["cpu"], find, threads=1, effort=EFFORT)
    assert problems(json.loads(to_json(bench)), WRITTEN["bench.json"]) == []
    first, second, third = bench.rows
    assert first.runs == second.runs >= 4
    for row in (first, second):
        assert row.median and row.p95 and row.p99 and row.fps and row.around
        assert row.median.low <= row.median.value <= row.p95 <= row.p99
        assert row.fps == pytest.approx(1 / row.median.value)
        assert row.detections == first.detections
    assert (first.same, second.same) == ("", "the same detections")
    assert (third.problem, bench.exit_code) == ("tensorflow is not here", 5)


def test_markdown_csv_and_json_say_the_same() -> None:
    lines = [line for line in to_markdown(BENCH).splitlines() if line.startswith("|")]
    assert all(line.count("|") == len(HEAD) + 1 for line in lines)
    assert "| a<b | onnx | ort 1 | cpu | 100.0 | 10.00 | 9.00–11.00 | 20.00 | 30.00 | 1.00 | 3 |" in lines
    rows = list(csv.DictReader(io.StringIO(to_csv(BENCH))))
    assert [row["fps"] for row in rows] == ["100.000", "50.000", ""]
    assert rows[2]["problem"] == "no | GPU"
    content = json.loads(to_json(BENCH))
    assert [row["fps"] for row in content["rows"]] == [100, 50, None]
    assert problems(content, WRITTEN["bench.json"]) == []


@pytest.mark.parametrize("change", [{"fps": "fast"}, {"median": 0.01}, {"milliseconds": 10}, {"p95": 0}])
def test_another_table_is_refused_by_the_schema(change: dict[str, object]) -> None:
    content = json.loads(to_json(BENCH))
    content["rows"][1].update(change)
    assert problems(content, WRITTEN["bench.json"])


def test_the_plot_has_a_bar_for_each_measured_row_in_proportion() -> None:
    root = ET.fromstring(to_svg(BENCH))
    space = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.get("width") or 0) for bar in root.iter(f"{space}rect") if bar.get("rx")]
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.2)
    assert len(bars) == 2
    words = [text.text for text in root.iter(f"{space}text")]
    assert {"a<b", "100.0", "50.0", "a <processor>"} <= set(words)


def test_all_forms_are_written(tmp_path: Path) -> None:
    names = [path.name for path in write_bench(BENCH, tmp_path / "new")]
    assert names == ["bench.md", "bench.csv", "bench.json", "bench.svg"]


def test_the_command_prints_the_table_and_refuses_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", ["zoo", "bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            entry.main()
        return stop.value.code

    assert run("shapes-tiny", "--quick", "--threads", "1", "--out", str(tmp_path)) == 0
    assert "shapes-tiny" in capsys.readouterr().out
    assert run("shapes-tiny", "--formats", "caffe") == 2
    assert run("shapes-tiny", "--devices", "tpu") == 2
    assert run("no-such-model", "--quick") == 2
