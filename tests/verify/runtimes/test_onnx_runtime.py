"""ONNX Runtime as a runner: what it takes and gives, where it really ran, and what it refuses."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.verify import tiny
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.verify.inputs import make_samples, stack
from zoo.verify.runtimes import onnx_runtime
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.runtimes.table import format_of, load_on, load_runner

CPU = Settings()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tiny.detector(), tmp_path_factory.mktemp("tiny")).model


def test_inputs_outputs_and_device(model: Path) -> None:
    with closing(load_runner(model, "onnx", CPU)) as runner:
        assert runner.inputs == tiny.INPUTS
        assert [(spec.name, spec.dtype, spec.shape) for spec in runner.outputs] == [
            (spec.name, spec.dtype, spec.shape) for spec in tiny.OUTPUTS
        ]
        assert runner.device == "cpu"
        assert runner.runtime == f"onnxruntime {onnxruntime.__version__}"
        assert runner.memory()["host"] > 1e6


def test_a_batch_gives_what_its_samples_give(model: Path) -> None:
    samples = make_samples(tiny.INPUTS, 0)[:2]
    with closing(load_runner(model, "onnx", CPU)) as runner:
        together = runner.run(stack(samples))
        alone = [runner.run(sample.feeds) for sample in samples]
    assert list(together) == ["boxes", "scores"]
    for name, array in together.items():
        np.testing.assert_allclose(array, np.concatenate([one[name] for one in alone]), rtol=1e-5)


def test_bound_runs_give_the_same(model: Path) -> None:
    feeds = make_samples(tiny.INPUTS, 0)[0].feeds
    with closing(onnx_runtime.load(model, CPU)) as runner:
        call, outputs = runner.bind(feeds)
        call()
        for name, array in outputs().items():
            np.testing.assert_array_equal(array, runner.run(feeds)[name])


def test_placement_counts_the_nodes_that_ran(model: Path) -> None:
    with closing(onnx_runtime.load(model, CPU)) as runner:
        placement = runner.placement(make_samples(tiny.INPUTS, 0)[0].feeds)
    assert list(placement) == ["CPUExecutionProvider"]
    assert sum(count for operator, count in placement["CPUExecutionProvider"].items() if "Conv" in operator) == 3


def test_a_gpu_that_this_build_does_not_have_is_missing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingBackend, match="built without CUDA") as caught:
        load_runner(model, "onnx", Settings("cuda"))
    assert "detector-zoo[gpu]" in caught.value.hint


def test_a_silent_fall_back_to_the_cpu_is_missing_with_the_library_s_words(
    model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The build for CUDA on a machine without it: claims the provider, writes to stderr, gives a CPU session."""
    real = onnxruntime.InferenceSession
    asked: list[Any] = []

    def session(path: str, options: Any, providers: Any, **told: Any) -> Any:
        asked.append(providers)
        os.write(2, b"[E:onnxruntime] libcublasLt.so.13: cannot open shared object file\n")  # as native code does
        return real(path, options, providers=["CPUExecutionProvider"], **told)

    fake = SimpleNamespace(**{name: getattr(onnxruntime, name) for name in ("SessionOptions", "__version__")})
    fake.InferenceSession = session
    fake.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    fake.preload_dlls = lambda: print("Failed to load libcudart.so.13")
    monkeypatch.setattr(onnx_runtime, "require", lambda module, purpose: fake)
    with pytest.raises(MissingBackend, match=r"fell back to the CPU: (.|\n)*libcudart(.|\n)*libcublasLt.so.13"):
        load_runner(model, "onnx", Settings("cuda:1"))
    assert capfd.readouterr() == ("", "")
    provider, options = asked[0][0]
    assert (provider, options["device_id"], options["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")
    with closing(load_on(model, "onnx", "auto", CPU)) as runner:
        assert runner.device == "cpu"


def test_a_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    for name, content in {"empty": b"", "html": b"<html>", "noise": bytes(range(256)) * 4}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(VerificationError, match=f"{name}.onnx: ONNX Runtime"):
            load_runner(path, "onnx", CPU)


@pytest.mark.parametrize("place", ["node", "input"])
def test_a_name_that_is_not_utf8_is_refused_and_nothing_is_printed(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Such an error ONNX Runtime takes for one of the device: it would announce on stdout that it tries another."""
    given, name = ("NAME", "abs") if place == "input" else ("x", "NAME")
    x, y = (helper.make_tensor_value_info(value, TensorProto.FLOAT, [1]) for value in (given, "y"))
    node = helper.make_node("Unknown" if place == "node" else "Abs", [given], ["y"], name=name)
    made = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    path = tmp_path / "odd.onnx"
    path.write_bytes(made.SerializeToString().replace(b"NAME", b"K\xf6ln"))
    with pytest.raises(VerificationError, match=r"odd\.onnx: .*utf-8"):
        load_runner(path, "onnx", CPU)
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_is_reported_in_words(model: Path) -> None:
    with closing(load_runner(model, "onnx", CPU)) as runner, pytest.raises(VerificationError, match="the run ends"):
        runner.run({"images": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize(
    "settings",
    [{"device": "tpu"}, {"device": "cpu:1"}, {"device": "cuda:x"}, {"precision": "int8"}, {"threads": 0}],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**settings)


def test_tf32_exists_on_gpus_only(model: Path) -> None:
    with pytest.raises(UsageError, match="tf32 on cpu"):
        load_runner(model, "onnx", Settings(precision="tf32"))


def test_unknown_formats_and_files(model: Path) -> None:
    assert format_of(model) == "onnx"
    with pytest.raises(UsageError, match=r"known are .*\.onnx"):
        format_of(Path("model.xyz"))
    with pytest.raises(UsageError, match="caffe"):
        load_runner(model, "caffe", CPU)
