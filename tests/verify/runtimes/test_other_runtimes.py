"""PyTorch, TensorFlow, TFLite and OpenCV as runners, on the tiny detector as zoo's own writers write it."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch

from tests.verify import tiny
from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.convert.to_tensorflow.artifact import TensorFlowOptions, onnx_to_tensorflow
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.pipeline.verify import read_model
from zoo.verify import Options, verify_artifact
from zoo.verify.inputs import as_inputs, make_samples, stack
from zoo.verify.runtimes.protocol import Settings, declared
from zoo.verify.runtimes.table import format_of, load_runner
from zoo.verify.verdict import FAIL, PASS

SETTINGS = Settings()
QUICK = Options(speed="none", threads=1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return tiny.write(tiny.detector(), tmp_path_factory.mktemp("hub"), (tiny.SOURCE,))


@pytest.fixture(scope="module")
def torch_artifact(hub: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return onnx_to_torch(hub.model, tmp_path_factory.mktemp("torch"), parent=hub)


@pytest.fixture(scope="module")
def tf_artifact(hub: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return onnx_to_tensorflow(hub.model, tmp_path_factory.mktemp("tf"), TensorFlowOptions(tflite=True), parent=hub)


def agrees_with_onnx_runtime(model: Path, format: str, hub: Artifact, batch: int) -> None:
    feeds = stack(make_samples(tiny.INPUTS, 0)[:batch])
    with closing(load_runner(hub.model, "onnx", SETTINGS)) as runner:
        expected = runner.run(feeds)
    with closing(load_runner(model, format, SETTINGS)) as runner:
        assert runner.device == "cpu"
        found = runner.run(as_inputs(feeds, runner.inputs))
        call, outputs = runner.bind(as_inputs(feeds, runner.inputs))
        call()
        again = {name: array.copy() for name, array in outputs().items()}
        assert runner.memory()["host"] > 1e6
        assert {spec.name: spec.dtype for spec in runner.outputs} == {"boxes": "float32", "scores": "float32"}
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(again[name], array, rtol=1e-4, atol=1e-6)


def test_pytorch_exported(torch_artifact: Artifact, hub: Artifact) -> None:
    assert torch_artifact.model.suffix == ".pt2"
    agrees_with_onnx_runtime(torch_artifact.model, "torch", hub, 2)


def test_pytorch_source(hub: Artifact, tmp_path: Path) -> None:
    artifact = onnx_to_torch(hub.model, tmp_path, TorchOptions(export=False), parent=hub)
    assert artifact.model.name == "model.py"
    agrees_with_onnx_runtime(artifact.model, "torch", hub, 2)
    artifact.model.write_text(artifact.model.read_text() + "\nraise SystemExit('this must not run')\n")
    with pytest.raises(VerificationError, match="not run"):
        load_runner(artifact.model, "torch", SETTINGS)


def test_pytorch_takes_one_thread_beside_other_work_but_not_while_it_is_timed(torch_artifact: Artifact) -> None:
    feeds = stack(make_samples(tiny.INPUTS, 0)[:1])
    with closing(load_runner(torch_artifact.model, "torch", Settings(threads=2, shared=True))) as runner:
        timed, _ = runner.bind(feeds)
        runner.run(feeds)
        assert torch.get_num_threads() == 1
        timed()
        assert torch.get_num_threads() == 2
        runner.run(feeds)
        assert torch.get_num_threads() == 1


SUPPRESSION = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 6, 4] boxes, float[1, 1, 6] scores) => (int64[n, 3] kept) {
  most = Constant <value = int64[1] {3}> ()
  overlap = Constant <value = float[1] {0.5}> ()
  twice = Add (scores, scores)
  kept = NonMaxSuppression (boxes, twice, most, overlap)
}"""


