"""A whole verification: what it checks before it compares, what it keeps, and judging again what was saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.verify import tiny
from zoo.base.artifact import Artifact, TensorSpec
from zoo.base.errors import UsageError, VerificationError
from zoo.verify import ArtifactReference, Options, run, verify_artifact
from zoo.verify.detections import Suppression
from zoo.verify.detector import judge_detections
from zoo.verify.inputs import Sample
from zoo.verify.judge import judge_again
from zoo.verify.parity import Evidence, plan
from zoo.verify.pictures import find_pictures
from zoo.verify.result import DetectionResult, Report
from zoo.verify.runtimes.onnx_runtime import OnnxRuntimeRunner
from zoo.verify.runtimes.protocol import Array, Tensors
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement

OPTIONS = Options(speed="none", threads=1)


@pytest.fixture(scope="module")
def reference() -> tiny.TinyReference:
    return tiny.TinyReference(tiny.detector())


@pytest.fixture(scope="module")
def artifact(reference: tiny.TinyReference, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return tiny.write(reference.model, tmp_path_factory.mktemp("tiny"), reference.sources)


@pytest.fixture(scope="module")
def report(artifact: Artifact, reference: tiny.TinyReference) -> Report:
    return verify_artifact(artifact, reference, dataclasses.replace(OPTIONS, speed="quick"))


def test_a_right_model_passes_with_everything_on_record(report: Report) -> None:
    assert report.judgement.verdict == PASS
    assert report.batches == (1, 3)
    assert (report.device.asked, report.device.used, report.device.threads) == ("cpu", "cpu", 1)
    assert report.environment["onnxruntime"] in report.device.runtime
    assert [output.name for output in report.outputs] == ["boxes", "scores"]
    samples = {(one.sample, one.batch) for one in report.outputs[0].measurements}
    assert samples == {(name, size) for name in ("uniform", "zeros", "ones", "impulse", "scene") for size in (1, 3)}
    assert report.speed is not None
    assert report.speed.median.low <= report.speed.median.value <= report.speed.median.high
    assert report.speed.median.value <= report.speed.p95 <= report.speed.p99
    assert report.speed.judgement.verdict == PASS
    assert report.detections is not None
    assert report.detections.matched > 20


def test_a_timed_sample_need_not_prove_anything_alone(
    artifact: Artifact, reference: tiny.TinyReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E.g. a detector that sees nothing in noise, the sample that is timed."""
    empty = Judgement(INCONCLUSIVE, "the reference detects nothing on any sample")

    def judge(evidence: Evidence, suppression: Suppression) -> DetectionResult:
        found = judge_detections(evidence, suppression)
        return found if len(evidence.runs) > 1 else dataclasses.replace(found, judgement=empty)

    monkeypatch.setattr(run, "judge_detections", judge)
    report = verify_artifact(artifact, reference, dataclasses.replace(OPTIONS, speed="quick", batches=(1,)))
    assert report.judgement.verdict == PASS


def test_a_program_that_gives_two_answers_fails_for_that(
    artifact: Artifact, reference: tiny.TinyReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's wheels did this: the first call of a function by several threads was of lower precision."""
    right, calls = OnnxRuntimeRunner.run, []

    def off_at_first(runner: OnnxRuntimeRunner, feeds: Tensors) -> dict[str, Array]:
        calls.append(runner)
        return {name: array + np.float32(1e-3 * (len(calls) == 1)) for name, array in right(runner, feeds).items()}

    monkeypatch.setattr(OnnxRuntimeRunner, "run", off_at_first)
    report = verify_artifact(artifact, reference, OPTIONS)
    assert report.judgement.verdict == FAIL
    assert "two runs of the same input differ, boxes by" in report.judgement.reason
    assert "the second passes. The first: output boxes: uniform (batch 1)" in report.judgement.reason
    assert report.departure is None


def test_the_seed_decides_the_inputs(artifact: Artifact, reference: tiny.TinyReference, report: Report) -> None:
    same = verify_artifact(artifact, reference, OPTIONS)
    other = verify_artifact(artifact, reference, dataclasses.replace(OPTIONS, seed=1))
    assert same.outputs == report.outputs
    assert other.outputs != report.outputs
    assert other.seed == 1


def test_plan_covers_every_sample_and_mixes() -> None:
    assert plan(5, [1]) == [(0,), (1,), (2,), (3,), (4,)]
    assert plan(5, [3]) == [(4, 3, 2), (1, 0, 4)]
    assert {position for batch in plan(7, [4]) for position in batch} == set(range(7))
    assert plan(2, [4]) == [(1, 0, 1, 0)]


def test_the_users_pictures_are_judged_too(artifact: Artifact, reference: tiny.TinyReference, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    (tmp_path / "notes.txt").write_text("no picture")
    pictures = find_pictures(tmp_path)
    assert [path.name for path in pictures] == ["mine.png"]
    report = verify_artifact(artifact, reference, OPTIONS, pictures)
    assert report.judgement.verdict == PASS
    assert report.outputs[0].measurements[5].sample == "mine.png"


def test_no_pictures_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no pictures"):
        find_pictures(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        find_pictures(tmp_path / "missing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outputs": (tiny.OUTPUTS[0], dataclasses.replace(tiny.OUTPUTS[1], dtype="float16"))}, "its manifest float16"),
        (
            {"outputs": (dataclasses.replace(tiny.OUTPUTS[0], shape=("batch", 64, 4)),)},
            "its manifest float32 ['batch', 64",
        ),
        (
            {"inputs": (TensorSpec("pictures", "float32", ("batch", 3, 16, 16)),)},
            "in the manifest, but not in the model",
        ),
        ({"inputs": (TensorSpec("images", "float32", ("batch", 3, "height", "width")),)}, "only, its manifest says"),
        ({"outputs": tiny.OUTPUTS[:1]}, "output scores: in the model, but not in the manifest"),
        ({"sources": ()}, "other source files"),
        ({"detector": {"resize": "letterbox"}}, "detector.resize is 'letterbox', and the source says 'stretch'"),
        ({"detector": {}}, "detector.resize is not there"),
    ],
)
def test_a_manifest_that_says_otherwise_fails(
    artifact: Artifact, reference: tiny.TinyReference, change: dict[str, object], words: str
) -> None:
    facts = {"resize": "stretch"}
    candidate = dataclasses.replace(artifact, **({"detector": facts} | change))  # type: ignore[arg-type]
    report = verify_artifact(candidate, dataclasses.replace(reference, facts=facts), OPTIONS)
    assert report.judgement.verdict == FAIL
    assert words in report.judgement.reason


