"""zoo inspect: the table, what it adds up to, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.darknet.toys import write_cfg, write_weights
from zoo.base.errors import ConversionError
from zoo.cli.inspect import command
from zoo.darknet.inspect import inspect

BODY = """[convolutional]
filters=4
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=6
size=3
pad=1
activation=linear
[upsample]
[route]
layers=-1,0
[avgpool]
"""


def test_rows_and_sums(tmp_path: Path) -> None:
    report = inspect(write_cfg(tmp_path, BODY, w=32, h=32))
    first, pool, second, upsample, route, average = report.rows
    assert first.bflops == pytest.approx(2 * 4 * 27 * 256 / 1e9)
    assert (first.parameters, second.parameters) == (4 * 4 + 108, 6 + 216)
    assert [row.receptive_field for row in (first, pool, second)] == [(3, 3), (5, 5), (13, 13)]
    assert (upsample.output, route.output, average.receptive_field) == ((6, 16, 16), (10, 16, 16), None)
    assert route.sources == (3, 0)
    assert report.parameters == 124 + 222
    assert report.weights_bytes == 4 * 346
    assert report.bflops == pytest.approx(sum(row.bflops for row in report.rows))
    # While the route runs its two sources and itself are alive.
    assert report.peak_bytes == 4 * 256 * (6 + 4 + 10)


def test_warnings_and_dialect(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, "[convolutional]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nanchors=1,1,1,1,1,1\n", w=40)
    report = inspect(cfg, dialect="pj")
    assert report.program == "pjreddie/darknet"
    assert any("expect multiples of 32" in warning for warning in report.warnings)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, BODY, w=32, h=32)
    weights = write_weights(cfg)
    shown = CliRunner().invoke(command, [str(cfg), str(weights)])
    assert shown.exit_code == 0, shown.output
    assert "6 layers" in shown.output
    assert "toy.weights: fits" in shown.output
    printed = json.loads(CliRunner().invoke(command, [str(cfg), "--json", "--width", "64"]).output)
    assert printed["rows"][0]["output"] == [4, 16, 32]


def test_weights_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, BODY)
    weights = write_weights(cfg)
    weights.write_bytes(weights.read_bytes() + bytes(4))
    with pytest.raises(ConversionError, match="4 bytes after"):
        inspect(cfg, weights)
