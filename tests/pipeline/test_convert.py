"""Converting from the user's side: sources, folders, reuse of what stands; bad input leaves nothing behind."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from zoo.base.artifact import read_artifact
from zoo.base.errors import ConversionError, UsageError
from zoo.catalog import Store
from zoo.convert.from_darknet import DarknetOptions
from zoo.convert.from_tensorflow import TensorFlowSourceOptions
from zoo.pipeline.convert import convert
from zoo.pipeline.formats import Options, is_direct
from zoo.pipeline.models import find_models
from zoo.pipeline.source import Source, darknet_source, onnx_source

CFG = """[net]
width=32
height=32
channels=3

[convolutional]
filters=14
size=3
stride=2
pad=1
activation=linear

[yolo]
mask=0,1
anchors=4,4, 8,8
classes=2
num=2
"""


@pytest.fixture
def network(tmp_path: Path) -> tuple[Path, Path]:
    """A cfg of one convolution and one head, and weights that fit it."""
    cfg, weights = tmp_path / "tiny.cfg", tmp_path / "tiny.weights"
    cfg.write_text(CFG)
    values = np.random.default_rng(1).normal(size=14 + 14 * 27).astype("<f4")
    weights.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + values.tobytes())
    return cfg, weights


def test_files_of_the_user_go_where_he_asks(network: tuple[Path, Path], tmp_path: Path) -> None:
    (artifact,) = convert(darknet_source(*network), out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["artifact.json", "model.onnx"]
    assert artifact.model == tmp_path / "out" / "model.onnx"
    assert [record.role for record in artifact.sources] == ["cfg", "weights"]
    assert read_artifact(tmp_path / "out") == artifact


@pytest.mark.slow
def test_several_formats_go_to_a_folder_each(network: tuple[Path, Path], tmp_path: Path) -> None:
    artifacts = convert(darknet_source(*network), ["onnx", "torch"], out=tmp_path / "out")
    assert [artifact.format for artifact in artifacts] == ["onnx", "torch"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"onnx", "torch"}
    assert (tmp_path / "out" / "torch" / "model.py").is_file()


def test_without_a_folder_it_goes_to_the_store_and_stands(network: tuple[Path, Path], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (first,) = convert(darknet_source(*network), store=store)
    written = first.model.stat().st_mtime_ns
    (second,) = convert(darknet_source(*network), store=store)
    assert second == first
    assert second.model.stat().st_mtime_ns == written


def test_what_stands_needs_no_onnx(network: tuple[Path, Path], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    hub, first = convert(darknet_source(*network), ["onnx", "opencv"], store=store)
    shutil.rmtree(hub.folder)
    (second,) = convert(darknet_source(*network), ["opencv"], store=store)
    assert second == first
    assert not hub.folder.exists()


def test_a_damaged_artifact_is_made_again(network: tuple[Path, Path], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (first,) = convert(darknet_source(*network), store=store)
    content = first.model.read_bytes()
    first.model.write_bytes(content[:-1] + b"x")
    (second,) = convert(darknet_source(*network), store=store)
    assert second.model.read_bytes() == content


@pytest.mark.parametrize("versions", [{"zoo": "0.0.1"}, {"converter": "0" * 12}, {}])
def test_what_other_code_made_is_made_again(
    versions: dict[str, str], network: tuple[Path, Path], tmp_path: Path
) -> None:
    """The artifact of an older converter, whose manifest lacks what this one writes, is not used as it is."""
    store = Store(tmp_path / "store")
    (first,) = convert(darknet_source(*network), store=store)
    told = first.versions | versions if versions else {"zoo": first.versions["zoo"]}
    dataclasses.replace(first, versions=told, detector={}).write()
    (second,) = convert(darknet_source(*network), store=store)
    assert second == first


def test_other_options_and_other_files_are_other_artifacts(network: tuple[Path, Path], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    cfg, weights = network
    folders = {convert(darknet_source(*network), store=store)[0].folder}
    folders.add(convert(darknet_source(*network), options=Options(DarknetOptions(heads="raw")), store=store)[0].folder)
    cfg.write_text(CFG.replace("4,4", "4,5"))
    folders.add(convert(darknet_source(cfg, weights), store=store)[0].folder)
    assert len(folders) == 3


def test_names_that_come_later_are_seen(network: tuple[Path, Path], tmp_path: Path) -> None:
    """What was converted before there was a list of names stands, and is shown with them."""
    cfg, _ = network
    store = Store(tmp_path / "store")
    (before,) = find_models(str(cfg), store=store)
    cfg.with_suffix(".names").write_text("cat\ndog\n")
    (after,) = find_models(str(cfg), store=store)
    assert (before.labels, after.labels) == ((), ("cat", "dog"))
    assert after.folder == before.folder


def test_a_path_is_never_a_name_of_the_catalog(
    network: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own folder may be called as a model of the catalog is."""
    (own,) = convert(darknet_source(*network), out=tmp_path / "shapes-tiny")
    monkeypatch.chdir(tmp_path)
    (found,) = find_models("./shapes-tiny", store=Store(tmp_path / "store"))
    assert found.model.samefile(own.model)


