"""The writer as a user meets it: `zoo convert … --to tf`, its options, its silence and its refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

import zoo.cli.main as entry
from tests.convert.judge import run_onnxruntime
from tests.convert.to_tensorflow.graphs import Array, detector, model, noise
from zoo.base.artifact import read_artifact
from zoo.convert.to_tensorflow import module_from_onnx
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.shapes.draw import draw_scene
from zoo.shapes.evaluate import evaluate

node = helper.make_node


def in_a_shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`zoo ARGUMENTS` as a process of its own, TensorFlow's first words included."""
    code = "from zoo.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`zoo ARGUMENTS` in this process; the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            entry.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code

    return run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    onnx.save(detector(), tmp_path / "toy.onnx")
    return tmp_path / "toy.onnx"


def interpreter(path: Path) -> Any:
    with quietly():
        return tf.lite.Interpreter(model_path=str(path), num_threads=1)


def test_an_int8_file_from_a_folder_of_pictures_still_detects(tmp_path: Path) -> None:
    """Nothing but the path reaches the terminal; the float32 model has an mAP of 0.999."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(20):
        Image.fromarray(draw_scene(seed).pixels).save(pictures / f"{seed}.png")
    options = ["--to", "tf", "--tflite", "--calibrate", pictures, "--layout", "nchw", "--out", tmp_path / "out"]
    shown = in_a_shell("convert", "shapes-tiny", *options)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == f"{tmp_path / 'out' / 'saved_model' / 'saved_model.pb'}\n"
    artifact = read_artifact(tmp_path / "out")
    assert artifact.inputs[0].shape == ("batch", 3, 160, 160)
    assert artifact.options == {
        "layout": "nchw",
        "constants": False,
        "tflite": True,
        "fp16": False,
        "calibrate": ["pictures"],
    }
    runner = interpreter(artifact.folder / "model.tflite").get_signature_runner("serving_default")

    def detect(images: Array) -> tuple[Array, Array]:
        results = [runner(images=image[None]) for image in images]
        boxes, scores = (np.concatenate([result[name] for result in results]) for name in ("boxes", "scores"))
        return boxes, scores

    assert evaluate(detect, pictures=50).mean > 0.95


def test_float16_halves_the_file(
    toy: Path, tmp_path: Path, zoo: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert zoo("convert", toy, "--to", "tflite", "--fp16", "--out", tmp_path / "out") == 0
    assert capfd.readouterr().out == f"{tmp_path / 'out' / 'model.tflite'}\n"
    weights = {str(detail["dtype"]) for detail in interpreter(tmp_path / "out" / "model.tflite").get_tensor_details()}
    assert str(np.float16) in weights


def test_verbose_shows_what_tensorflow_says(toy: Path, tmp_path: Path) -> None:
    shown = in_a_shell("convert", toy, "--to", "tf", "-v", "--out", tmp_path / "out")
    assert shown.returncode == 0
    assert shown.stderr
    assert shown.stdout == f"{tmp_path / 'out' / 'saved_model' / 'saved_model.pb'}\n"


def saved(made: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def truncated(path: Path) -> Path:
    path.write_bytes(detector().SerializeToString()[:-100])
    return path


def cyclic(path: Path) -> Path:
    made = detector()
    made.graph.node[2].input[0] = "u1"
    return saved(made, path)


def without_a_weight(path: Path) -> Path:
    made = detector()
    del made.graph.initializer[0]
    return saved(made, path)


def with_data_outside(path: Path) -> Path:
    made = detector()
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    (path.parent.parent / "secret").write_bytes(bytes(4 * 8 * 27))
    return saved(made, path)


def from_the_future(path: Path) -> Path:
    made = detector()
    made.opset_import[0].version = 999
    return saved(made, path)


def with_an_unknown_operator(path: Path) -> Path:
    made = detector()
    made.graph.node[3].op_type = "Strange"
    return saved(made, path)


def of_wrong_shapes(path: Path) -> Path:
    made = detector()
    made.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(noise(8, 5, 3, 3), "w0"))
    return saved(made, path)


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        (truncated, "not a whole ONNX model"),
        (cyclic, "the graph has a cycle"),
        (without_a_weight, "node 0 (Conv 'layer_0_convolutional') needs 'w0', which no input, initializer or node"),
        (with_data_outside, "outside the model's folder"),
        (from_the_future, "opset 999"),
        (with_an_unknown_operator, "no operator for node 3 (Strange)"),
        (of_wrong_shapes, "node 0 (Conv 'layer_0_convolutional')"),
    ],
)
def test_a_bad_file_is_exit_4_with_a_reason_and_nothing_written(
    spoiled: Callable[[Path], Path],
    words: str,
    tmp_path: Path,
    zoo: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").mkdir()
    path = spoiled(tmp_path / "in" / "bad.onnx")
    assert zoo("convert", path, "--to", "tf", "--tflite", "--out", tmp_path / "out") == 4
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("zoo: ") and str(path) in shown.err and words in shown.err
    assert not (tmp_path / "out").exists()


def with_a_broken_picture(folder: Path) -> Iterator[object]:
    (folder / "broken.png").write_bytes(b"no picture")
    yield from ("--tflite", "--calibrate", folder / "broken.png")


def with_an_empty_folder(folder: Path) -> Iterator[object]:
    (folder / "empty").mkdir()
    yield from ("--tflite", "--calibrate", folder / "empty")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda _: ["--fp16"], "ask for tflite as well"),
        (lambda folder: ["--tflite", "--calibrate", folder / "none.png"], "no picture to calibrate with is there"),
        (with_a_broken_picture, "broken.png is no picture"),
        (with_an_empty_folder, "no picture to calibrate with is there"),
    ],
)
def test_options_that_cannot_be_met_are_exit_2_with_nothing_written(
    options: Callable[[Path], Any],
    words: str,
    toy: Path,
    tmp_path: Path,
    zoo: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert zoo("convert", toy, "--to", "tf", *options(tmp_path), "--out", tmp_path / "out") == 2
    assert words in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_tflite_lacks_is_named(tmp_path: Path, zoo: Callable[..., int], capfd: pytest.CaptureFixture[str]) -> None:
    made = model([node("Det", ["x"], ["y"])], {"x": ("n", 2, 2)}, ["y"])
    path = saved(made, tmp_path / "odd.onnx")
    assert zoo("convert", path, "--to", "tf", "--tflite", "--out", tmp_path / "out") == 4
    assert "TensorFlow cannot write the model as TFLite: TFLite has no MatrixDeterminant" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ten_thousand_nodes_deep() -> None:
    nodes = [node("Sin", [f"v{place}"], [f"v{place + 1}"]) for place in range(10_000)]
    made = model(nodes, {"v0": (1, 2)}, ["v10000"])
    given = noise(1, 2)
    assert np.abs(module_from_onnx(made)(given)[0].numpy() - run_onnxruntime(made, given)[0]).max() < 1e-6
