"""Nothing that a stranger named acts on a terminal."""

from __future__ import annotations

import pytest

from zoo.base.printable import shown


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\0",
        "over\rwritten",
        "\x7f",
        "\x9b31m",
        "\u202egpj.exe",
        "\u2066",
        "\udcff",
        "\uffff",
    ],
)
def test_what_acts_is_replaced(text: str) -> None:
    assert shown(text) != text
    assert all(sign in "\N{REPLACEMENT CHARACTER}" or sign.isprintable() for sign in shown(text))


def test_text_of_any_language_stays() -> None:
    text = "zèbre\t斑馬\nחזיר 🦓 ≠ 3×3\N{NO-BREAK SPACE}px"
    assert shown(text) == text
