"""The models that are broken: a Darknet network of two heads made here, and a TensorFlow SSD of the test data."""

from __future__ import annotations

import dataclasses
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tests.mutations.kinds import Mutation
from zoo.base.artifact import Artifact, FileRecord
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_tensorflow import tensorflow_to_onnx
from zoo.verify import DarknetReference, Options, Reference, Report, TensorFlowReference, verify_artifact

OPTIONS = Options(speed="none", threads=1)

CONVOLUTION = "[convolutional]\n{}filters={}\nsize={}\nstride={}\npad=1\nactivation={}\n"
HEAD = "[yolo]\nmask={}\nanchors=4,6, 12,9, 20,16, 30,40\nclasses=3\nnum=4\nnms_kind=greedynms\n{}"
NORMALIZED = "batch_normalize=1\n"
CFG = "".join(
    (
        "[net]\nwidth=64\nheight=64\nchannels=3\n",
        CONVOLUTION.format(NORMALIZED, 8, 3, 2, "leaky"),
        CONVOLUTION.format(NORMALIZED, 12, 3, 2, "mish"),
        CONVOLUTION.format(NORMALIZED + "groups=12\n", 12, 3, 1, "leaky"),
        "[shortcut]\nfrom=-2\nactivation=linear\n",
        "[maxpool]\nsize=2\nstride=2\n",
        CONVOLUTION.format(NORMALIZED, 16, 3, 1, "leaky"),
        "[maxpool]\nsize=2\nstride=1\n",
        CONVOLUTION.format("", 16, 1, 1, "linear"),
        HEAD.format("2,3", ""),
        "[route]\nlayers=-3\n",
        CONVOLUTION.format(NORMALIZED, 8, 1, 1, "leaky"),
        "[upsample]\nstride=2\n",
        "[route]\nlayers=-1,3\n",
        CONVOLUTION.format("", 16, 1, 1, "linear"),
        HEAD.format("0,1", "scale_x_y=1.1\n"),
    )
)
# Filters, channels of a group, size, batch normalisation of each convolution.
SHAPES = ((8, 3, 3, 1), (12, 8, 3, 1), (12, 1, 3, 1), (16, 12, 3, 1), (16, 16, 1, 0), (8, 16, 1, 1), (16, 20, 1, 0))
CONVOLUTIONS = (0, 1, 2, 5, 7, 10, 13)  # their layers
SSD, EFFICIENTDET, MASK_RCNN = "s_ssd_mobilenet_v1", "s_tf2_efficientdet", "s_tf2_mask_rcnn_resnet50"


@dataclass(frozen=True)
class Subject:
    """A right artifact with its reference."""

    artifact: Artifact
    reference: Reference

    def broken(self, mutate: Mutation, folder: Path) -> Artifact:
        """The artifact with one thing broken, and a manifest that knows it so."""
        model = onnx.load(self.artifact.model)
        mutate(model)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / "model.onnx")
        files = (FileRecord.of(folder / "model.onnx", "model"),)
        return dataclasses.replace(self.artifact, folder=folder, files=files)

    def verified(self, artifact: Artifact, options: Options = OPTIONS) -> Report:
        return verify_artifact(artifact, self.reference, options)


def darknet_files(folder: Path, seed: int = 3) -> tuple[Path, Path]:
    """The cfg and its weights, with weights of a size that keeps the signal."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    parts = []
    for filters, channels, size, normalized in SHAPES:
        parts.append(random.normal(0, 0.3, filters))
        if normalized:
            scale, variance = random.uniform(0.8, 1.5, filters), random.uniform(0.2, 2, filters)
            parts += [scale, random.normal(0, 0.3, filters), variance]
        parts.append(random.normal(0, 1 / np.sqrt(channels * size * size), filters * channels * size * size))
    cfg, weights = folder / "two.cfg", folder / "two.weights"
    cfg.write_text(CFG)
    header = np.array([0, 2, 5, 0, 0], "<i4").tobytes()
    weights.write_bytes(header + np.concatenate(parts).astype("<f4").tobytes())
    return cfg, weights


def darknet(folder: Path, seed: int = 3, **options: object) -> Subject:
    """The network of two heads as ONNX."""
    cfg, weights = darknet_files(folder, seed)
    artifact = darknet_to_onnx(cfg, weights, folder / "onnx", DarknetOptions(**options))  # type: ignore[arg-type]
    return Subject(artifact, DarknetReference(cfg, weights, artifact.options))


def ssd_graph(data: Path, folder: Path) -> Path:
    """The frozen graph of the small SSD."""
    with tarfile.open(data / "models" / "tf" / f"{SSD}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "frozen_inference_graph.pb"


def saved_model(data: Path, folder: Path, name: str) -> Subject:
    """An export of TensorFlow 2 as ONNX; its reference keeps two processes until it is closed."""
    with tarfile.open(data / "models" / "tf" / f"{name}.tar.xz") as archive:
        archive.extractall(folder / name, filter="data")
    artifact = tensorflow_to_onnx(folder / name, folder / "onnx" / name)
    model = folder / name / "saved_model"
    return Subject(artifact, TensorFlowReference(model, artifact.sources, artifact.options, artifact.detector))


def ssd(data: Path, folder: Path) -> Subject:
    """The small SSD as ONNX; its reference keeps two processes until it is closed."""
    graph = ssd_graph(data, folder / SSD)
    artifact = tensorflow_to_onnx(graph, folder / "onnx")
    return Subject(artifact, TensorFlowReference(graph, artifact.sources, artifact.options, artifact.detector))
