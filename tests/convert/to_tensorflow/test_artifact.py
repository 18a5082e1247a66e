"""What `onnx_to_tensorflow` writes: loads without zoo, has named inputs and outputs, is deterministic and silent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.convert.judge import run_onnxruntime
from tests.convert.to_tensorflow.graphs import detector, model, noise
from zoo.base.artifact import Artifact, FileRecord, TensorSpec, read_artifact
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.to_tensorflow import TensorFlowOptions, onnx_to_tensorflow
from zoo.convert.to_tensorflow.backend import quietly, tf

# Runs without zoo: the SavedModel as TensorFlow, Keras and TF Serving's tools load it.
FRESH = """
import sys, numpy as np
sys.modules["zoo"] = None
import tensorflow as tf
folder, feed, outdir = sys.argv[1:4]
images, expected = np.load(feed), np.load(outdir + "/expected.npy")
loaded = tf.saved_model.load(folder)
signature = loaded.signatures["serving_default"]
layer = tf.keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
for batch in (images, images[:1]):
    for found in (loaded(tf.constant(batch))[0], signature(images=tf.constant(batch))["boxes"], layer(batch)["boxes"]):
        assert np.abs(found - expected[: len(batch)]).max() < 1e-5
compiled = tf.function(loaded, jit_compile=True, autograph=False)
assert np.abs(compiled(tf.constant(images))[0] - expected).max() < 1e-5
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(loaded(tf.constant(images))[0])
assert all(np.abs(gradient).max() > 0 for gradient in tape.gradient(loss, list(loaded.weights.values())))
from tensorflow.python.tools import saved_model_cli
where = ["--dir", folder, "--tag_set", "serve", "--signature_def", "serving_default"]
for arguments in (["show", *where], ["run", *where, "--inputs", "images=" + feed, "--outdir", outdir]):
    sys.argv = ["saved_model_cli", *arguments]
    saved_model_cli.main()
assert np.abs(np.load(outdir + "/boxes.npy") - expected).max() < 1e-5
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "toy.onnx"
    onnx.save(detector(), path)
    return path


@pytest.fixture(scope="module")
def artifact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return onnx_to_tensorflow(source, tmp_path_factory.mktemp("tf") / "toy", TensorFlowOptions(tflite=True))


def test_the_manifest_describes_what_lies_there(artifact: Artifact, source: Path) -> None:
    assert read_artifact(artifact.folder) == artifact
    assert artifact.is_intact()
    assert artifact.model == artifact.folder / "saved_model" / "saved_model.pb"
    assert {record.name for record in artifact.files} == {
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.index",
        "saved_model/variables/variables.data-00000-of-00001",
        "model.tflite",
    }
    assert artifact.inputs == (TensorSpec("images", "float32", ("batch", 16, 16, 3)),)
    assert artifact.outputs[0].name == "boxes"
    assert artifact.sources == (FileRecord.of(source, "model"),)
    assert artifact.options["layout"] == "nhwc"