def test_the_tensors_of_a_program_with_a_loop_are_seen_around_it(tmp_path: Path) -> None:
    (tmp_path / "nms.onnx").write_bytes(onnx.parser.parse_model(SUPPRESSION).SerializeToString())
    artifact = onnx_to_torch(tmp_path / "nms.onnx", tmp_path / "torch")
    with zipfile.ZipFile(artifact.model) as program:
        graph = next(program.read(name) for name in program.namelist() if name.endswith("model.json"))
    assert b"while_loop" in graph
    scores = np.linspace(0, 0.4, 6, dtype=np.float32).reshape(1, 1, 6)
    with closing(load_runner(artifact.model, "torch", SETTINGS)) as runner:
        found = runner.tensors({"boxes": np.ones((1, 6, 4), np.float32), "scores": scores})
    assert any(np.array_equal(value, 2 * scores) for value in found.values())


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def exported(folder: Path, **dynamic: object) -> Artifact:
    """A program of one input, of which the manifest says that it takes any batch, height and width."""
    program = torch.export.export(Doubled(), (torch.zeros(2, 6, 8, 3),), **dynamic)  # type: ignore[arg-type]
    program.example_inputs = None
    torch.export.save(program, folder / "model.pt2")
    specs = (TensorSpec("x", "float32", ("batch", "height", "width", 3)),)
    files = (FileRecord.of(folder / "model.pt2", "model"),)
    artifact = Artifact(folder, "doubled", "torch", "onnx", files, files, specs, specs)
    artifact.write()
    return artifact


@pytest.mark.slow
def test_an_exported_program_tells_the_sizes_that_it_has_fixed(tmp_path: Path) -> None:
    with closing(load_runner(exported(tmp_path).model, "torch", SETTINGS)) as runner:
        assert runner.inputs[0].shape == (2, 6, 8, 3)
    batch = torch.export.Dim("batch", min=1, max=64)
    with closing(load_runner(exported(tmp_path, dynamic_shapes=({0: batch},)).model, "torch", SETTINGS)) as runner:
        assert runner.inputs[0].shape == ("batch", 6, 8, 3)