def test_a_reference_that_fails_is_not_the_candidates_fault_in_words(artifact: Artifact) -> None:
    @dataclasses.dataclass
    class Broken(tiny.TinyReference):
        def observe(self, sample: Sample, precision: str) -> Observation:
            raise VerificationError("out of memory")

    report = verify_artifact(artifact, Broken(tiny.detector()), OPTIONS)
    assert report.judgement.reason == "the reference cannot be run on uniform: out of memory"


def test_a_reference_of_a_fixed_batch_is_a_usage_error(tmp_path: Path, reference: tiny.TinyReference) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(reference.model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(UsageError, match="takes batches of 2 only"):
        ArtifactReference(tiny.write(model, tmp_path).model, "onnx")


def test_a_model_that_does_not_load_fails_in_words(reference: tiny.TinyReference, tmp_path: Path) -> None:
    artifact = tiny.write(reference.model, tmp_path, reference.sources)
    artifact.model.write_bytes(b"<html>404</html>")
    record = dataclasses.replace(artifact.files[0])
    artifact = dataclasses.replace(artifact, files=(type(record).of(artifact.model, "model"),))
    report = verify_artifact(artifact, reference, OPTIONS)
    assert report.judgement.verdict == FAIL
    assert "refuses the model" in report.judgement.reason
    assert report.device.used == "none"


def test_a_constant_reference_is_inconclusive(tmp_path: Path) -> None:
    model = tiny.detector()
    for tensor in model.graph.initializer:
        if tensor.name in ("w2", "b2"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(tensor), tensor.name))
    reference = tiny.TinyReference(model)
    report = verify_artifact(tiny.write(model, tmp_path, reference.sources), reference, OPTIONS)
    assert report.judgement.verdict == INCONCLUSIVE
    assert not report.passed


def test_another_artifact_as_the_reference(artifact: Artifact, tmp_path: Path) -> None:
    with ArtifactReference(artifact.model, "onnx") as same:
        assert verify_artifact(artifact, same, OPTIONS).judgement.verdict == PASS
    other = tiny.write(tiny.detector(2), tmp_path)
    with ArtifactReference(other.model, "onnx") as different:
        report = verify_artifact(artifact, different, OPTIONS)
        assert report.judgement.verdict == FAIL
        assert report.departure is None


def test_judging_again_with_another_tolerance(report: Report) -> None:
    assert judge_again(report) == report
    assert judge_again(report, margin=1e-3).judgement.verdict == FAIL
    assert judge_again(report, tolerance=1e9).judgement.verdict == PASS
    assert judge_again(report, tolerance=1e-12).judgement.verdict == FAIL
    boxes = judge_again(report, tolerance=1e-5, only=["scores"])
    assert [output.name for output in boxes.outputs] == ["scores"]
    assert boxes.judgement.verdict == PASS
    with pytest.raises(UsageError, match="no output masks"):
        judge_again(report, only=["masks"])


def test_a_batch_that_the_model_cannot_take_is_a_usage_error(tmp_path: Path, reference: tiny.TinyReference) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(reference.model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    artifact = dataclasses.replace(tiny.write(model, tmp_path, reference.sources), inputs=(), outputs=())
    assert verify_artifact(artifact, reference, OPTIONS).batches == (2,)
    with pytest.raises(UsageError, match="batches of 2 only, not 1, 3"):
        verify_artifact(artifact, reference, dataclasses.replace(OPTIONS, batches=(1, 3)))
