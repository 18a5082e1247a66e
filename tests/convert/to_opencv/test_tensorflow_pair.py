"""TF 1 SSDs as the pair for OpenCV 4's TensorFlow reader: what TensorFlow recorded comes out of it, all of it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from zoo.base.errors import ConversionError
from zoo.convert.to_opencv.installations import at_hand, run
from zoo.convert.to_opencv.tensorflow_pair import rows, tensorflow_to_classic

NEAR = 1e-3  # of a score, and of a box in units of the picture


def unpacked(data: Path, name: str, folder: Path) -> Path:
    with tarfile.open(data / "models" / "tf" / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_all_recorded_detections_come_out_of_the_pair(data: Path, tmp_path: Path, opencv4: str) -> None:
    """On the recorded picture of the network's own size: OpenCV's resize is not TensorFlow's."""
    source = unpacked(data, "s_ssd_mobilenet_v1", tmp_path / "source")
    pair = tensorflow_to_classic(source, tmp_path / "pair")
    assert (pair.folder / "model.pb").read_bytes() == (source / "frozen_inference_graph.pb").read_bytes()
    golden = np.load(source / "golden.npz")
    assert golden["in_d"].shape[1:3] == pair.inputs[0].shape[2:]
    (old,) = (one for one in at_hand() if one.python == opencv4)
    blob = np.ascontiguousarray(golden["in_d"].transpose(0, 3, 1, 2)).astype(np.float32)
    (output,) = run(old, "Tensorflow", [pair.folder / file.name for file in pair.files], {"": blob}).outputs.values()
    found = rows(output)
    count = int(golden["out_d_num_detections"][0])
    assert count == len(found)
    boxes, scores, classes = (golden[f"out_d_detection_{kind}"][0, :count] for kind in ("boxes", "scores", "classes"))
    for wanted in np.column_stack([boxes, scores, classes]):
        assert (np.abs(found - wanted) < NEAR).all(axis=1).any(), wanted


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("s_ssd_mobilenet_v1_fpn", "anchors that are not the same in the middle of each of 3 x 3 cells"),
        ("s_faster_rcnn_inception_v2", "2 suppressions, expected the one of an SSD"),
    ],
)
def test_what_its_layers_cannot_say_is_an_error_and_leaves_nothing(
    name: str, why: str, data: Path, tmp_path: Path, opencv4: str
) -> None:
    source = unpacked(data, name, tmp_path / "source")
    with pytest.raises(ConversionError, match=why):
        tensorflow_to_classic(source, tmp_path / "pair")
    assert not (tmp_path / "pair").exists()
