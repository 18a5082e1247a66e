"""TensorFlow sources become SavedModels of today with the same names and the same numbers."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from zoo.base.artifact import read_artifact
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.to_tensorflow import ReexportOptions, tensorflow_to_tensorflow
from zoo.convert.to_tensorflow.backend import quietly, tf


def network(pictures: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """[N, 2]: a number for each picture that depends on every pixel, and how large it is."""
    numbers = tf.cast(pictures, tf.float32)
    height = tf.cast(tf.shape(pictures)[1], tf.float32)
    means = tf.reduce_mean(numbers, [1, 2, 3]) * weight
    return tf.stack([means, tf.fill(tf.shape(means), height)], 1)


def pictures(batch: int, size: int = 6) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (batch, size, size + 2, 3), np.uint8)


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A frozen graph of TensorFlow 1 with the names of the Object Detection API."""
    graph = tf.Graph()
    with graph.as_default():
        given = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        tf.identity(network(given, tf.constant(2.0)), "detection_boxes")
    path = tmp_path / "frozen_inference_graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.fixture
def for_one_picture(tmp_path: Path) -> Path:
    """A SavedModel of TensorFlow 2 as its zoo has them: for batch 1, and blind for any further picture."""
    module = tf.Module()
    module.weight = tf.Variable(2.0)

    def run(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"detection_boxes": network(input_tensor[:1], module.weight)}

    spec = tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")
    with quietly():
        tf.saved_model.save(module, str(tmp_path / "saved_model"), tf.function(run, input_signature=[spec]))
    return tmp_path / "saved_model"


def test_a_frozen_graph_keeps_names_numbers_and_dynamic_sizes(frozen: Path, tmp_path: Path) -> None:
    artifact = tensorflow_to_tensorflow(frozen, tmp_path / "out", name="toy")
    assert read_artifact(tmp_path / "out") == artifact
    assert artifact.is_intact()
    assert artifact.notes == ("written from the TensorFlow source itself, not through ONNX",)
    assert artifact.inputs[0].shape == ("batch", "height", "width", 3)
    assert artifact.sources[0].role == "graph"
    signature = tf.saved_model.load(str(artifact.model.parent)).signatures["serving_default"]
    for given in (pictures(1), pictures(3, 9)):
        found = signature(image_tensor=tf.constant(given))["detection_boxes"]
        assert np.allclose(found, network(tf.constant(given), tf.constant(2.0)))


def test_a_model_for_one_picture_answers_for_each_of_a_batch(for_one_picture: Path, tmp_path: Path) -> None:
    artifact = tensorflow_to_tensorflow(for_one_picture, tmp_path / "out")
    assert "each picture of a batch runs by itself" in artifact.notes[1]
    loaded = tf.saved_model.load(str(artifact.model.parent))
    found = loaded.signatures["serving_default"](input_tensor=tf.constant(pictures(3)))["detection_boxes"]
    assert np.allclose(found, network(tf.constant(pictures(3)), tf.constant(2.0)))
    assert len(loaded.signatures["serving_default"].variables) == 1


def test_batch_and_size_are_fixed_as_asked(for_one_picture: Path, tmp_path: Path) -> None:
    options = ReexportOptions(batch=2, height=6, width=8)
    artifact = tensorflow_to_tensorflow(for_one_picture, tmp_path / "out", options)
    assert artifact.inputs[0].shape == (2, 6, 8, 3)
    assert artifact.outputs[0].shape == (2, 2)
    one = tensorflow_to_tensorflow(for_one_picture, tmp_path / "one", ReexportOptions(batch=1))
    assert one.inputs[0].shape == (1, "height", "width", 3)
    assert len(one.notes) == 1
    with pytest.raises(UsageError, match="takes height 6 only, not 7"):
        tensorflow_to_tensorflow(artifact.model.parent, tmp_path / "two", ReexportOptions(height=7))


def test_bad_sources_leave_nothing_behind(for_one_picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConversionError, match="no signature 'other'"):
        tensorflow_to_tensorflow(for_one_picture, out, ReexportOptions(signature="other"))
    graph = for_one_picture / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-50])
    with pytest.raises(ConversionError):
        tensorflow_to_tensorflow(for_one_picture, out)
    with pytest.raises(ConversionError):
        tensorflow_to_tensorflow(tmp_path / "missing.pb", out)
    with pytest.raises(UsageError):
        ReexportOptions(batch=0)
    assert not out.exists()


def test_a_zoo_ssd_agrees_with_the_recorded_run(data: Path, tmp_path: Path) -> None:
    """TensorFlow ran the same graph on another machine: what differs is its order of summing float32."""
    with tarfile.open(data / "models" / "tf" / "s_ssd_mobilenet_v1.tar.xz") as archive:
        archive.extractall(tmp_path / "source", filter="data")
    artifact = tensorflow_to_tensorflow(tmp_path / "source", tmp_path / "out")
    assert artifact.detector["first_class"] == 1
    signature = tf.saved_model.load(str(artifact.model.parent)).signatures["serving_default"]
    golden = np.load(next((tmp_path / "source").rglob("golden.npz")))
    found = signature(image_tensor=tf.constant(golden["in_a"]))
    for name in ("raw_detection_boxes", "raw_detection_scores", "detection_scores", "num_detections"):
        recorded = golden[f"out_a_{name}"]
        assert found[name].shape == recorded.shape
        assert np.abs(found[name] - recorded).max() < 5e-4 * np.abs(recorded).max()
