"""Small exports of the TF Object Detection API, and the full-size COCO SSD, against TensorFlow's recorded outputs.

Every recorded detection must be found. What that means, and what TensorFlow itself leaves open, is in `detections`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from tests.convert.judge import session_of
from tests.convert.to_torch.parity import MARGIN, Runtime, compare, torch_run
from tests.goldens.detections import Outputs, border_variants, missing, of_image, run, same
from tests.goldens.exports import Exports
from tests.goldens.torch_check import module_of

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
    def __init__(self, name: str, exported: Exports) -> None:
        self.name, self.artifact = name, exported.onnx(name)
        self.model = self.artifact.model
        self.golden = np.load(exported.source(name) / "golden.npz")
        self.session = session_of(self.model)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return run(self.session, {self.artifact.inputs[0].name: images})

    def wanted(self, key: str) -> dict[str, np.ndarray]:
        prefix = f"out_{key}_"
        return {name.removeprefix(prefix): self.golden[name] for name in self.golden.files if name.startswith(prefix)}


@pytest.fixture(scope="module")
def cases(exported: Exports) -> Callable[[str], Case]:
    return functools.cache(lambda name: Case(name, exported))


@pytest.fixture(params=STAGES)
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def test_every_archive_is_tested(exported: Exports) -> None:
    assert exported.names == sorted(STAGES)


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_every_detection_of_tensorflow_is_found(case: Case, key: str) -> None:
    """c is a batch of two; of graphs exported for batch 1 TensorFlow recorded only the first image's detections."""
    images = case.golden[f"in_{key}"]
    wanted, found = case.wanted(key), case.run(images)
    assert set(found) >= set(wanted)
    assert_found(case, wanted, images, found)


def assert_found(case: Case, wanted: Outputs, images: np.ndarray, *found: Outputs) -> None:
    """The detections `wanted` are among those that runs of the model `found`, or would with crops ending elsewhere."""
    for image in range(len(wanted["num_detections"])):
        expected = of_image(wanted, image)
        lost = set.intersection(*(missing(expected, of_image(one, image)) for one in found))
        variants = border_variants(case.model, images[image : image + 1]) if STAGES[case.name] == 2 else iter(())
        while lost and (variant := next(variants, None)):
            lost &= missing(expected, of_image(variant, 0))
        assert not lost
        assert abs(int(found[0]["num_detections"][image]) - len(expected["scores"])) <= 1


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
    (image,) = case.artifact.inputs
    assert (image.dtype, image.shape) == ("uint8", ("batch", "height", "width", 3))
    assert image.name == ("input_tensor" if "tf2" in case.name else "image_tensor")
    assert {spec.name for spec in case.artifact.outputs} >= set(case.wanted("a"))
    assert case.artifact.notes == ()


def test_pytorch_gives_what_onnx_runtime_gives(case: Case) -> None:
    """The module that is written of it, at batch 1 and 3: the numbers before suppression, every detection behind it.

    The noise is the largest that was seen: each run is a small sample of it. A detection may be one that ONNX Runtime
    finds without its optimisations: which is the hundredth is decided by the noise, too.
    """
    torch.set_num_threads(1)
    runtime, module = Runtime(case.model), torch_run(module_of(case.model))
    parities = []
    for batch in (1, 3):
        images = np.concatenate([case.golden["in_c"], case.golden["in_c"][:1]])[:batch]
        found = module([images])
        parities.append(compare(runtime, [images], found, two_stage=STAGES[case.name] == 2))
        runs = (found, runtime.run([images]), runtime.plain([images]))
        wanted, *others = (dict(zip(runtime.names, outputs, strict=True)) for outputs in runs)
        assert_found(case, wanted, images, *others)
    error, noise = max(parity.error for parity in parities), max(parity.noise for parity in parities)
    assert error <= MARGIN * noise
