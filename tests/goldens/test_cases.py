"""The loader of the recorded cases reads what the recordings say they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens.cases import CASE_NAMES, load_case, make_weights


def test_every_case_is_complete(data: Path) -> None:
    assert len(CASE_NAMES) == 118
    for name in CASE_NAMES:
        case = load_case(name, data)
        assert case.cfg.is_file()
        assert {key: list(array.shape) for key, array in case.outputs.items()} == case.record["outputs"]
        assert (case.candidates is None) == (case.record["dets"][0] is None)


@pytest.mark.parametrize("name", ["alexey_tiny_96x96", "pj_gru_native", "real_yolo-fastest_dog"])
def test_weights_are_the_recorded_ones(name: str, data: Path, tmp_path: Path) -> None:
    case = load_case(name, data)
    assert make_weights(case, tmp_path).stat().st_size > 4 * case.record["params"]