def test_a_fresh_process_without_zoo_gets_the_same_numbers(artifact: Artifact, tmp_path: Path) -> None:
    """As a loaded object, its signature, a Keras layer, under XLA, and by TF Serving's command line; and it trains."""
    images = noise(3, 3, 16, 16)
    np.save(tmp_path / "images.npy", images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "expected.npy", run_onnxruntime(detector(), images)[0])
    arguments = [artifact.model.parent, tmp_path / "images.npy", tmp_path]
    result = subprocess.run([sys.executable, "-c", FRESH, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "inputs['images'] tensor_info:\n      dtype: DT_FLOAT\n      shape: (-1, 16, 16, 3)" in result.stdout
    assert "outputs['boxes']" in result.stdout


def test_converting_twice_gives_the_same_bytes_and_a_silent_terminal(
    artifact: Artifact, source: Path, tmp_path: Path
) -> None:
    """A process of its own: what TensorFlow counts and says depends on what it did before."""
    code = (
        "import sys; from pathlib import Path; from zoo.convert.to_tensorflow import *;"
        "onnx_to_tensorflow(Path(sys.argv[1]), Path(sys.argv[2]), TensorFlowOptions(tflite=True))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "again")], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert read_artifact(tmp_path / "again").files == artifact.files


def test_constants_are_in_the_graph_file(source: Path, tmp_path: Path) -> None:
    """And TensorFlow finds nothing to train; the numbers are the same."""
    artifact = onnx_to_tensorflow(source, tmp_path / "constants", TensorFlowOptions(constants=True))
    assert artifact.options["constants"]
    kernel = onnx.numpy_helper.to_array(onnx.load(source).graph.initializer[0]).transpose(2, 3, 1, 0)
    assert kernel.tobytes() in artifact.model.read_bytes()
    loaded = tf.saved_model.load(str(artifact.model.parent))
    assert not loaded.weights
    images = noise(3, 16, 16, 3)
    expected = run_onnxruntime(detector(), images.transpose(0, 3, 1, 2))[0]
    assert np.abs(loaded(images)[0] - expected).max() < 1e-5
    assert np.abs(loaded.signatures["serving_default"](images=tf.constant(images))["boxes"] - expected).max() < 1e-5


def test_a_parent_manifest_carries_over(source: Path, tmp_path: Path) -> None:
    parent = Artifact(
        folder=source.parent,
        name="toy",
        format="onnx",
        family="darknet",
        sources=(FileRecord("cfg", "toy.cfg", "0" * 64, 3),),
        files=(FileRecord.of(source, "model"),),
        inputs=(TensorSpec("images", "float32", ("batch", 3, 16, 16), "RGB pictures"),),
        outputs=(TensorSpec("boxes", "float32", ("batch", 512, 5), "centre x, y"),),
        detector={"resize": "stretch"},
        labels=("person",),
    )
    made = onnx_to_tensorflow(source, tmp_path / "tf", TensorFlowOptions(layout="nchw"), parent=parent)
    assert (made.family, made.labels, made.sources, made.detector) == (
        "darknet", ("person",), parent.sources, parent.detector,
    )  # fmt: skip
    assert made.inputs == parent.inputs
    assert made.outputs[0].meaning == "centre x, y"


def interpreted(path: Path, images: np.ndarray) -> np.ndarray:
    with quietly():
        interpreter = tf.lite.Interpreter(model_path=str(path))
        runner = interpreter.get_signature_runner("serving_default")
        return np.concatenate([runner(images=image[None])["boxes"] for image in images])


def test_tflite_agrees_at_batch_1(artifact: Artifact) -> None:
    images = noise(2, 3, 16, 16)
    found = interpreted(artifact.folder / "model.tflite", images.transpose(0, 2, 3, 1))
    assert np.abs(found - run_onnxruntime(detector(), images)[0]).max() < 1e-5


def test_tflite_shrinks_to_float16_and_to_int8(artifact: Artifact, source: Path, tmp_path: Path) -> None:
    pictures = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        pictures.append(tmp_path / f"{number}.png")
    images = np.random.default_rng(9).uniform(0, 1, (2, 3, 16, 16)).astype(np.float32)
    expected = run_onnxruntime(detector(), images)[0]
    for options, worst in (
        (TensorFlowOptions(tflite=True, fp16=True), 5e-3),
        (TensorFlowOptions(tflite=True, calibrate=tuple(pictures)), 0.15),
    ):
        made = onnx_to_tensorflow(source, tmp_path / "out", options)
        path = made.folder / "model.tflite"
        with quietly():
            details = tf.lite.Interpreter(model_path=str(path)).get_tensor_details()
        smaller = np.float16 if options.fp16 else np.int8
        assert any(detail["dtype"] == smaller for detail in details)
        assert 1e-6 < np.abs(interpreted(path, images.transpose(0, 2, 3, 1)) - expected).max() < worst
        assert str(tmp_path) not in (made.folder / "artifact.json").read_text()


@pytest.mark.parametrize(
    "options",
    [{"layout": "nhcw"}, {"fp16": True}, {"tflite": True, "calibrate": (Path("none.png"),)}, {"calibrate": ("a",)}],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TensorFlowOptions(**options)  # type: ignore[arg-type]


def test_fp16_and_calibrate_exclude_each_other(source: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        TensorFlowOptions(tflite=True, fp16=True, calibrate=(source,))


def test_a_tflite_of_an_open_size_is_for_the_size_of_the_source(tmp_path: Path) -> None:
    kernel = {"w": noise(4, 3, 3, 3)}
    onnx.save(model([onnx.helper.make_node("Conv", ["x", "w"], ["y"])], {"x": ("n", 3, "h", "w")}, ["y"], kernel),
              tmp_path / "open.onnx")  # fmt: skip
    files = (FileRecord.of(tmp_path / "open.onnx", "model"),)
    resizer = {"resizer": {"kind": "fixed_shape_resizer", "height": "8", "width": "10"}}
    parent = Artifact(tmp_path, "open", "onnx", "tensorflow", files, files, (), (), detector=resizer)
    options = TensorFlowOptions(tflite=True)
    artifact = onnx_to_tensorflow(tmp_path / "open.onnx", tmp_path / "out", options, parent=parent)
    assert artifact.inputs[0].shape == ("n", "h", "w", 3)
    assert artifact.notes == (
        "model.tflite takes pictures of 8 × 10 (height × width), the size that pipeline.config names",
    )
    with quietly():
        interpreter = tf.lite.Interpreter(model_path=str(artifact.folder / "model.tflite"))
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 8, 10, 3]
    assert onnx_to_tensorflow(tmp_path / "open.onnx", tmp_path / "tf", parent=parent).notes == ()


@pytest.mark.parametrize("exists", [True, False])
def test_bad_input_leaves_nothing_behind(tmp_path: Path, exists: bool) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(detector().SerializeToString()[:-100])
    strange = detector()
    strange.graph.node[3].op_type = "Strange"
    onnx.save(strange, tmp_path / "strange.onnx")
    dynamic = model([onnx.helper.make_node("Relu", ["x"], ["y"])], {"x": ("n", 3, "h", "w")}, ["y"])
    onnx.save(dynamic, tmp_path / "dynamic.onnx")
    out = tmp_path / "out"
    if exists:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    for path, error, options in (
        (broken, ConversionError, TensorFlowOptions()),
        (tmp_path / "strange.onnx", ConversionError, TensorFlowOptions()),
        (tmp_path / "dynamic.onnx", ConversionError, TensorFlowOptions(tflite=True)),
    ):
        with pytest.raises(error):
            onnx_to_tensorflow(path, out, options)
        assert ([item.name for item in out.iterdir()] if out.exists() else []) == ["mine.txt"] * exists


def test_names_that_a_signature_cannot_take_are_changed(tmp_path: Path) -> None:
    made = model(
        [onnx.helper.make_node("Relu", ["image_tensor:0"], ["1/out"])], {"image_tensor:0": ("n", 2)}, ["1/out"]
    )
    onnx.save(made, tmp_path / "odd.onnx")
    artifact = onnx_to_tensorflow(tmp_path / "odd.onnx", tmp_path / "out")
    assert [spec.name for spec in (*artifact.inputs, *artifact.outputs)] == ["image_tensor_0", "value_1_out"]
    loaded = tf.saved_model.load(str(artifact.model.parent)).signatures["serving_default"]
    assert loaded(image_tensor_0=tf.constant([[-1.0, 2.0]]))["value_1_out"].numpy().tolist() == [[0.0, 2.0]]
