"""docs/darknet.md is what the tables say."""

from __future__ import annotations

from tests.conftest import ROOT
from zoo.darknet.coverage import page


def test_the_committed_page_is_the_generated_one() -> None:
    hint = "write it again: python -m zoo.darknet.coverage > docs/darknet.md"
    assert (ROOT / "docs" / "darknet.md").read_text() == page(), hint
