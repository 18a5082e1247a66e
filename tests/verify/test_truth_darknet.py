"""The Darknet reference, and the verifier on real conversions: the recorded models pass, one changed number fails."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.goldens.cases import load_case, make_weights
from zoo.base.artifact import Artifact, FileRecord
from zoo.base.errors import UsageError
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.verify import DarknetReference, Options, verify_artifact
from zoo.verify.inputs import Sample, make_samples
from zoo.verify.truth_darknet import rounded
from zoo.verify.verdict import FAIL, PASS

OPTIONS = Options(speed="none", threads=1)

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[shortcut]
from=-2
activation=linear
[convolutional]
filters=16
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=4,6, 12,9
classes=3
num=2
"""


@dataclasses.dataclass(frozen=True)
class Files:
    """A small Darknet model."""

    cfg: Path
    weights: Path

    def artifact(self, out: Path, **options: object) -> Artifact:
        return darknet_to_onnx(self.cfg, self.weights, out, DarknetOptions(**options))  # type: ignore[arg-type]

    def reference(self, artifact: Artifact) -> DarknetReference:
        return DarknetReference(self.cfg, self.weights, artifact.options)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.cfg").write_text(CFG)
    random = np.random.default_rng(3)
    parts = []
    for filters, channels, size, normalized in ((8, 3, 3, True), (8, 8, 3, True), (16, 8, 1, False)):
        parts.append(random.normal(0, 0.3, filters))
        if normalized:
            parts += [
                random.uniform(0.8, 1.5, filters),
                random.normal(0, 0.3, filters),
                random.uniform(0.2, 2, filters),
            ]
        parts.append(random.normal(0, 1 / np.sqrt(channels * size * size), filters * channels * size * size))
    header = np.array([0, 2, 5], "<i4").tobytes() + np.array([0], "<i8").tobytes()
    (folder / "small.weights").write_bytes(header + np.concatenate(parts).astype("<f4").tobytes())
    return Files(folder / "small.cfg", folder / "small.weights")


@pytest.mark.parametrize("options", [{}, {"heads": "raw"}, {"nms": True}, {"keep_batch_norm": True}, {"batch": 2},
                                     {"width": 64, "height": 32}, {"dynamic_size": True}])  # fmt: skip
def test_every_kind_of_conversion_passes(small: Files, options: dict[str, object], tmp_path: Path) -> None:
    artifact = small.artifact(tmp_path, **options)
    report = verify_artifact(artifact, small.reference(artifact), OPTIONS)
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert report.departure is None
    assert (report.detections is None) == (options.get("heads") == "raw")


def changed(artifact: Artifact, out: Path, number: int) -> Artifact:
    """The artifact with the largest weight of its `number`-th convolution off by a thousandth."""
    model = onnx.load(artifact.model)
    name = [node for node in model.graph.node if node.op_type == "Conv"][number].input[1]
    tensor = next(one for one in model.graph.initializer if one.name == name)
    values = np.array(numpy_helper.to_array(tensor))
    values.flat[np.abs(values).argmax()] *= 1.001
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    out.mkdir()
    onnx.save(model, out / artifact.model.name)
    record = FileRecord.of(out / artifact.model.name, "model")
    return dataclasses.replace(artifact, folder=out, files=(record,))


@pytest.mark.parametrize(("number", "layer", "line"), [(0, 0, 5), (1, 2, 15), (2, 4, 25)])
@pytest.mark.parametrize("heads", ["decoded", "raw"])
def test_a_weight_off_by_a_thousandth_fails_at_its_layer(
    small: Files, number: int, layer: int, line: int, heads: str, tmp_path: Path
) -> None:
    artifact = small.artifact(tmp_path / "right", heads=heads)
    broken = changed(artifact, tmp_path / "broken", number)
    report = verify_artifact(broken, small.reference(artifact), OPTIONS)
    assert report.judgement.verdict == FAIL
    assert report.departure is not None
    assert (report.departure.layer, report.departure.type, report.departure.line) == (layer, "convolutional", line)
    assert report.departure.before < 10


