"""The cfg text: Darknet's own rules of reading, and what is refused where Darknet goes on with nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.base.errors import ConversionError
from zoo.darknet import Cfg, parse_cfg
from zoo.darknet.cfg import MAX_LINES, c_float, c_int, c_list


def parse(tmp_path: Path, text: str) -> Cfg:
    path = tmp_path / "x.cfg"
    path.write_bytes(text.encode("latin-1"))
    return parse_cfg(path)


def test_sections_options_and_lines(tmp_path: Path) -> None:
    cfg = parse(tmp_path, "# a comment\n[net]\nwidth=32\r\n\n; another\n[convolutional]\n size\t= 3 \n")
    assert [(section.type, section.line) for section in cfg.sections] == [("net", 2), ("convolutional", 6)]
    option = cfg.sections[1].options["size"]
    assert (option.value, option.line) == ("3", 7)


def test_blanks_vanish_inside_values(tmp_path: Path) -> None:
    cfg = parse(tmp_path, "[net]\nanchors = 61,45    61,45\nname=a b")
    assert cfg.sections[0].options["anchors"].value == "61,4561,45"
    assert cfg.sections[0].options["name"].value == "ab"


def test_the_first_of_a_duplicate_key_counts_and_is_a_warning(tmp_path: Path) -> None:
    cfg = parse(tmp_path, "[net]\nwidth=1\nwidth=2\n")
    assert cfg.sections[0].options["width"].value == "1"
    assert cfg.warnings == ("x.cfg:3: width was already given on line 2; the first one counts",)


def test_a_key_without_a_value_is_dropped(tmp_path: Path) -> None:
    assert not parse(tmp_path, "[net]\nwidth=\n").sections[0].options


def test_a_comment_after_a_value_is_part_of_it(tmp_path: Path) -> None:
    assert parse(tmp_path, "[net]\nwidth=10 # ten\n").sections[0].options["width"].value == "10#ten"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found none"),
        ("\n\n# only a comment\n", "found none"),
        ("width=3\n[net]\n", "x.cfg:1: expected a section"),
        ("[net]\nwidth 3\n", "x.cfg:2: expected key=value"),
        ("[net\nwidth=3\n", "x.cfg:1: expected a section heading"),
        ("[net]x\nwidth=3\n", "x.cfg:1: expected a section heading"),
        ("<!DOCTYPE html><html>", "found an HTML page"),
        ("[net]\nwidth=3\0\n", "found binary data"),
        ("\n" * (MAX_LINES + 1), f"at most {MAX_LINES} lines"),
        ("[net]\n" + "a=1\n" * 300_000, "expected a cfg of at most"),
    ],
)
def test_what_is_no_cfg_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        parse(tmp_path, text)
    assert message in caught.value.message


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot read the cfg"):
        parse_cfg(tmp_path / "absent.cfg")


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("10#x", 10), ("-3,4", -3), ("+7", 7), ("1e5", 1), ("x1", None), ("", None), ("9999999999", None)],
)
def test_integers_end_where_atoi_stops(text: str, value: int | None) -> None:
    assert c_int(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(".5", 0.5), ("1.05#x", 1.05), ("1e2", 100.0), ("5.", 5.0), ("nan", None), ("inf", None), ("1e99", None)],
)
def test_numbers_end_where_atof_stops(text: str, value: float | None) -> None:
    assert c_float(text) == value


def test_lists_end_at_an_inline_comment() -> None:
    assert c_list("1,2,3#4,5") == ["1", "2", "3"]
    assert c_list("1,2,") == ["1", "2"]
