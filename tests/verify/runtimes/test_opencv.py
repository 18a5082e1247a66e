"""The OpenCV runtime beyond what all runtimes share: which build has CUDA, and on which engine it can be used."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from tests.verify import tiny
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.verify.inputs import make_samples
from zoo.verify.runtimes import opencv
from zoo.verify.runtimes.protocol import Settings

MODEL = Path("model.onnx")


class Net:
    """Records what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.setPreferableBackend = self.setPreferableTarget = self.told.append


def build(targets: list[int], devices: int, net: Net, **engines: int) -> SimpleNamespace:
    """An OpenCV as far as the runtime asks it about CUDA."""

    def read(path: str, *engine: int) -> Net:
        net.told += [Path(path), *engine]
        return net

    constants = {"DNN_BACKEND_CUDA": 5, "DNN_TARGET_CUDA": 6, "DNN_TARGET_CUDA_FP16": 7, **engines}
    dnn = SimpleNamespace(getAvailableTargets=lambda backend: targets, readNetFromONNX=read, **constants)
    cuda = SimpleNamespace(
        getCudaEnabledDeviceCount=lambda: devices, setDevice=lambda index: net.told.append(("on", index))
    )
    return SimpleNamespace(dnn=dnn, cuda=cuda, __version__="5.0.0", error=RuntimeError)


def test_the_published_build_has_no_cuda() -> None:
    with pytest.raises(MissingBackend, match="this OpenCV build has no CUDA") as caught:
        opencv.load(MODEL, Settings("cuda"))
    assert caught.value.exit_code == 5


def test_a_gpu_that_the_build_cannot_see_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "require", lambda *_: build([6], 1, Net()))
    with pytest.raises(MissingBackend, match="OpenCV sees 1 GPUs"):
        opencv.load(MODEL, Settings("cuda:1"))


@pytest.mark.parametrize(("precision", "target"), [("fp32", 6), ("fp16", 7)])
def test_cuda_runs_on_the_classic_engine(precision: str, target: int) -> None:
    net = Net()
    opencv._net(build([6, 7], 2, net, ENGINE_CLASSIC=1), MODEL, Settings("cuda:1", precision), "")
    assert net.told == [MODEL, 1, ("on", 1), 5, target]


@pytest.mark.parametrize(("engine", "told"), [("classic", [1]), ("new", []), ("ENGINE_CLASSIC", [])])
def test_the_engine_is_the_one_that_the_description_names(engine: str, told: list[int], tmp_path: Path) -> None:
    net, model = Net(), tmp_path / "model.onnx"
    (tmp_path / "detector.json").write_text(json.dumps({"engine": engine}))
    opencv._net(build([], 0, net, ENGINE_CLASSIC=1), model, Settings(), opencv._engine(model))
    assert net.told == [model, *told]


@pytest.mark.parametrize("content", ["[", "[1]"])
def test_a_broken_description_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "detector.json").write_text(content)
    with pytest.raises(VerificationError, match=r"detector.json is no description"):
        opencv._engine(tmp_path / "model.onnx")


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(UsageError, match="fp16"):
        opencv.load(MODEL, Settings(precision="fp16"))


def test_inner_tensors_come_from_the_same_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    artifact = tiny.write(tiny.detector(), tmp_path)
    artifact.model.with_name("detector.json").write_text('{"engine": "classic"}')
    engines: list[str] = []
    real = opencv._net

    def opened(cv2: Any, path: Path, settings: Settings, engine: str) -> Any:
        engines.append(engine)
        return real(cv2, path, settings, engine)

    monkeypatch.setattr(opencv, "_net", opened)
    with closing(opencv.load(artifact.model, Settings())) as runner:
        assert runner.tensors(make_samples(tiny.INPUTS, 0)[0].feeds)
    assert engines == ["classic", "classic"]


SWISH = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 3, 4, 4] x) => (float[1, 2, 4, 4] y) <float[2, 3, 1, 1] w = {1, 2, 3, 4, 5, 6}> {
  c = Conv (x, w)
  s = Sigmoid (c)
  y = Mul (c, s)
}"""


def test_a_layer_that_opencv_has_fused_has_no_tensor(tmp_path: Path) -> None:
    """It gives None for the sigmoid of a swish."""
    (tmp_path / "model.onnx").write_bytes(onnx.parser.parse_model(SWISH).SerializeToString())
    with closing(opencv.load(tmp_path / "model.onnx", Settings())) as runner:
        found = runner.tensors({"x": np.full((1, 3, 4, 4), 0.1, np.float32)})
    assert sorted(found) == ["c", "y"]
