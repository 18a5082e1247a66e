"""What reaches the terminal: text of strangers does nothing there, the colours of zoo's own tables do."""

from __future__ import annotations

import io
import re

import pytest
from rich.table import Table
from rich.text import Text

from zoo.cli.options import say
from zoo.cli.terminal import SafeConsole

EVIL = "car\x1b[31m\x1b]0;title\x07\0\u202e"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_names_in_tables_do_nothing_and_colours_stay() -> None:
    out = io.StringIO()
    table = Table(EVIL)
    table.add_row(Text(EVIL, style="green"))
    SafeConsole(file=out, force_terminal=True, width=80, color_system="standard").print(table, EVIL)
    assert "\x1b[32mcar\N{REPLACEMENT CHARACTER}[31m" in out.getvalue()
    assert not set(COLOUR.sub("", out.getvalue())) & set("\x1b\x07\0\u202e")


def test_a_line_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    assert not set(capsys.readouterr().out) & set("\x1b\x07\0\u202e")
