"""TensorFlow as the reference: a detector of the zoo passes, one changed weight is found at its node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.goldens.exports import Exports
from zoo.base.artifact import Artifact, FileRecord
from zoo.base.errors import UsageError
from zoo.convert.to_opencv import onnx_to_opencv
from zoo.verify import Options, TensorFlowReference, verify_artifact
from zoo.verify.runtimes.isolated import IsolatedRunner
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.runtimes.table import runtime_of
from zoo.verify.truth_tensorflow import network_nodes
from zoo.verify.verdict import FAIL, PASS

pytestmark = pytest.mark.slow

OPTIONS = Options(speed="none", threads=1, batches=(1,))
NAME = "s_ssd_mobilenet_v1"
NODE = "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_5_pointwise"


@pytest.fixture(scope="module")
def model(exported: Exports) -> Path:
    return exported.source(NAME) / "frozen_inference_graph.pb"


@pytest.fixture(scope="module")
def artifact(exported: Exports) -> Artifact:
    return exported.onnx(NAME)


@pytest.fixture(scope="module")
def reference(model: Path, artifact: Artifact) -> Iterator[TensorFlowReference]:
    with TensorFlowReference(model, artifact.sources, artifact.options, artifact.detector) as reference:
        yield reference


def test_a_detector_of_the_zoo_passes(artifact: Artifact, reference: TensorFlowReference) -> None:
    report = verify_artifact(artifact, reference, OPTIONS)
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert "oneDNN" in report.reference
    assert {output.name for output in report.outputs} == {spec.name for spec in artifact.outputs}
    assert report.detections is not None
    assert report.detections.matched > 400
    assert report.detections.errors == 0


def test_an_opencv_file_is_judged_by_what_it_gives(
    artifact: Artifact, reference: TensorFlowReference, tmp_path: Path
) -> None:
    """Boxes and scores at the size of the source, as floats with the channels first, and the detections of them."""
    written = onnx_to_opencv(artifact.model, tmp_path / "opencv", parent=artifact)
    report = verify_artifact(written, reference, OPTIONS)
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert {output.name for output in report.outputs} == {"raw_detection_boxes", "raw_detection_scores"}
    assert report.detections is not None
    assert (report.detections.matched > 400, report.detections.errors) == (True, 0)
    model = onnx.load(written.model)
    del model.graph.output[-1]
    onnx.save(model, written.model)
    lost = dataclasses.replace(written, files=(FileRecord.of(written.model, "model"),))
    assert "lacks raw_detection_scores;" in verify_artifact(lost, reference, OPTIONS).judgement.reason
    silent = dataclasses.replace(lost, outputs=written.outputs[:1])
    assert "lacks detection_boxes, " in verify_artifact(silent, reference, OPTIONS).judgement.reason


def test_one_changed_weight_is_found_at_its_node(
    artifact: Artifact, reference: TensorFlowReference, tmp_path: Path
) -> None:
    model = onnx.load(artifact.model)
    node = next(node for node in model.graph.node if node.op_type == "Conv" and node.name.startswith(NODE))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    values = np.array(numpy_helper.to_array(tensor))
    values.flat[np.abs(values).argmax()] *= 1.1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "model.onnx")
    files = (FileRecord.of(tmp_path / "model.onnx", "model"),)
    report = verify_artifact(dataclasses.replace(artifact, folder=tmp_path, files=files), reference, OPTIONS)
    assert report.judgement.verdict == FAIL
    assert report.departure is not None
    assert report.departure.name.startswith(NODE)
    assert f"node {NODE}" in report.departure.where
    assert report.departure.before < 10
    assert report.layers


def test_other_inputs_than_tensorflows_are_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="takes other inputs"):
        TensorFlowReference(model, (), {"pre": "raw"})


def test_the_network_is_what_convolutions_take_and_give() -> None:
    nodes = [
        ("picture", "Sub", []),
        ("resized", "ResizeBilinear", ["picture"]),
        ("conv", "Conv2D", ["resized"]),
        ("relu", "Relu6", ["conv"]),
        ("flat", "Reshape", ["relu"]),
        ("boxes", "Exp", ["flat"]),
    ]
    axes = {"picture": 4, "resized": 4, "conv": 4, "relu": 4, "flat": 3, "boxes": 3}
    assert [name for name, _, _ in network_nodes(nodes, axes)] == ["resized", "conv", "relu"]


def test_a_crop_at_the_border_is_seen_inside_and_outside(tmp_path: Path) -> None:
    """A box that ends where the picture ends: with `crops` the last row comes from the picture in some runs only."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, 8, 8, 1], "image_tensor")
        edge = tf.reduce_max(image)
        box = tf.reshape(tf.stack([edge / 3, edge / 3, edge, edge]), [1, 4])
        tf.identity(tf.image.crop_and_resize(image, box, [0], [4, 4]), "detection_crops")
    path = tmp_path / "frozen.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    picture = {"image_tensor": np.ones((1, 8, 8, 1), np.float32)}
    with closing(IsolatedRunner(path, runtime_of("tf"), Settings())) as runner:
        runs = [runner.moved(picture, 2.0**-23, seed, crops=True)["detection_crops"] for seed in range(8)]
    assert {float(np.rint(run[0, -1, 0, 0])) for run in runs} == {0.0, 1.0}


def test_means_over_a_picture_are_exact_one_behind_the_other(tmp_path: Path) -> None:
    """Of nearly equal numbers TensorFlow's own sums are off in every run alike; here one mean is made of another."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, 128, 128, 8], "image_tensor")
        first = tf.reduce_mean(image, [1, 2], keepdims=True)
        tf.identity(tf.reduce_mean(image * first, [1, 2]), "detection_means")
    path = tmp_path / "frozen.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    picture = np.random.default_rng(0).uniform(1.37, 1.38, (1, 128, 128, 8)).astype(np.float32)
    exact = np.square(picture.astype(np.float64).mean((1, 2)))
    with closing(IsolatedRunner(path, runtime_of("tf"), Settings())) as runner:
        runs = [runner.moved({"image_tensor": picture}, 0.0, exact=told)["detection_means"] for told in (False, True)]
    off = [float(np.abs(run / exact - 1).max()) for run in runs]
    assert off[1] < 3e-7
    assert off[0] > 10 * off[1]


def test_scores_that_are_equal_have_no_order(tmp_path: Path) -> None:
    """Saturated scores are equal in every run of TensorFlow, which takes the first: as right is any other of them."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        logits = tf.compat.v1.placeholder(tf.float32, [1, 8], "image_tensor")
        tf.identity(tf.nn.top_k(tf.sigmoid(logits), 2).indices, "detection_best")
    path = tmp_path / "frozen.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    saturated = {"image_tensor": np.array([[0, 50, 1, 60, 50, 3, 2, 1]], np.float32)}
    apart = {"image_tensor": np.array([[0, 5, 1, 6, 4, 3, 2, 1]], np.float32)}
    with closing(IsolatedRunner(path, runtime_of("tf"), Settings())) as runner:
        ties, none = (
            {tuple(runner.moved(feeds, 0.0, seed, ties=True)["detection_best"][0].tolist()) for seed in range(30)}
            for feeds in (saturated, apart)
        )
    assert ties == {(1, 3), (3, 1), (1, 4), (4, 1), (3, 4), (4, 3)}
    assert none == {(3, 1)}
