"""All recordings of the real Darknet: the float64 interpreter and the converted ONNX model both give what it gave.

The PyTorch module written from each distinct network gives what the ONNX model gives. Each case's weights are made once
(up to 380 MB), used by all checks and removed again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.goldens.cases import CASE_NAMES, load_case, make_weights
from tests.goldens.interpreter_check import check_interpreter
from tests.goldens.onnx_check import check_onnx
from tests.goldens.torch_check import DISTINCT, check_torch


@pytest.mark.parametrize("name", CASE_NAMES)
def test_equals_darknet(name: str, data: Path) -> None:
    case = load_case(name, data)
    with tempfile.TemporaryDirectory() as folder:
        weights = make_weights(case, Path(folder))
        check_interpreter(case, weights)
        check_onnx(case, weights, Path(folder))
        if name in DISTINCT:
            check_torch(Path(folder) / ("raw" if case.candidates is None else "decoded") / "model.onnx", data)


def test_every_recording_is_there(data: Path) -> None:
    assert len(CASE_NAMES) == 118
