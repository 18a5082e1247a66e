"""TensorFlow detectors in files of one size, on a picture of another shape: what ONNX sees in it, OpenCV sees.

The ONNX file takes pictures of any size, and fits them itself as its source does.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.goldens.exports import Exports
from zoo.base.artifact import Artifact
from zoo.catalog import Store
from zoo.convert.to_opencv import OpenCVOptions, onnx_to_opencv
from zoo.detect.sources import find_sources
from zoo.detect.watch import Sight
from zoo.pipeline.convert import convert, convert_model
from zoo.pipeline.detect import Workers, detect_all, open_teams
from zoo.pipeline.source import onnx_source
from zoo.vision.contract import Rule

PICTURE = "dog.jpg"  # 768 × 576
THRESHOLD = 0.05


def seen(data: Path, *artifacts: Artifact) -> tuple[int, list[str]]:
    """How many detections the first has, and what `zoo detect` says of the others."""
    sights: list[Sight] = []
    sources = find_sources([str(data / "models" / "images" / PICTURE)])

    def kept(sight: Sight) -> bool:
        sights.append(sight)
        return True

    with open_teams(artifacts, Rule(THRESHOLD), Workers(inference_threads=1)) as teams:
        detect_all(teams, sources, seen=kept, draw=False)
    (sight,) = sights
    return len(sight.found[0]), [one.finding for one in sight.differences[1:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "resize"),
    [
        ("s_ssd_mobilenet_v1", "stretch"),
        ("s_tf2_efficientdet", "letterbox"),
        ("s_tf2_centernet_mobilenet_v2_fpn", "letterbox"),
    ],
)
def test_opencv_sees_what_onnx_sees(name: str, resize: str, exported: Exports, data: Path, tmp_path: Path) -> None:
    hub = exported.onnx(name)
    written = onnx_to_opencv(hub.model, tmp_path, parent=hub)
    about = json.loads((tmp_path / "detector.json").read_bytes())["input"]
    assert (about["width"], about["resize"], about["resize"]) == (about["height"], resize, written.detector["resize"])
    count, told = seen(data, hub, written)
    assert count >= 20
    assert told == ["the same detections"]


@pytest.mark.slow
def test_a_source_that_keeps_the_shape_needs_a_file_of_that_shape(
    exported: Exports, data: Path, tmp_path: Path
) -> None:
    """It makes 400 × 300 of a picture of 768 × 576: a file of that size sees the same, a square one could not."""
    hub = exported.onnx("s_faster_rcnn_inception_v2")
    written = onnx_to_opencv(hub.model, tmp_path / "own", OpenCVOptions(width=400, height=300), parent=hub)
    count, told = seen(data, hub, written)
    assert count >= 20
    assert told == ["the same detections"]


def test_an_onnx_file_of_zoo_says_on_how_pictures_are_prepared(tmp_path: Path) -> None:
    """Converted on from the file, not from the source: the manifest beside it is not lost."""
    (hub,) = convert_model("shapes-tiny", out=tmp_path / "hub")
    (again,) = convert(onnx_source(hub.model), ["opencv"], store=Store(tmp_path / "store"))
    (direct,) = convert_model("shapes-tiny", ["opencv"], out=tmp_path / "direct")
    names = ("detector.json", "model.onnx")
    assert [(again.folder / name).read_bytes() for name in names] == [
        (direct.folder / name).read_bytes() for name in names
    ]
    assert (again.family, again.detector, again.labels) == (direct.family, direct.detector, direct.labels)
    assert [record.name for record in again.sources] == ["model.onnx"]


def test_what_the_manifest_beside_an_onnx_file_says_later_is_not_missed(tmp_path: Path) -> None:
    (hub,) = convert_model("shapes-tiny", out=tmp_path / "hub")
    store = Store(tmp_path / "store")
    told = []
    for resize in ("stretch", "letterbox"):
        dataclasses.replace(hub, detector={**hub.detector, "resize": resize}).write()
        (written,) = convert(onnx_source(hub.model), ["opencv"], store=store)
        told.append(written.detector["resize"])
    assert told == ["stretch", "letterbox"]