@pytest.mark.parametrize("stem", ["my net (2)", "網路", "..", "_yolo"])
def test_any_file_name_will_do(stem: str, network: tuple[Path, Path], tmp_path: Path) -> None:
    """Names that cannot be a folder's everywhere are written in plain characters; the content tells models apart."""
    store, cfg = Store(tmp_path / "store"), tmp_path / f"{stem}.cfg"
    network[0].rename(cfg)
    (artifact,) = convert(darknet_source(cfg, network[1]), store=store)
    assert artifact.folder.parent.parent == store.root / "artifacts"


@pytest.mark.slow
def test_an_onnx_file_of_anyone_is_a_source(network: tuple[Path, Path], tmp_path: Path) -> None:
    (hub,) = convert(darknet_source(*network), out=tmp_path / "hub")
    (artifact,) = convert(onnx_source(hub.model), ["torch"], out=tmp_path / "torch")
    assert artifact.name == "tiny"
    assert artifact.model.parent == tmp_path / "torch"


def test_an_unknown_format_is_refused_before_anything_happens(network: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'onx'"):
        convert(darknet_source(*network), ["onx"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-4], "tiny.weights"),
        (lambda content: content + b"\0\0\0\0", "tiny.weights"),
        (lambda content: b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (lambda content: b"", "tiny.weights"),
    ],
)
def test_wrong_weights_are_refused_and_leave_nothing(
    network: tuple[Path, Path], tmp_path: Path, change: object, message: str
) -> None:
    cfg, weights = network
    assert callable(change)
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(ConversionError, match=message):
        convert(darknet_source(cfg, weights), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_a_usage_error(network: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the weights file .*nowhere is not there"):
        darknet_source(network[0], tmp_path / "nowhere")


def test_labels_that_are_no_text_are_refused(network: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "names").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="names is no list of labels"):
        darknet_source(*network, names=tmp_path / "names")


@pytest.mark.parametrize(
    ("family", "target", "options", "direct"),
    [
        ("tensorflow", "tf", Options(), True),
        ("tensorflow", "tf", Options(tensorflow=TensorFlowSourceOptions(batch=2, width=64)), True),
        ("tensorflow", "tf", Options(tensorflow=TensorFlowSourceOptions(post="raw")), False),
        ("tensorflow", "tf", Options(writers={"tf": {"tflite": True}}), False),
        ("tensorflow", "torch", Options(), False),
        ("darknet", "tf", Options(), False),
    ],
)
def test_tensorflow_to_tensorflow_needs_no_onnx(family: str, target: str, options: Options, direct: bool) -> None:
    assert is_direct(Source("name", family, {}), target, options) == direct
