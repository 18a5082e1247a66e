"""A verifier is worth what it catches: every kind of fault must fail, with its explanation and its layer, and a right
model must never fail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest

from tests.mutations import darknet_kinds, networks
from tests.mutations.kinds import MUTATIONS
from tests.verify import tiny
from zoo.base.artifact import Artifact, FileRecord
from zoo.verify import Options, verify_artifact
from zoo.verify.result import Report
from zoo.verify.verdict import FAIL, PASS

OPTIONS = Options(speed="none", threads=1)
ALONE = dataclasses.replace(OPTIONS, batches=(1,))


@pytest.fixture(scope="module")
def right() -> onnx.ModelProto:
    return tiny.detector()


@pytest.fixture(scope="module")
def reference(right: onnx.ModelProto) -> tiny.TinyReference:
    return tiny.TinyReference(right)


def verified(model: onnx.ModelProto, reference: tiny.TinyReference, folder: Path) -> Report:
    return verify_artifact(tiny.write(model, folder, reference.sources), reference, OPTIONS)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_fault_is_caught(
    kind: str, right: onnx.ModelProto, reference: tiny.TinyReference, tmp_path: Path
) -> None:
    mutate, words, layer = MUTATIONS[kind]
    broken = onnx.ModelProto()
    broken.CopyFrom(right)
    mutate(broken)
    report = verified(broken, reference, tmp_path)
    assert report.judgement.verdict == FAIL
    assert words in report.judgement.reason
    assert (report.departure.layer if report.departure else None) == layer


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory: pytest.TempPathFactory) -> networks.Subject:
    return networks.darknet(tmp_path_factory.mktemp("two_heads"))


@pytest.fixture(scope="module")
def suppressing(tmp_path_factory: pytest.TempPathFactory) -> networks.Subject:
    return networks.darknet(tmp_path_factory.mktemp("suppressing"), nms=True)


@pytest.mark.parametrize("kind", darknet_kinds.MUTATIONS)
def test_every_fault_of_a_darknet_network_is_caught(kind: str, two_heads: networks.Subject, tmp_path: Path) -> None:
    mutate, words, layer = darknet_kinds.MUTATIONS[kind]
    report = two_heads.verified(two_heads.broken(mutate, tmp_path), ALONE)
    assert report.judgement.verdict == FAIL
    assert words in report.judgement.reason
    assert (report.departure.layer if report.departure else None) == layer


@pytest.mark.parametrize("kind", darknet_kinds.SUPPRESSION)
def test_every_fault_of_a_suppression_is_caught(kind: str, suppressing: networks.Subject, tmp_path: Path) -> None:
    mutate, words, _ = darknet_kinds.SUPPRESSION[kind]
    report = suppressing.verified(suppressing.broken(mutate, tmp_path), ALONE)
    assert report.judgement.verdict == FAIL
    assert report.judgement.reason.startswith("detections")
    assert words in report.judgement.reason
    assert report.departure is None


def test_a_darknet_network_never_fails(two_heads: networks.Subject, suppressing: networks.Subject) -> None:
    for subject in (two_heads, suppressing):
        report = subject.verified(subject.artifact, ALONE)
        assert report.judgement.verdict == PASS, report.judgement.reason


@pytest.mark.parametrize("seed", range(20))
def test_a_right_model_never_fails(seed: int, tmp_path: Path) -> None:
    model = tiny.detector(seed)
    options = dataclasses.replace(OPTIONS, seed=seed)
    reference = tiny.TinyReference(model)
    report = verify_artifact(tiny.write(model, tmp_path, reference.sources), reference, options)
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert report.departure is None


def test_a_changed_file_is_unverified(right: onnx.ModelProto, reference: tiny.TinyReference, tmp_path: Path) -> None:
    artifact = tiny.write(right, tmp_path, reference.sources)
    content = bytearray(artifact.model.read_bytes())
    content[-1] ^= 1
    artifact.model.write_bytes(content)
    assert "unverified" in verify_artifact(artifact, reference, OPTIONS).judgement.reason


def test_an_artifact_of_other_sources_is_unverified(
    right: onnx.ModelProto, reference: tiny.TinyReference, tmp_path: Path
) -> None:
    artifact = tiny.write(right, tmp_path, (FileRecord("cfg", "tiny.cfg", "1" * 64, 1),))
    assert "other source files" in verify_artifact(artifact, reference, OPTIONS).judgement.reason


def test_an_artifact_of_another_hub_is_unverified(
    right: onnx.ModelProto, reference: tiny.TinyReference, tmp_path: Path
) -> None:
    hub = tiny.write(right, tmp_path / "hub", reference.sources)
    written: Artifact = tiny.write(right, tmp_path / "written", hub.files)
    assert verify_artifact(written, reference, OPTIONS, hub=hub).judgement.verdict == PASS
    other = tiny.write(tiny.detector(9), tmp_path / "other", reference.sources)
    assert "other source files" in verify_artifact(written, reference, OPTIONS, hub=other).judgement.reason
