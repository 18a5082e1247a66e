"""Exports of the TF Object Detection API from the test data, unpacked and converted to ONNX once for a whole test run.

The processes of a run share what lies in its temporary folder; whoever needs a model first converts it. Fixture:
`exported`.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zoo.base.artifact import Artifact, read_artifact
from zoo.catalog.exclusive import exclusive
from zoo.convert.from_tensorflow import tensorflow_to_onnx


@dataclass(frozen=True)
class Exports:
    """The archives in `archives`, by name; what is made of them lies in `folder`."""

    archives: Path
    folder: Path

    @cached_property
    def names(self) -> list[str]:
        return sorted(path.name.partition(".")[0] for path in self.archives.glob("*.tar.xz"))

    def source(self, name: str) -> Path:
        """The folder that the archive holds, with TensorFlow's recorded outputs in golden.npz. Nobody writes to it."""
        source = self.folder / name / "source"
        with exclusive(self.folder / f"{name}.source.lock"):
            if not source.exists():
                partial = source.with_name("unpacking")
                with tarfile.open(self.archives / f"{name}.tar.xz") as archive:
                    archive.extractall(partial, filter="data")
                partial.rename(source)
        return source

    def onnx(self, name: str) -> Artifact:
        """Its ONNX model, with the options that are the defaults."""
        source, out = self.source(name), self.folder / name / "onnx"
        with exclusive(self.folder / f"{name}.onnx.lock"):
            if (out / "artifact.json").exists():
                return read_artifact(out)
            return tensorflow_to_onnx(source, out, name=name)