@pytest.mark.parametrize("verbose", [False, True])
def test_what_a_reader_says_is_shown_only_if_asked(
    verbose: bool, torch_artifact: Artifact, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """PyTorch warns of every loop of a program that it reads."""
    read = torch.export.load

    def talking(path: Path) -> object:
        os.write(2, b"W1122 serialize.py] Symbol u0 did not appear in the graph\n")
        return read(path)

    monkeypatch.setattr(torch.export, "load", talking)
    monkeypatch.setenv("ZOO_VERBOSE", "1" if verbose else "")
    with closing(load_runner(torch_artifact.model, "torch", SETTINGS)):
        assert ("Symbol u0" in capfd.readouterr().err) is verbose


def test_pytorch_needs_the_manifest_for_names(torch_artifact: Artifact, tmp_path: Path) -> None:
    bare = tmp_path / "model.pt2"
    bare.write_bytes(torch_artifact.model.read_bytes())
    assert declared(bare) == ((), ())
    with pytest.raises(UsageError, match="names its inputs"):
        load_runner(bare, "torch", SETTINGS)


@pytest.mark.slow
def test_tensorflow_channels_last(tf_artifact: Artifact, hub: Artifact) -> None:
    assert tf_artifact.inputs[0].shape == ("batch", 16, 16, 3)
    agrees_with_onnx_runtime(tf_artifact.model, "tf", hub, 2)


def test_tflite(tf_artifact: Artifact, hub: Artifact) -> None:
    agrees_with_onnx_runtime(tf_artifact.folder / "model.tflite", "tflite", hub, 1)


def test_opencv(hub: Artifact) -> None:
    agrees_with_onnx_runtime(hub.model, "opencv", hub, 2)


def test_a_whole_verification_of_each_format(hub: Artifact, torch_artifact: Artifact) -> None:
    reference = tiny.TinyReference(tiny.detector())
    for artifact in (torch_artifact, dataclasses.replace(hub, format="opencv")):
        report = verify_artifact(artifact, reference, QUICK, hub=hub)
        assert report.judgement.verdict == PASS, report.judgement.reason
        assert report.batches == (1, 3)


def test_a_fixed_batch_is_the_only_one(tf_artifact: Artifact) -> None:
    reference = dataclasses.replace(tiny.TinyReference(tiny.detector()), from_source=False)
    artifact = read_model(tf_artifact.folder / "model.tflite")
    assert artifact.format == "tflite"
    report = verify_artifact(artifact, reference, QUICK)
    assert (report.judgement.verdict, report.batches) == (PASS, (1,))
    with pytest.raises(UsageError, match="batches of 1 only"):
        verify_artifact(artifact, reference, dataclasses.replace(QUICK, batches=(4,)))


@pytest.mark.parametrize(("name", "format"), [("m.pt2", "torch"), ("m.tflite", "tflite"), ("m.onnx", "opencv")])
def test_damaged_files_are_refused(name: str, format: str, tmp_path: Path, torch_artifact: Artifact) -> None:
    path = tmp_path / name
    path.write_bytes(b"<html>not found</html>")
    if format == "torch":  # its names are needed before the file is opened
        dataclasses.replace(
            torch_artifact, folder=tmp_path, files=(dataclasses.replace(torch_artifact.files[0], name=name),)
        ).write()
    with pytest.raises(VerificationError, match=name):
        load_runner(path, format, SETTINGS)


def test_a_damaged_tflite_is_refused_and_ends_no_process(tf_artifact: Artifact, tmp_path: Path) -> None:
    """Opened by its path, most of these end the process with SIGSEGV."""
    whole = (tf_artifact.folder / "model.tflite").read_bytes()
    path, random = tmp_path / "m.tflite", np.random.default_rng(0)
    for cut in (0, 3, 100, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:cut])
        with pytest.raises(VerificationError, match=r"m\.tflite: TFLite .* refuses the model") as caught:
            load_runner(path, "tflite", SETTINGS)
        assert "damaged or cut short" in caught.value.hint
    for _ in range(20):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 40):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        with suppress(VerificationError), closing(load_runner(path, "tflite", SETTINGS)) as runner:
            assert runner.inputs


@pytest.mark.parametrize("format", ["torch", pytest.param("tf", marks=pytest.mark.slow), "tflite", "opencv"])
def test_a_gpu_that_is_not_here_is_missing(
    format: str, torch_artifact: Artifact, tf_artifact: Artifact, hub: Artifact
) -> None:
    models = {"torch": torch_artifact.model, "tf": tf_artifact.model, "tflite": tf_artifact.model, "opencv": hub.model}
    with pytest.raises(MissingBackend, match="cuda:63 was asked for"):
        load_runner(models[format], format, Settings("cuda:63"))


def test_a_crash_of_the_child_is_a_failed_verdict(hub: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is ended while it loads, as by a segmentation fault of a native library."""
    monkeypatch.setenv("PYTHONPATH", str(hub.folder))
    (hub.folder / "cv2.py").write_text("import os, signal, sys\nprint('boom', file=sys.stderr, flush=True)\n"
                                       "os.kill(os.getpid(), signal.SIGSEGV)\n")  # fmt: skip
    try:
        report = verify_artifact(dataclasses.replace(hub, format="opencv"), tiny.TinyReference(tiny.detector()), QUICK)
    finally:
        (hub.folder / "cv2.py").unlink()
    assert report.judgement.verdict == FAIL
    assert "ended by SIGSEGV: boom" in report.judgement.reason


def test_formats_by_name(tf_artifact: Artifact) -> None:
    assert format_of(Path("a.pt2")) == "torch"
    assert format_of(Path("a.tflite")) == "tflite"
    assert format_of(tf_artifact.folder / "saved_model") == "tf"
