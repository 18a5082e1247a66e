"""Darknet itself: a `.cfg` with the `.weights` beside it, run by the `libdarknet.so` that ZOO_DARKNET_LIB names.

Gives `boxes` and `scores` of every box before any suppression, in the program's own order. Works with the library of
AlexeyAB/darknet and of pjreddie/darknet; they are told apart by a function that only the former has. Run in a process
of its own: Darknet ends the process where it dislikes a file.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.darknet import read_network
from zoo.verify.runtimes.protocol import (
    Array,
    Bound,
    Settings,
    Tensors,
    bind_by_running,
    host_memory,
    refuse_precision,
)

VARIABLE = "ZOO_DARKNET_LIB"
EVERY_BOX = -1.0  # a threshold that every objectness is above
HIERARCHY = 0.5  # the threshold of a class tree, as the programs have it


class Box(Structure):
    """Centre x, y, width, height."""

    _fields_ = (("x", c_float), ("y", c_float), ("w", c_float), ("h", c_float))


COMMON = (("bbox", Box), ("classes", c_int))
NUMBERS = (("prob", POINTER(c_float)), ("mask", POINTER(c_float)), ("objectness", c_float), ("sort_class", c_int))


class DetectionOfPj(Structure):
    """`detection` of pjreddie/darknet, darknet.h."""

    _fields_ = (*COMMON, *NUMBERS)


class DetectionOfAlexey(Structure):
    """`detection` of AlexeyAB/darknet, darknet.h."""

    _fields_ = (
        *COMMON,
        ("best_class_idx", c_int),
        *NUMBERS,
        ("uc", POINTER(c_float)),
        ("points", c_int),
        ("embeddings", POINTER(c_float)),
        ("embedding_size", c_int),
        ("sim", c_float),
        ("track_id", c_int),
    )


class DarknetRunner:
    """A network with a batch of one."""

    device = "cpu"

    def __init__(self, cfg: Path, settings: Settings) -> None:
        weights = cfg.with_suffix(".weights")
        if not weights.is_file():
            raise UsageError(f"{cfg}: Darknet needs the weights beside it, as {weights.name}")
        net = read_network(cfg, weights=weights).net
        self._width, self._height = net.width, net.height
        self._library = _library()
        self._alexey = hasattr(self._library, "network_predict_ptr")
        self.runtime = f"libdarknet ({'AlexeyAB' if self._alexey else 'pjreddie'})"
        _declare(self._library, self._alexey)
        self._network = self._load(cfg, weights)
        self.inputs = (TensorSpec("images", "float32", (1, net.channels, net.height, net.width)),)
        self.outputs = (
            TensorSpec("boxes", "float32", (1, "boxes", 4)),
            TensorSpec("scores", "float32", (1, "boxes", "n")),
        )

    def run(self, feeds: Tensors) -> dict[str, Array]:
        images = np.ascontiguousarray(feeds["images"], np.float32)
        predict = self._library.network_predict_ptr if self._alexey else self._library.network_predict
        predict(self._network, images.ctypes.data_as(POINTER(c_float)))
        count = c_int()
        letter = (0,) if self._alexey else ()
        size, relative = (self._width, self._height), 1
        found = self._library.get_network_boxes(
            self._network, *size, EVERY_BOX, HIERARCHY, None, relative, ctypes.byref(count), *letter
        )
        try:
            return _tensors(found[: count.value])
        finally:
            self._library.free_detections(found, count)

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """The library's layers have another form in each program: not shown."""
        return {}

    def memory(self) -> dict[str, int]:
        return {"host": host_memory()}

    def close(self) -> None:
        """The library keeps the network until the process ends: its two programs free it in different ways."""

    def _load(self, cfg: Path, weights: Path) -> c_void_p:
        files = os.fsencode(cfg), os.fsencode(weights)
        if self._alexey:
            return c_void_p(self._library.load_network_custom(*files, 1, 1))
        network = c_void_p(self._library.load_network(*files, 1))
        self._library.set_batch_network(network, 1)
        return network


def load(path: Path, settings: Settings) -> DarknetRunner:
    """Open a .cfg. See `zoo.verify.runtimes.protocol`."""
    if settings.on_gpu:
        raise MissingBackend(f"{settings.device} was asked for, but libdarknet is run on the CPU here")
    refuse_precision("Darknet", settings, ("fp32",))
    return DarknetRunner(path, settings)


def _library() -> Any:
    path = os.environ.get(VARIABLE, "")
    if not path:
        raise MissingBackend("running Darknet itself needs its library", hint=f"build libdarknet.so and set {VARIABLE}")
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise MissingBackend(f"{VARIABLE}: {error}", hint="it must name a libdarknet.so for this machine") from error


def _declare(library: Any, alexey: bool) -> None:
    """The types of the functions in use; without them pointers would be cut to 32 bits."""
    detection = DetectionOfAlexey if alexey else DetectionOfPj
    letter = (c_int,) if alexey else ()
    library.load_network.restype = c_void_p
    library.load_network.argtypes = (c_char_p, c_char_p, c_int)
    if alexey:
        library.load_network_custom.restype = c_void_p
        library.load_network_custom.argtypes = (c_char_p, c_char_p, c_int, c_int)
        library.network_predict_ptr.restype = POINTER(c_float)
        library.network_predict_ptr.argtypes = (c_void_p, POINTER(c_float))
    else:
        library.network_predict.restype = POINTER(c_float)
        library.network_predict.argtypes = (c_void_p, POINTER(c_float))
    library.set_batch_network.argtypes = (c_void_p, c_int)
    library.get_network_boxes.restype = POINTER(detection)
    library.get_network_boxes.argtypes = (
        *(c_void_p, c_int, c_int, c_float, c_float, POINTER(c_int), c_int, POINTER(c_int)),
        *letter,
    )
    library.free_detections.argtypes = (POINTER(detection), c_int)


def _tensors(found: list[Any]) -> dict[str, Array]:
    """Copies of boxes [1, B, 4] and scores [1, B, C]."""
    if not found:
        raise VerificationError("Darknet gives no boxes: is the last layer of the cfg a head?")
    boxes = [[one.bbox.x, one.bbox.y, one.bbox.w, one.bbox.h] for one in found]
    scores = [np.ctypeslib.as_array(one.prob, (one.classes,)).copy() for one in found]
    return {"boxes": np.array([boxes], np.float32), "scores": np.stack(scores)[np.newaxis]}
