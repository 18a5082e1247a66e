"""Which converter reads which family of sources, and which writes which format: the tables between stage and stage.

A new reader or writer is one function and one line here. Frameworks are imported only when their format is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.base.artifact import Artifact
from zoo.base.errors import UsageError
from zoo.base.optional import require
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_tensorflow import TensorFlowSourceOptions, tensorflow_to_onnx
from zoo.pipeline.source import Source

HUB = "onnx"
TF, TFLITE = "tf", "tflite"
WRITTEN_AS = {TFLITE: TF}  # the TensorFlow writer lays a .tflite beside its SavedModel


@dataclass(frozen=True)
class Options:
    """How to convert: what the reader of each family is told, and `writers`, format → options of its writer by name
    (those of `TorchOptions` for "torch", of `TensorFlowOptions` for "tf", of `OpenCVOptions` for "opencv")."""

    darknet: DarknetOptions = field(default_factory=DarknetOptions)
    tensorflow: TensorFlowSourceOptions = field(default_factory=TensorFlowSourceOptions)
    writers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_reader(self, family: str) -> dict[str, Any]:
        """What the reader of that family is told that is not the default."""
        readers: dict[str, DarknetOptions | TensorFlowSourceOptions]
        readers = {"darknet": self.darknet, "tensorflow": self.tensorflow}
        if family not in readers:
            return {}
        told, default = dataclasses.asdict(readers[family]), dataclasses.asdict(type(readers[family])())
        return {key: value for key, value in told.items() if value != default[key]}


def _from_darknet(source: Source, out: Path, options: Options) -> Artifact:
    told = options.darknet
    if told.dialect == "auto":
        told = dataclasses.replace(told, dialect=source.dialect)
    cfg, weights = source.files["cfg"], source.files["weights"]
    return darknet_to_onnx(cfg, weights, out, told, name=source.name, labels=source.labels)


def _from_tensorflow(source: Source, out: Path, options: Options) -> Artifact:
    return tensorflow_to_onnx(source.files["model"], out, options.tensorflow, name=source.name, labels=source.labels)


def _to_torch(hub: Artifact, out: Path, told: Mapping[str, Any]) -> Artifact:
    require("torch", "converting to PyTorch")  # the writer's modules import it
    from zoo.convert.to_torch import TorchOptions, onnx_to_torch

    return onnx_to_torch(hub.model, out, TorchOptions(**told), **_inherited(hub))


def _to_tensorflow(hub: Artifact, out: Path, told: Mapping[str, Any]) -> Artifact:
    from zoo.convert.to_tensorflow import TensorFlowOptions, onnx_to_tensorflow

    return onnx_to_tensorflow(hub.model, out, TensorFlowOptions(**told), **_inherited(hub))


def _to_opencv(hub: Artifact, out: Path, told: Mapping[str, Any]) -> Artifact:
    from zoo.convert.to_opencv import OpenCVOptions, onnx_to_opencv

    return onnx_to_opencv(hub.model, out, OpenCVOptions(**told), **_inherited(hub))


def _to_classic(hub: Artifact, out: Path, told: Mapping[str, Any]) -> Artifact:
    raise UsageError(
        f"{hub.name}: opencv-classic is for Darknet models and TF 1 SSDs: the source as OpenCV 4's own reader takes it",
        hint="any model is written for OpenCV with --to opencv",
    )


def _darknet_again(source: Source, out: Path, options: Options) -> Artifact:
    from zoo.convert.to_opencv import darknet_to_classic

    told, files = options.darknet, source.files
    size = {"width": told.width, "height": told.height}
    return darknet_to_classic(files["cfg"], files["weights"], out, **size, name=source.name, labels=source.labels)


def _ssd_again(source: Source, out: Path, options: Options) -> Artifact:
    from zoo.convert.to_opencv.tensorflow_pair import tensorflow_to_classic

    told = options.tensorflow
    size = {"width": told.width, "height": told.height}
    return tensorflow_to_classic(source.files["model"], out, **size, name=source.name, labels=source.labels)


def _tensorflow_again(source: Source, out: Path, options: Options) -> Artifact:
    from zoo.convert.to_tensorflow import ReexportOptions, tensorflow_to_tensorflow

    told = options.tensorflow
    asked = ReexportOptions(told.batch, told.width, told.height, told.signature)
    return tensorflow_to_tensorflow(source.files["model"], out, asked, name=source.name, labels=source.labels)


def _inherited(hub: Artifact) -> dict[str, Any]:
    """What an artifact takes over from the hub; an ONNX file of anyone has no manifest to take from."""
    return {"name": hub.name, "labels": hub.labels, "parent": hub if hub.sources else None}


# Family of sources → what reads it into the hub.
READERS: dict[str, Callable[[Source, Path, Options], Artifact]] = {
    "darknet": _from_darknet,
    "tensorflow": _from_tensorflow,
}
# Format → what writes it from the hub.
WRITERS: dict[str, Callable[[Artifact, Path, Mapping[str, Any]], Artifact]] = {
    "torch": _to_torch,
    "tf": _to_tensorflow,
    "opencv": _to_opencv,
    "opencv-classic": _to_classic,
}
# Family of sources and format → what writes the one from the other without the hub.
DIRECT: dict[tuple[str, str], Callable[[Source, Path, Options], Artifact]] = {
    ("tensorflow", "tf"): _tensorflow_again,
    ("darknet", "opencv-classic"): _darknet_again,
    ("tensorflow", "opencv-classic"): _ssd_again,
}
FORMATS = (HUB, *WRITERS, *WRITTEN_AS)


def is_direct(source: Source, target: str, options: Options) -> bool:
    """Whether a format is written from the source itself. What changes the network (a cut at the raw heads, another
    layout, a .tflite) needs the hub."""
    unchanged = (options.tensorflow.pre, options.tensorflow.post) == ("image", "detections")
    return (source.family, target) in DIRECT and unchanged and not options.writers.get(target)
