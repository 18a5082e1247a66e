"""For OpenCV 4's TensorFlow reader: a TF 1 SSD's own frozen graph, and the text graph that the reader wants beside it.

The pair counts as written once OpenCV 4 has run it and found in noise what TensorFlow finds there.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import ConversionError
from zoo.base.files import atomic_folder
from zoo.convert.from_tensorflow.resizer import open_size
from zoo.convert.from_tensorflow.source import Source, find_source
from zoo.convert.from_tensorflow.text_protos import read_labels, read_pipeline
from zoo.convert.to_opencv.frozen_session import FrozenSession
from zoo.convert.to_opencv.installations import WITH_READERS, OpenCV, at_hand, of_major, run
from zoo.convert.to_opencv.proof import FOUND, share_found
from zoo.convert.to_opencv.rewrite.outputs import DETECTIONS
from zoo.convert.to_opencv.ssd_graph import Ssd, read_ssd
from zoo.convert.to_opencv.ssd_text import OUTPUT, text_graph
from zoo.convert.versions import versions

GRAPH, TEXT = "model.pb", "model.pbtxt"
ROWS = "picture, class (the first is 1), score, xmin, ymin, xmax, ymax relative to the picture, to be clipped to 0..1"
COLUMNS = [4, 3, 6, 5, 2, 1]  # of those rows: box as ymin, xmin, ymax, xmax, score and class


def tensorflow_to_classic(
    path: Path,
    out: Path,
    *,
    width: int | None = None,
    height: int | None = None,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Artifact:
    """Write the pair of the frozen graph (or archive's folder) `path` into `out`; returns its manifest.

    The size of pictures is that of pipeline.config, or `width` and `height`. Raises ConversionError where the graph is
    no TF 1 SSD or OpenCV 4 does not find what TensorFlow finds, and leaves nothing behind then; MissingBackend where
    TensorFlow or OpenCV 4 is not at hand.
    """
    opencv = of_major(WITH_READERS, at_hand())
    source = find_source(path.resolve())
    size = _size(source, width, height)
    ssd = read_ssd(source, size)
    labels = labels or (read_labels(source.label_map) if source.label_map else ())
    with atomic_folder(out) as folder:
        shutil.copyfile(source.path, folder / GRAPH)
        (folder / TEXT).write_text(text_graph(ssd, size), encoding="utf-8")
        _check(source, ssd, size, opencv, folder)
        artifact = Artifact(
            folder=out,
            name=name or source.path.parent.name,
            format="opencv-classic",
            family="tensorflow",
            sources=tuple(FileRecord.of(file, role) for role, file in source.files),
            files=(FileRecord.of(folder / GRAPH, "model"), FileRecord.of(folder / TEXT, "text graph")),
            inputs=(TensorSpec(ssd.input.removesuffix(":0"), "float32", (1, 3, *size), "RGB, 0..255"),),
            outputs=(TensorSpec(OUTPUT, "float32", (1, 1, ssd.stage.limit, 7), ROWS),),
            versions=versions(opencv=opencv.version),
            labels=labels,
            notes=(f"for cv2.dnn.readNetFromTensorflow; ran in OpenCV {opencv.version}",),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def _size(source: Source, width: int | None, height: int | None) -> tuple[int, int]:
    if width and height:
        return height, width
    size = open_size(read_pipeline(source.pipeline_config)) if source.pipeline_config else None
    if size is None:
        raise ConversionError(
            f"{source.path}: the size of its pictures is not known: there is no pipeline.config beside it that says it",
            hint="give --width and --height",
        )
    return size


def _check(source: Source, ssd: Ssd, size: tuple[int, int], opencv: OpenCV, folder: Path) -> None:
    """Whether OpenCV finds in noise what TensorFlow does: rounding may choose others for some, as in `proof`."""
    noise = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    with FrozenSession(source.path, ssd.input, size) as session:
        given = session.run({key: ssd.outputs[key] for key in DETECTIONS}, noise)
    boxes, scores, classes = (given[key][0] for key in DETECTIONS[:3])
    expected = np.concatenate([boxes, scores[:, None], classes[:, None]], axis=1)[: int(given[DETECTIONS[3]][0])]
    blob = np.ascontiguousarray(noise.transpose(0, 3, 1, 2)).astype(np.float32)
    found = rows(run(opencv, "Tensorflow", [folder / GRAPH, folder / TEXT], {"": blob}).outputs[OUTPUT])
    share = share_found(found, expected)
    if share < FOUND:
        raise ConversionError(
            f"OpenCV {opencv.version} gives {share:.0%} of the detections that TensorFlow gives for the same noise",
            hint="take the ONNX file: --to opencv --opencv 4",
        )


def rows(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the net gives as [K, 6]: box (ymin, xmin, ymax, xmax, clipped to the picture), score and class."""
    found = output.reshape(-1, 7)[:, COLUMNS].astype(np.float64)
    found[:, :4] = found[:, :4].clip(0, 1)
    return found
