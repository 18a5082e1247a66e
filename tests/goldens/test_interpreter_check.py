"""The check of the interpreter passes on what it should, and fails where one thing is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.goldens.cases import load_case, make_weights
from tests.goldens.interpreter_check import check_interpreter


@pytest.mark.parametrize("name", ["real_yolo-fastest_dog_letter", "pj_gru_native", "alexey_tiny_96x96"])
def test_passes_on_a_recording(name: str, data: Path, tmp_path: Path) -> None:
    case = load_case(name, data)
    heads = check_interpreter(case, make_weights(case, tmp_path))
    assert {key: head.shape for key, head in heads.items()} == {
        key: (1, *array.shape) for key, array in case.outputs.items() if key in heads
    }


def test_fails_on_one_changed_weight(data: Path, tmp_path: Path) -> None:
    case = load_case("alexey_tiny_96x96", data)
    path = make_weights(case, tmp_path)
    content = np.fromfile(path, "<f4")
    content[len(content) // 2] += np.float32(0.01)
    content.tofile(path)
    with pytest.raises(AssertionError, match="times the noise floor"):
        check_interpreter(case, path)


def test_fails_on_the_other_dialect(data: Path, tmp_path: Path) -> None:
    """The dialects differ in the epsilon of batch normalisation only, for this network."""
    case = load_case("pj_tiny_96x96", data)
    path = make_weights(case, tmp_path)
    other = dataclasses.replace(case, record=case.record | {"fork": "alexey"})
    with pytest.raises(AssertionError, match="times the noise floor"):
        check_interpreter(other, path)
