"""A missing optional package is an error that names the line to install it."""

from __future__ import annotations

import sys

import pytest

from zoo.base.errors import MissingBackend
from zoo.base.optional import require


def test_a_package_that_is_here_is_returned() -> None:
    import onnxruntime

    assert require("onnxruntime", "running ONNX models") is onnxruntime


def test_a_missing_package_names_what_needs_it_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingBackend, match="writing PyTorch models needs the package 'torch'") as error:
        require("torch", "writing PyTorch models")
    assert "pip install 'detector-zoo[torch]'" in error.value.hint
    assert error.value.exit_code == 5
