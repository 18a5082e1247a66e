"""Darknet as a runner, on a stand-in for its library: which functions are called, and how its structs are read.

The real library is Darknet's own program, built by whoever has it: `docs/verify.md` says how to compare with it.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_float, c_int
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.test_verify import CFG
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.verify.runtimes import libdarknet
from zoo.verify.runtimes.libdarknet import VARIABLE, Box, DetectionOfAlexey, DetectionOfPj
from zoo.verify.runtimes.protocol import Settings

SCORES = np.array([[0.1, 0.9], [0.5, 0.25], [0.0, 1.0]], np.float32)


class Function:
    """A C function: takes the types that ctypes is told, remembers its calls."""

    def __init__(self, result: Any = None) -> None:
        self.result, self.calls, self.restype, self.argtypes = result, [], None, None  # type: ignore[var-annotated]

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.result(*arguments) if callable(self.result) else self.result


class Library:
    """What both programs export; `boxes` is how many detections they give."""

    def __init__(self, kind: type[ctypes.Structure], boxes: int = 3) -> None:
        self.kind, self.boxes, self.seen = kind, boxes, np.zeros(0, np.float32)
        self.rows = (kind * 3)()
        self.kept = [(c_float * 2)(*row) for row in SCORES]
        for number, row in enumerate(self.rows):
            row.bbox, row.classes, row.prob = Box(number, 0.5, 0.25, 1), 2, self.kept[number]
        self.load_network = Function(7)
        self.set_batch_network, self.free_detections = Function(), Function()
        self.get_network_boxes = Function(self._boxes)
        self.network_predict = Function(self._predict)
        if kind is DetectionOfAlexey:
            self.load_network_custom = Function(8)
            self.network_predict_ptr = Function(self._predict)

    def _predict(self, network: Any, images: Any) -> None:
        self.seen = np.ctypeslib.as_array(images, (3 * 32 * 32,)).copy()

    def _boxes(self, *arguments: Any) -> Any:
        ctypes.cast(arguments[7], POINTER(c_int))[0] = self.boxes
        return ctypes.cast(self.rows, POINTER(self.kind))


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, "libdarknet.so")
    (tmp_path / "tiny.cfg").write_text(CFG)
    (tmp_path / "tiny.weights").write_bytes(b"read by the library only")
    return tmp_path / "tiny.cfg"


@pytest.mark.parametrize("kind", [DetectionOfAlexey, DetectionOfPj])
def test_boxes_and_scores_are_copied_and_freed(
    kind: type[ctypes.Structure], cfg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(kind)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: library)
    runner = libdarknet.load(cfg, Settings())
    assert runner.inputs[0].shape == (1, 3, 32, 32)
    images = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    found = runner.run({"images": images})
    np.testing.assert_array_equal(library.seen, images.ravel())
    np.testing.assert_array_equal(found["scores"], SCORES[np.newaxis])
    np.testing.assert_array_equal(found["boxes"][0, :, 0], [0, 1, 2])
    assert found["boxes"].shape == (1, 3, 4)
    (arguments,) = library.get_network_boxes.calls
    assert arguments[1:5] == (32, 32, -1.0, 0.5)
    assert len(library.free_detections.calls) == 1
    assert len(arguments) == (9 if kind is DetectionOfAlexey else 8)


def test_each_program_is_loaded_its_own_way(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alexey, pj = Library(DetectionOfAlexey), Library(DetectionOfPj)
    for library, name in ((alexey, "AlexeyAB"), (pj, "pjreddie")):
        monkeypatch.setattr(ctypes, "CDLL", lambda path, library=library: library)
        assert libdarknet.load(cfg, Settings()).runtime == f"libdarknet ({name})"
    assert alexey.load_network_custom.calls[0][2:] == (1, 1)
    assert pj.set_batch_network.calls[0][1] == 1


def test_structs_have_the_size_that_c_gives_them() -> None:
    """As sizeof of both programs' `detection` says on a machine with 64-bit pointers."""
    assert ctypes.sizeof(DetectionOfPj) == 48
    assert ctypes.sizeof(DetectionOfAlexey) == 88


def test_no_boxes_is_an_error(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda path: Library(DetectionOfPj, boxes=0))
    runner = libdarknet.load(cfg, Settings())
    with pytest.raises(VerificationError, match="no boxes"):
        runner.run({"images": np.zeros((1, 3, 32, 32), np.float32)})


def test_what_is_missing_is_named(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingBackend, match=VARIABLE):
        libdarknet.load(cfg, Settings())
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(MissingBackend, match="needs its library"):
        libdarknet.load(cfg, Settings())
    with pytest.raises(MissingBackend, match="cuda"):
        libdarknet.load(cfg, Settings("cuda"))
    cfg.with_suffix(".weights").unlink()
    with pytest.raises(UsageError, match=r"tiny\.weights"):
        libdarknet.load(cfg, Settings())
