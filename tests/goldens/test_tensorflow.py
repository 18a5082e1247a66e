"""Small exports of the TF Object Detection API, and the full-size COCO SSD, against TensorFlow's recorded outputs.

Every recorded detection must be found. What that means, and what TensorFlow itself leaves open, is in `detections`.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.goldens.detections import border_variants, missing, of_image, run, same, session
from zoo.convert.from_tensorflow.convert import QUIET

PROGRAM = Path(__file__).with_name("tensorflow_program.py")
STAGES = {
    "s_faster_rcnn_inception_v2": 2,
    "s_ssd_mobilenet_v1": 1,
    "s_ssd_mobilenet_v1_fpn": 1,
    "s_tf2_centernet_mobilenet_v2_fpn": 0,
    "s_tf2_efficientdet": 1,
    "s_tf2_mask_rcnn_resnet50": 2,
    "s_tf2_ssd_mobilenet_v2_fpnlite": 1,
    "ssd_mobilenet_v1_coco": 1,
}
"""How many suppressions each has."""
RAW = ("s_ssd_mobilenet_v1", "s_ssd_mobilenet_v1_fpn", "s_tf2_efficientdet", "ssd_mobilenet_v1_coco")
"""Models of one stage whose boxes and scores before suppression were recorded."""


class Case:
    def __init__(self, folder: Path) -> None:
        self.name, self.model = folder.name, folder / "model.onnx"
        self.golden = np.load(folder / "source" / "golden.npz")
        self.report = json.loads((folder / "report.json").read_text())
        self.session = session(self.model)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return run(self.session, {self.report["inputs"][0]["name"]: images})

    def wanted(self, key: str) -> dict[str, np.ndarray]:
        prefix = f"out_{key}_"
        return {name.removeprefix(prefix): self.golden[name] for name in self.golden.files if name.startswith(prefix)}


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models, converted by one program."""
    out = tmp_path_factory.mktemp("tensorflow")
    archives = [str(data / "models" / "tf" / f"{name}.tar.xz") for name in STAGES]
    command = [sys.executable, str(PROGRAM), str(out), *archives]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET}, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def cases(folder: Path) -> Callable[[str], Case]:
    return functools.cache(lambda name: Case(folder / name))


@pytest.fixture(params=STAGES)
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def test_every_archive_is_tested(data: Path) -> None:
    assert {path.name.partition(".")[0] for path in (data / "models" / "tf").glob("*.tar.xz")} == set(STAGES)


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_every_detection_of_tensorflow_is_found(case: Case, key: str) -> None:
    """c is a batch of two; of graphs exported for batch 1 TensorFlow recorded only the first image's detections."""
    images = case.golden[f"in_{key}"]
    wanted, found = case.wanted(key), case.run(images)
    assert set(found) >= set(wanted)
    for image in range(len(wanted["num_detections"])):
        expected = of_image(wanted, image)
        lost = missing(expected, of_image(found, image))
        variants = border_variants(case.model, images) if "rcnn" in case.name else iter(())
        while lost and (variant := next(variants, None)):
            lost &= missing(expected, of_image(variant, image))
        assert not lost
        assert abs(int(found["num_detections"][image]) - len(expected["scores"])) <= 1


@pytest.mark.parametrize("name", RAW)
def test_raw_outputs_agree_element_by_element(name: str, cases: Callable[[str], Case]) -> None:
    case = cases(name)
    wanted, found = case.wanted("a"), case.run(case.golden["in_a"])
    for key in ("raw_detection_boxes", "raw_detection_scores"):
        assert found[key].shape == wanted[key].shape
        assert np.abs(found[key] - wanted[key]).max() < 1e-3
        assert np.abs(found[key] - wanted[key]).mean() < 1e-4


def test_a_batch_gives_what_single_images_give(case: Case) -> None:
    images = np.concatenate([case.golden["in_c"], case.golden["in_c"][::-1]])
    together = case.run(images)
    for image in range(4):
        alone = of_image(case.run(images[image : image + 1]), 0)
        own = of_image(together, image)
        assert len(own["scores"]) == len(alone["scores"])
        assert same(alone, own).any(axis=1).all()


def test_the_graph_is_what_every_target_reads(case: Case) -> None:
    graph = onnx.load(case.model).graph
    operators = [node.op_type for node in graph.node]
    assert not {"Loop", "If", "Scan"} & set(operators)
    assert operators.count("NonMaxSuppression") == STAGES[case.name]
    modes = {attribute.s for node in graph.node for attribute in node.attribute if attribute.name == "auto_pad"}
    assert modes <= {b"NOTSET"}


def test_inputs_and_outputs_are_those_of_the_source(case: Case) -> None:
    (image,) = case.report["inputs"]
    assert (image["dtype"], image["shape"]) == ("uint8", ["batch", "height", "width", 3])
    assert image["name"] == ("input_tensor" if "tf2" in case.name else "image_tensor")
    assert {spec["name"] for spec in case.report["outputs"]} >= set(case.wanted("a"))
    assert case.report["notes"] == []
