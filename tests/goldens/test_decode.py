"""Recorded heads of every detector decode to the recorded candidates, and those are suppressed as Darknet did it.

Needs no weights: the heads are Darknet's own numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.goldens.cases import CASE_NAMES, load_case
from tests.goldens.interpreter_check import check_detections
from zoo.darknet import read_network

# Of the recorded heads these cannot be decoded: they contain NaN.
BROKEN = {"pj_yolo9000_96x96"}


@pytest.mark.parametrize("name", sorted(set(CASE_NAMES) - BROKEN))
def test_recorded_heads_decode_to_the_recorded_detections(name: str, data: Path) -> None:
    case = load_case(name, data)
    if case.candidates is None:
        assert "detections" not in case.detections
        return
    network = read_network(case.cfg, dialect=case.dialect)
    heads = {key: head[None].astype(np.float64) for key, head in case.outputs.items()}
    rounded = {key: head.astype(np.float32) for key, head in heads.items()}
    check_detections(case, network, heads, rounded)
