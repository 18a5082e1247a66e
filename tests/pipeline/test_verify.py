"""Verifying from the user's side: what is missing is converted, verdicts are kept, a changed file is unverified."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from tests.verify import tiny
from zoo.base.artifact import Artifact, FileRecord, read_artifact
from zoo.base.errors import ConversionError, MissingBackend, UsageError
from zoo.catalog import Store
from zoo.convert.from_darknet import DarknetOptions
from zoo.pipeline import verify as pipeline_verify
from zoo.pipeline.convert import convert, needs_hub
from zoo.pipeline.formats import WRITERS
from zoo.pipeline.formats import Options as Conversion
from zoo.pipeline.source import Source, darknet_source, onnx_source, tensorflow_source
from zoo.pipeline.verify import read_model, record, verify, verify_files
from zoo.verify import Options
from zoo.verify.verdict import FAIL, PASS

CFG = """[net]
width=32
height=32
channels=3

[convolutional]
filters=14
size=3
stride=2
pad=1
activation=leaky

[yolo]
mask=0,1
anchors=4,4, 8,8
classes=2
num=2
"""
OPTIONS = Options(speed="none", threads=1)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    cfg, weights = tmp_path / "tiny.cfg", tmp_path / "tiny.weights"
    cfg.write_text(CFG)
    values = np.random.default_rng(1).normal(size=14 + 14 * 27).astype("<f4")
    weights.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + values.tobytes())
    return darknet_source(cfg, weights)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_is_missing_is_converted_and_the_verdict_kept(source: Source, store: Store) -> None:
    (report,) = verify(source, options=OPTIONS, store=store)
    assert report.judgement.verdict == PASS
    (artifact,) = convert(source, store=store)
    (verdict,) = artifact.verdicts
    assert (verdict["verdict"], verdict["device"], verdict["precision"]) == ("pass", "cpu", "fp32")
    assert verdict["files"] == {"model.onnx": artifact.files[0].sha256}


def test_verifying_again_converts_nothing_and_replaces_the_verdict(source: Source, store: Store) -> None:
    verify(source, options=OPTIONS, store=store)
    (artifact,) = convert(source, store=store)
    before = (artifact.model.stat().st_mtime_ns, (artifact.folder / "artifact.json").stat().st_mtime_ns)
    verify(source, options=OPTIONS, store=store)
    assert before == (artifact.model.stat().st_mtime_ns, (artifact.folder / "artifact.json").stat().st_mtime_ns)
    (report,) = verify(source, options=dataclasses.replace(OPTIONS, margin=1e-9), store=store)
    assert report.judgement.verdict == FAIL
    (verdict,) = read_artifact(artifact.folder).verdicts
    assert verdict["verdict"] == "fail"


@pytest.mark.slow
def test_a_format_that_cannot_be_written_is_told_beside_the_others(source: Source, store: Store) -> None:
    sizes = Conversion(darknet=DarknetOptions(dynamic_size=True))
    refused, *others = verify(source, ("tflite", "tf", "onnx"), conversion=sizes, options=OPTIONS, store=store)
    assert [(report.format, report.judgement.verdict) for report in others] == [("tf", PASS), ("onnx", PASS)]
    assert (refused.format, refused.judgement.verdict) == ("tflite", FAIL)
    assert refused.exit_code == ConversionError.exit_code
    assert "fixed sizes" in refused.judgement.reason


@pytest.mark.slow
def test_every_format_of_one_source(source: Source, store: Store) -> None:
    reports = verify(source, ("onnx", "torch", "tflite"), options=OPTIONS, store=store)
    assert [(report.format, report.judgement.verdict) for report in reports] == [
        ("onnx", PASS), ("torch", PASS), ("tflite", PASS)
    ]  # fmt: skip
    assert [report.batches for report in reports] == [(1, 3), (1, 3), (1,)]


def test_an_onnx_file_is_the_reference_of_what_is_written_from_it(source: Source, store: Store) -> None:
    (hub,) = convert(source, store=store)
    (report,) = verify(onnx_source(hub.model), ("torch",), options=OPTIONS, store=store)
    assert report.judgement.verdict == PASS, report.judgement.reason
    assert "onnxruntime" in report.reference


def test_two_files(source: Source, store: Store, tmp_path: Path) -> None:
    first, second = convert(source, ("onnx", "torch"), store=store)
    (report,) = verify_files(second.model, first.model, options=OPTIONS)
    assert report.judgement.verdict == PASS, report.judgement.reason
    (report,) = verify_files(first.folder, source, options=OPTIONS)
    assert report.judgement.verdict == PASS


def test_a_file_against_its_tensorflow_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph = tmp_path / "frozen_inference_graph.pb"
    graph.write_bytes(b"\n")
    original = tensorflow_source(graph)
    reference = tiny.TinyReference(tiny.detector(), sources=original.records)
    artifact = tiny.write(reference.model, tmp_path / "tiny", original.records)
    told: list[object] = []

    def started(*arguments: object) -> AbstractContextManager[tiny.TinyReference]:
        told.extend(arguments)
        return nullcontext(reference)

    monkeypatch.setattr(pipeline_verify, "TensorFlowReference", started)
    (report,) = verify_files(artifact.model, original, options=OPTIONS)
    assert report.judgement.verdict == PASS
    assert told == [graph.resolve(), original.records, artifact.options, artifact.detector]
    other = dataclasses.replace(artifact, sources=(tiny.SOURCE,))
    other.write()
    (report,) = verify_files(artifact.model, original, options=OPTIONS)
    assert "other source files" in report.judgement.reason


def test_a_bare_file_is_read_by_its_suffix(source: Source, store: Store, tmp_path: Path) -> None:
    (artifact,) = convert(source, store=store)
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(artifact.model.read_bytes())
    assert read_model(bare) == Artifact(tmp_path, "bare", "onnx", "", (), (FileRecord.of(bare, "model"),), (), ())
    assert read_model(artifact.model) == artifact
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "saved_model.pb").write_bytes(b"")
    assert read_model(tmp_path / "bare").model == tmp_path / "bare" / "saved_model.pb"
    with pytest.raises(UsageError, match="is not there"):
        read_model(tmp_path / "missing.onnx")


def test_a_changed_file_is_unverified_and_keeps_no_verdict(source: Source, store: Store) -> None:
    (artifact,) = convert(source, store=store)
    content = bytearray(artifact.model.read_bytes())
    content[-3] ^= 1
    artifact.model.write_bytes(content)
    (report,) = verify_files(artifact.model, source, options=OPTIONS)
    assert "unverified" in report.judgement.reason
    record(artifact, report)
    assert read_artifact(artifact.folder).verdicts == ()


def test_a_changed_file_is_unverified_behind_a_link_too(source: Source, store: Store, tmp_path: Path) -> None:
    (artifact,) = convert(source, store=store)
    artifact.model.write_bytes(artifact.model.read_bytes() + b"\x98\x06\x01")  # an unknown field: it still runs
    link = tmp_path / "link.onnx"
    link.symlink_to(artifact.model)
    (report,) = verify_files(link, source, options=OPTIONS)
    assert "unverified" in report.judgement.reason


def test_a_file_beside_the_model_is_named_by_the_manifest_too(tmp_path: Path) -> None:
    """A .tflite, and the SavedModel that it lies beside."""
    saved = tmp_path / "saved_model"
    saved.mkdir()
    for path in (saved / "saved_model.pb", saved / "variables", tmp_path / "model.tflite"):
        path.write_bytes(b"whatever")
    roles = {"saved_model/saved_model.pb": "model", "saved_model/variables": "weights", "model.tflite": "tflite"}
    files = tuple(FileRecord.of(tmp_path / name, role, name) for name, role in roles.items())
    artifact = Artifact(tmp_path, "tiny", "tf", "darknet", (tiny.SOURCE,), files, tiny.INPUTS, tiny.OUTPUTS)
    artifact.write()
    assert read_model(saved) == read_model(saved / "saved_model.pb") == read_model(tmp_path) == artifact
    beside = read_model(tmp_path / "model.tflite")
    assert (beside.format, beside.model, beside.family) == ("tflite", tmp_path / "model.tflite", "darknet")
    assert [record.name for record in beside.files] == ["model.tflite"]
    assert beside.is_intact()
    (tmp_path / "model.tflite").write_bytes(b"whatever" + bytes(16))
    assert not read_model(tmp_path / "model.tflite").is_intact()


def test_the_written_module_is_verified_for_itself(source: Source, store: Store, tmp_path: Path) -> None:
    """Beside the .pt2, whose verdict stays."""
    (artifact,) = convert(source, ("torch",), store=store)
    for path in (artifact.model, artifact.folder / "model.py"):
        (report,) = verify_files(path, source, options=OPTIONS)
        assert report.judgement.verdict == PASS, report.judgement.reason
    assert [set(one["files"]) for one in read_artifact(artifact.folder).verdicts] == [
        {"model.pt2", "model.py", "model.safetensors"}, {"model.py", "model.safetensors"}
    ]  # fmt: skip
    bare = tmp_path / "model.py"
    bare.write_text("raise SystemExit('this must not run')")
    with pytest.raises(UsageError, match="no runtime"):
        read_model(bare)
    changed = artifact.folder / "model.py"
    changed.write_text(changed.read_text() + "\nraise SystemExit('this must not run')\n")
    (report,) = verify_files(changed, source, options=OPTIONS)
    assert "unverified" in report.judgement.reason


def test_errors_pass_through(source: Source, store: Store) -> None:
    source.files["weights"].write_bytes(b"<html>")
    with pytest.raises(ConversionError):
        verify(source, options=OPTIONS, store=store)


def test_a_missing_device_is_told_beside_the_verdicts(
    source: Source, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    here, missing = verify(source, devices=("cpu", "cuda"), options=OPTIONS, store=store)
    assert (here.judgement.verdict, here.exit_code) == (PASS, 0)
    assert (missing.judgement.verdict, missing.exit_code) == (FAIL, MissingBackend.exit_code)
    assert (missing.device.asked, missing.device.used) == ("cuda", "none")
    assert "cuda" in missing.judgement.reason
    assert "pip install" in missing.judgement.reason
    (artifact,) = convert(source, store=store)
    assert [verdict["verdict"] for verdict in artifact.verdicts] == ["pass"]


def test_a_missing_package_costs_no_other_format_its_verdict(
    source: Source, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(hub: Artifact, out: Path, told: object) -> Artifact:
        raise MissingBackend("converting to PyTorch needs the package 'torch'")

    monkeypatch.setitem(WRITERS, "torch", missing)
    reports = verify(source, ("onnx", "torch", "opencv"), options=OPTIONS, store=store)
    assert [(report.format, report.judgement.verdict, report.exit_code) for report in reports] == [
        ("onnx", PASS, 0), ("torch", FAIL, MissingBackend.exit_code), ("opencv", PASS, 0)
    ]  # fmt: skip
    (alone,) = verify(source, ("torch",), options=OPTIONS, store=store)
    assert alone.exit_code == MissingBackend.exit_code


@pytest.mark.slow
def test_outputs_keep_their_names_where_a_format_cannot_hold_them(source: Source, store: Store) -> None:
    raw = Conversion(DarknetOptions(heads="raw"))
    for report in verify(source, ("tf", "tflite"), options=OPTIONS, conversion=raw, store=store):
        assert report.judgement.verdict == PASS, report.judgement.reason
        assert [output.name for output in report.outputs] == ["001_yolo"]


def test_no_format_is_a_usage_error(source: Source, store: Store) -> None:
    with pytest.raises(UsageError, match="no format"):
        verify(source, (), options=OPTIONS, store=store)


@pytest.mark.parametrize(
    ("formats", "needed"), [(("tf",), False), (("tf", "tflite"), True), (("tf", "onnx"), True), (("torch",), True)]
)
def test_a_tensorflow_model_written_as_such_goes_past_onnx(formats: tuple[str, ...], needed: bool) -> None:
    assert needs_hub(Source("mine", "tensorflow", {}), formats) is needed
