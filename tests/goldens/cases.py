"""The recorded outputs of the real Darknet, as typed cases: what went in, with which weights, and what came out.

Only reads the test data (`ZOO_TEST_DATA`) and makes the generated weights; judges nothing. Collection works without
the data: the list of names is then empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.conftest import DATA
from zoo.base.files import sha256_of

FOLDER = DATA / "goldens" / "darknet"
CASE_NAMES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One recording. `record` is its case.json, as it is; `root` the folder that holds `goldens/` and `models/`."""

    name: str
    folder: Path
    root: Path
    record: dict[str, Any]

    @property
    def dialect(self) -> Literal["alexey", "pj"]:
        """Whose Darknet was recorded."""
        return "pj" if self.record["fork"] == "pj" else "alexey"

    @property
    def cfg(self) -> Path:
        return self.folder / "net.cfg"

    @property
    def image(self) -> Path | None:
        """The picture behind `input`, where it was a picture."""
        return self.root / self.record["image"] if "image" in self.record else None

    @property
    def letterbox(self) -> bool:
        """True where Darknet was asked to letterbox the picture; the boxes are relative to the picture then."""
        return self.record.get("letter") == 1

    @property
    def caution(self) -> tuple[str, ...]:
        """Where the recording itself is poor, in words."""
        return tuple(self.record.get("caution", ()))

    @cached_property
    def input(self) -> Array:
        """float32 [C, H, W] in 0..1; of a recurrent network [steps, inputs], fed one after the other."""
        loaded = np.load(self.folder / self.record["input"])
        array: Array = loaded["input"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
        return array

    @cached_property
    def outputs(self) -> dict[str, Array]:
        """What Darknet held after each head (`NNN_type`), without `dets_before_nms`."""
        with np.load(self.folder / "outputs.npz") as recorded:
            return {name: recorded[name] for name in recorded.files if name != "dets_before_nms"}

    @cached_property
    def candidates(self) -> Array | None:
        """Rows of cx, cy, w, h (relative), objectness, class, probability, box index, in Darknet's order, before
        NMS; the first 2000 at most. None for a network without boxes."""
        with np.load(self.folder / "outputs.npz") as recorded:
            return recorded["dets_before_nms"] if "dets_before_nms" in recorded.files else None

    @cached_property
    def detections(self) -> dict[str, Any]:
        """detections.json: `detections` (the best 500 after NMS), and how many there were: `dets_raw`, `dets_nms`."""
        content: dict[str, Any] = json.loads((self.folder / "detections.json").read_bytes())
        return content


def _same_weights() -> dict[str, list[str]]:
    """The names of the recordings by the hash of their weights."""
    hashes = {name: json.loads((FOLDER / name / "case.json").read_bytes())["weights_sha256"] for name in CASE_NAMES}
    names = sorted(CASE_NAMES, key=lambda name: hashes[name])
    return {key: list(group) for key, group in groupby(names, hashes.__getitem__)}


CASES_BY_WEIGHTS = _same_weights()


def load_case(name: str, data: Path) -> Case:
    """The case `name` under the test data folder `data` (the fixture)."""
    folder = data / "goldens" / "darknet" / name
    return Case(name, folder, data, json.loads((folder / "case.json").read_bytes()))


def make_weights(case: Case, folder: Path) -> Path:
    """The weights file of a case: the real one, or the generated one, written into `folder`; its hash is checked."""
    if "weights" in case.record:
        path = case.root / str(case.record["weights"])
        found = sha256_of(path)
    else:
        path = folder / f"{case.name}.weights"
        tool = case.root / "tools" / "make_darknet_weights.py"
        options = ["--seed", str(case.record["seed"]), "--fork", case.dialect]
        command = [sys.executable, str(tool), str(case.cfg), str(path), *options]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = told.rpartition("sha256=")[
            2
        ].strip()  # of what it wrote: a second pass over a gigabyte would say the same
    assert found == case.record["weights_sha256"], path
    return path
