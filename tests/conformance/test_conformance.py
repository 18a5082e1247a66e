"""ONNX's own node tests: the score of a writer may not fall. Every failure is known by name; a new one fails here."""

from __future__ import annotations

import pytest

from tests.conformance.cases import Case, collect
from tests.conformance.scoreboard import report, score
from tests.conformance.writers import torch_operators
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import graph_of


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return collect()


@pytest.mark.filterwarnings("ignore")  # the generated numbers contain infinities and NaN on purpose
def test_pytorch_writer(cases: list[Case]) -> None:
    result = score("PyTorch", cases)
    failed = {entry.case.name: entry.error for entry in result.results if not entry.passed}
    assert set(failed) == KNOWN_FAILURES["PyTorch"], failed
    assert result.passed >= 1180
    assert f"{result.passed} / {len(result.results)}" in report([result], [])


@pytest.mark.filterwarnings("ignore")
def test_tensorflow_writer(cases: list[Case]) -> None:
    """The expansions of operators into simpler ones are left to `make conformance`: they take as long again."""
    result = score("TensorFlow", [case for case in cases if "_expanded" not in case.name])
    failed = {entry.case.name: entry.error for entry in result.results if not entry.passed}
    assert set(failed) == KNOWN_FAILURES["TensorFlow"], failed
    assert len(result.results) >= 660


def test_no_answer_is_stored(cases: list[Case]) -> None:
    """Whatever is folded beforehand, what is left needs the input."""
    for case in cases:
        if "_expanded" not in case.name and case.operators <= torch_operators():
            graph = simplified(graph_of(case.model))
            needed = {name for node in graph.nodes for name in node.inputs}
            needed |= {name for node in graph.nodes for body in node.subgraphs() for name in body.outer_names()}
            assert graph.inputs[0].name in needed, case.name


# Random dropout has no right answer; Scan had another form before opset 9.
OF_BOTH = {
    "test_scan_sum",
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
}
# ONNX Runtime, too, reads `align_corners` with fractional sizes differently from the reference; F.fold knows two
# dimensions; batch normalisation in training mode has no place in a converted detector.
KNOWN_FAILURES = {
    "PyTorch": {
        "test_col2im_5d",
        "test_resize_downsample_scales_cubic_align_corners",
        "test_resize_downsample_scales_linear_align_corners",
        *OF_BOTH,
    },
    "TensorFlow": {"test_batchnorm_epsilon_training_mode", "test_batchnorm_example_training_mode", *OF_BOTH},
}