def test_weights_of_another_training_are_another_source(small: Files, tmp_path: Path) -> None:
    artifact = small.artifact(tmp_path)
    other = tmp_path / "other.weights"
    content = bytearray(small.weights.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    report = verify_artifact(artifact, DarknetReference(small.cfg, other, artifact.options), OPTIONS)
    assert "other source files" in report.judgement.reason


def test_what_was_seen_is_kept_and_precisions_are_apart(small: Files, tmp_path: Path) -> None:
    reference = small.reference(small.artifact(tmp_path))
    sample = make_samples(reference.inputs, 0)[0]
    fine, coarse = reference.observe(sample, "fp32"), reference.observe(sample, "tf32")
    assert reference.observe(sample, "fp32") is fine
    off = [np.abs(one.noise[0]["scores"] - one.truth["scores"]).max() for one in (fine, coarse)]
    assert 100 < off[1] / off[0] < 100_000
    np.testing.assert_array_equal(fine.truth["scores"], coarse.truth["scores"])


def test_half_precision_is_judged_by_its_own_noise(small: Files, tmp_path: Path) -> None:
    hub = small.artifact(tmp_path / "onnx")
    artifact = onnx_to_torch(hub.model, tmp_path / "torch", TorchOptions(export=False), parent=hub)
    half = verify_artifact(artifact, small.reference(hub), dataclasses.replace(OPTIONS, precision="fp16"))
    assert half.judgement.verdict == PASS, half.judgement.reason
    whole = verify_artifact(artifact, small.reference(hub), OPTIONS)
    off = [report.outputs[1].measurements[0].difference.max for report in (whole, half)]
    assert off[1] > 100 * off[0]
    with pytest.raises(UsageError, match="does not run at fp16 on cpu"):
        verify_artifact(hub, small.reference(hub), dataclasses.replace(OPTIONS, precision="fp16"))


def test_rounding_keeps_eleven_bits() -> None:
    one = np.float32(1)
    values = np.array([one, 1 + 2**-10, 1 + 2**-11, 1 + 2**-12, -1 - 2**-12, 0, 65504, 3e38], np.float32)
    expected = np.array([one, 1 + 2**-10, 1 + 2**-10, 1, -1, 0, 65504], np.float32)
    np.testing.assert_array_equal(rounded(values)[:-1], expected)
    random = np.random.default_rng(0).normal(0, 1, 1000).astype(np.float32)
    assert np.abs(rounded(random) / random - 1).max() <= 2**-11
    np.testing.assert_allclose(rounded(random), random.astype(np.float16), rtol=0, atol=2**-24)


@pytest.mark.parametrize("name", ["pj_gru_native", "pj_rnn_native", "alexey_yolov3-tiny_occlusion_track_96x96"])
def test_a_network_with_a_memory_is_one_step_of_it(name: str, data: Path, tmp_path: Path) -> None:
    case = load_case(name, data)
    weights = make_weights(case, tmp_path)
    artifact = darknet_to_onnx(case.cfg, weights, tmp_path / "onnx", DarknetOptions(dialect=case.dialect))
    reference = DarknetReference(case.cfg, weights, artifact.options)
    states = {spec.name for spec in reference.inputs[1:]}
    assert states
    assert {f"{name}_next" for name in states} < set(reference.outputs)
    report = verify_artifact(artifact, reference, OPTIONS)
    assert report.judgement.verdict == PASS, report.judgement.reason


@pytest.mark.slow
def test_a_real_detector_passes_on_its_picture(data: Path, tmp_path: Path) -> None:
    case = load_case("real_yolo-fastest-1.1_dog", data)
    weights = make_weights(case, tmp_path)
    artifact = darknet_to_onnx(case.cfg, weights, tmp_path / "onnx")
    reference = DarknetReference(case.cfg, weights, artifact.options)
    assert case.image is not None
    report = verify_artifact(artifact, reference, dataclasses.replace(OPTIONS, batches=(1,)), [case.image])
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert report.detections is not None
    assert report.detections.matched >= len(case.detections["detections"])
    assert report.detections.errors == 0


@pytest.mark.parametrize("name", ["alexey_yolov3-tiny_96x96", "alexey_yolov2-tiny_96x96", "alexey_tiny_96x96"])
def test_the_reference_gives_what_darknet_recorded(name: str, data: Path, tmp_path: Path) -> None:
    case = load_case(name, data)
    reference = DarknetReference(case.cfg, make_weights(case, tmp_path), {"heads": "raw", "dialect": case.dialect})
    assert set(reference.outputs) == set(case.outputs)
    truth = reference.observe(Sample("recorded", 0, {"images": case.input[np.newaxis]}), "fp32").truth
    for output, recorded in case.outputs.items():
        np.testing.assert_allclose(truth[output].reshape(recorded.shape), recorded, rtol=1e-3, atol=1e-3)
