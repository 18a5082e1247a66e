"""Graphs that cannot be converted: each is refused with exit code 4, what is wrong, and what to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow import TensorFlowSourceOptions, tensorflow_to_onnx

PROGRAM = Path(__file__).with_name("bad_graphs.py")
SAID = {
    "truncated": "not a whole TensorFlow graph",
    "noise": "not a (whole )?TensorFlow graph",
    "without_a_node": "not whole: it has no node 'Cast'",
    "training": "training graph: it has ApplyGradientDescent",
    "unfrozen": "not frozen",
    "custom": "TFLite_Detection_PostProcess",
    "strings": "'encoded_image_string_tensor' takes encoded strings",
    "without_variables": "no variables/variables.index",
    "truncated_variables": "variables is damaged",
    "truncated_saved_model": "not a whole SavedModel",
    "strings_of_tf2": "'input_tensor' takes encoded strings",
    "loop_with_memory": "Exit|loop",
    "reading": "more than compute when it runs: it has ReadFile",
    "writing": "more than compute when it runs: it has WriteFile",
    "writing_when_opened": "more than compute when it runs: it has SaveV2",
    "calling_python": "more than compute when it runs: it has EagerPyFunc|PyFunc",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("bad")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    process = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert not [*folder.glob("owned*")]
    answers: dict[str, list[str]] = json.loads(process.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("case", SAID)
def test_it_is_refused_and_says_what_to_do(case: str, said: dict[str, list[str]]) -> None:
    code, message, hint = said[case]
    assert code == str(ConversionError.exit_code)
    assert re.search(SAID[case], message)
    assert hint


def test_no_operator_that_names_a_file_is_forgotten(said: dict[str, list[str]]) -> None:
    assert said["naming_places"] == []


def test_the_child_s_error_arrives_and_nothing_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"\x08\x96\x01 this is no graph at all")
    with pytest.raises(ConversionError, match="TensorFlow graph") as caught:
        tensorflow_to_onnx(graph, tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr() == ("", "")


def test_a_conversion_that_hangs_is_ended(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"\x08\x96\x01 this is no graph at all")
    with pytest.raises(ConversionError, match=r"longer than 0.01 s"):
        tensorflow_to_onnx(graph, tmp_path / "out", TensorFlowSourceOptions(time_limit=0.01))
    assert not (tmp_path / "out").exists()
