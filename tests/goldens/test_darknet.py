"""All recordings of the real Darknet: the float64 interpreter and the converted ONNX model both give what it gave.

The PyTorch module written from each distinct network gives what the ONNX model gives. Weights that several recordings
share are made once (up to 1.1 GB), used by all their tests and removed again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.goldens.cases import CASE_NAMES, CASES_BY_WEIGHTS, load_case, make_weights
from tests.goldens.interpreter_check import check_interpreter
from tests.goldens.onnx_check import check_onnx
from tests.goldens.torch_check import check_torch, is_first_of_its_network


@pytest.fixture(scope="module")
def weights(request: pytest.FixtureRequest, data: Path) -> Iterator[Path]:
    """The weights of the recording that the parameter names, and of all others that have the same."""
    with tempfile.TemporaryDirectory() as folder:
        yield make_weights(load_case(request.param, data), Path(folder))


@pytest.mark.parametrize(
    ("weights", "name"),
    [(names[0], name) for names in CASES_BY_WEIGHTS.values() for name in names],
    indirect=["weights"],
    ids=[name for names in CASES_BY_WEIGHTS.values() for name in names],
)
def test_equals_darknet(weights: Path, name: str, data: Path) -> None:
    case = load_case(name, data)
    check_interpreter(case, weights)
    with tempfile.TemporaryDirectory() as folder:
        runtime = check_onnx(case, weights, Path(folder))
        if is_first_of_its_network(case):
            check_torch(runtime, data)


def test_every_recording_is_there(data: Path) -> None:
    assert len(CASE_NAMES) == 118
