"""TensorFlow sources become SavedModels of today with the same names and the same numbers."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.schemas import problems_in
from zoo.base.artifact import Artifact, read_artifact
from zoo.base.errors import ConversionError, UsageError
from zoo.catalog import Store
from zoo.convert.to_tensorflow import ReexportOptions, tensorflow_to_tensorflow
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.pipeline.convert import convert
from zoo.pipeline.source import tensorflow_source
from zoo.pipeline.verify import verify
from zoo.verify import Options
from zoo.verify.verdict import PASS


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


def test_what_a_picture_has_several_rows_of_stands_one_after_another(tmp_path: Path) -> None:
    """As the inner results of a detector of two stages, which have a row for each proposal."""

    def run(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = tf.ensure_shape(tf.cast(input_tensor[0, :2, 0], tf.float32), [2, 3])
        return {"detection_boxes": numbers[None], "class_predictions_with_background": numbers}

    spec = tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")
    with quietly():
        tf.saved_model.save(tf.Module(), str(tmp_path / "saved_model"), tf.function(run, input_signature=[spec]))
    artifact = tensorflow_to_tensorflow(tmp_path / "saved_model", tmp_path / "out")
    assert {spec.name: spec.shape for spec in artifact.outputs} == {
        "class_predictions_with_background": ("batch", 3), "detection_boxes": ("batch", 2, 3)
    }  # fmt: skip
    given = pictures(3)
    found = tf.saved_model.load(str(artifact.model.parent)).signatures["serving_default"](tf.constant(given))
    assert (found["class_predictions_with_background"].numpy() == given[:, :2, 0].reshape(6, 3)).all()
    assert (found["detection_boxes"].numpy() == given[:, :2, 0]).all()


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


def test_a_file_of_one_size_says_how_its_source_fits_pictures(tmp_path: Path) -> None:
    """What is around it has to do so; one of any size does it itself."""
    graph = tf.Graph()
    with graph.as_default():
        given = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        resized = tf.raw_ops.ResizeBilinear(images=tf.cast(given, tf.float32), size=[8, 16])
        padded = tf.reshape(tf.pad(resized, [[0, 0], [0, 8], [0, 0], [0, 0]], constant_values=9.0), [-1, 16, 16, 3])
        tf.identity(tf.nn.conv2d(padded, np.ones((3, 3, 3, 4), np.float32), 2, "SAME"), "detection_boxes")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    fixed = tensorflow_to_tensorflow(tmp_path / "graph.pb", tmp_path / "fixed", ReexportOptions(height=30, width=40))
    told = {"resize": "letterbox", "place": "corner", "pad": [9.0, 9.0, 9.0], "coordinates": "asymmetric"}
    assert told.items() <= fixed.detector.items()
    assert not told.keys() & tensorflow_to_tensorflow(tmp_path / "graph.pb", tmp_path / "any").detector.keys()


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


def cut_short(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def a_page(path: Path) -> Path:
    path.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def of_an_unknown_operator(path: Path) -> Path:
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    next(node for node in definition.node if node.op == "Mean").op = "Meen"
    path.write_bytes(definition.SerializeToString())
    return path


def of_a_missing_node(path: Path) -> Path:
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    definition.node.remove(next(node for node in definition.node if node.op == "Mean"))
    path.write_bytes(definition.SerializeToString())
    return path


@pytest.mark.parametrize("spoiled", [cut_short, a_page, empty, of_an_unknown_operator, of_a_missing_node])
def test_a_bad_frozen_graph_is_a_conversion_error(
    spoiled: Callable[[Path], Path], frozen: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=re.escape(str(tmp_path))):
        tensorflow_to_tensorflow(spoiled(frozen), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["variables.index", "variables.data-00000-of-00001"])
def test_a_saved_model_without_its_variables_is_a_conversion_error(
    missing: str, for_one_picture: Path, tmp_path: Path
) -> None:
    (for_one_picture / "variables" / missing).unlink()
    with pytest.raises(ConversionError, match=re.escape(str(for_one_picture))):
        tensorflow_to_tensorflow(for_one_picture, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def extracted(name: str, data: Path, folder: Path) -> Path:
    with tarfile.open(data / "models" / "tf" / f"{name}.tar.xz") as archive:
        archive.extractall(folder / "source", filter="data")
    return folder / "source"


def of_the_new_one(artifact: Artifact, images: np.ndarray) -> dict[str, np.ndarray]:
    signature = tf.saved_model.load(str(artifact.model.parent)).signatures["serving_default"]
    found = signature(**{artifact.inputs[0].name: tf.constant(images)})
    return {name: tensor.numpy() for name, tensor in found.items()}


def test_a_zoo_frozen_graph_gives_what_a_session_of_tensorflow_1_gives(data: Path, tmp_path: Path) -> None:
    """Bit by bit but for the order of summing: the graph is the same."""
    source = extracted("s_faster_rcnn_inception_v2", data, tmp_path)
    artifact = tensorflow_to_tensorflow(source, tmp_path / "out")
    assert artifact.detector["first_class"] == 1
    images = np.load(next(source.rglob("golden.npz")))["in_a"]
    found = of_the_new_one(artifact, images)
    graph = tf.Graph()
    with graph.as_default():
        content = next(source.rglob("frozen_inference_graph.pb")).read_bytes()
        tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(content), name="")
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run({key: f"{key}:0" for key in found}, {"image_tensor:0": images})
    assert {"detection_boxes", "detection_scores", "detection_classes", "num_detections"} <= set(found)
    for key, array in expected.items():
        assert np.abs(found[key] - array).max() <= 1e-5 * np.abs(array).max(), key


def test_a_zoo_saved_model_answers_for_every_picture_of_a_batch(data: Path, tmp_path: Path) -> None:
    """As the original answers for each alone."""
    source = extracted("s_tf2_ssd_mobilenet_v2_fpnlite", data, tmp_path)
    artifact = tensorflow_to_tensorflow(source, tmp_path / "out", ReexportOptions(batch=2))
    assert artifact.inputs[0].shape == (2, "height", "width", 3)
    images = np.load(next(source.rglob("golden.npz")))["in_c"]
    found = of_the_new_one(artifact, images)
    original = tf.saved_model.load(str(next(source.rglob("saved_model.pb")).parent)).signatures["serving_default"]
    for place in range(2):
        expected = original(tf.constant(images[place : place + 1]))
        assert set(expected) == set(found)
        for key, tensor in expected.items():
            assert np.abs(found[key][place] - tensor[0]).max() <= 1e-5 * np.abs(tensor).max(), key


@pytest.mark.slow
def test_zoo_verify_passes_an_ssd_that_did_not_go_through_onnx(data: Path, tmp_path: Path) -> None:
    """End to end: converted, and judged against TensorFlow 1's way of running the source."""
    source = tensorflow_source(extracted("s_ssd_mobilenet_v1", data, tmp_path), name="ssd")
    store = Store(tmp_path / "store")
    (report,) = verify(source, ("tf",), options=Options(speed="none", threads=1), store=store)
    assert report.judgement.verdict == PASS, report.judgement.reason
    (artifact,) = convert(source, ("tf",), store=store)
    assert artifact.notes[0] == "written from the TensorFlow source itself, not through ONNX"
    assert artifact.verdicts and list(problems_in(store.root)) == []
