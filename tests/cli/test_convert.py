"""What `zoo convert` and `zoo list` take from the command line, and what they say about what they do not take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo.base.errors import UsageError
from zoo.cli import convert
from zoo.cli import list as listing
from zoo.shapes import CFG, WEIGHTS


def refused(*arguments: str) -> UsageError:
    error = CliRunner().invoke(convert.command, [*arguments]).exception
    assert isinstance(error, UsageError)
    return error


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("frozen.pb", "--graph {path}"),
        ("my.cfg", "--cfg {path} --weights {folder}/my.weights"),
        ("my.weights", "--cfg {folder}/my.cfg --weights {path}"),
        ("saved_model.pb", "--saved-model {folder}"),
        ("", "--saved-model {folder}"),
        ("model.tflite", "zoo verify --artifact"),
        ("model.pt2", "zoo verify --artifact"),
        ("model.h5", "what is read: a .onnx"),
    ],
)
def test_a_file_in_the_place_of_a_name_is_told_how_to_be_given(file: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.touch()
    error = refused(str(path))
    assert f"{path} is not a model of the catalog" in error.message
    assert hint.format(path=path, folder=tmp_path) in error.hint


def test_the_working_folder_is_no_name() -> None:
    assert refused(".").hint == "give a SavedModel as --saved-model ."


def test_formats_with_commas_and_again(tmp_path: Path) -> None:
    source = ["--cfg", str(CFG), "--weights", str(WEIGHTS), "--out", str(tmp_path)]
    told = CliRunner().invoke(convert.command, [*source, "--to", "onnx, onnx", "--to", "torch", "--no-pt2", "--json"])
    assert told.exit_code == 0, told.output
    assert [one["format"] for one in json.loads(told.stdout)] == ["onnx", "torch"]
    assert "unknown format 'foo'" in refused(*source, "--to", "onnx,foo").message
    assert "--to names no format" in refused(*source, "--to", ",").message


def test_a_format_that_nothing_has_is_refused() -> None:
    error = CliRunner().invoke(listing.command, ["--format", "foo"]).exception
    assert isinstance(error, UsageError)
    assert "unknown format 'foo'" in error.message and "frozen-graph" in error.hint and "onnx" in error.hint
