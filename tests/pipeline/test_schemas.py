"""What zoo writes obeys the schemas that come with it: the manifest of every format, from every kind of source."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import ROOT
from tests.goldens.exports import Exports
from tests.schemas import PRINTED, WRITTEN, problems, problems_in, schema
from tests.test_architecture import MAY_IMPORT
from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.catalog import Store
from zoo.convert.from_darknet import DarknetOptions
from zoo.convert.from_tensorflow import TensorFlowSourceOptions
from zoo.convert.to_opencv import OpenCVOptions
from zoo.convert.to_tensorflow import ReexportOptions, TensorFlowOptions
from zoo.convert.to_torch import TorchOptions
from zoo.pipeline.convert import convert, convert_model
from zoo.pipeline.source import onnx_source
from zoo.pipeline.verify import verify_model
from zoo.verify import Options

MANIFEST = schema(WRITTEN["artifact.json"])
OPTIONS = (DarknetOptions, TensorFlowSourceOptions, TorchOptions, TensorFlowOptions, ReexportOptions, OpenCVOptions)
NOT_WRITTEN = {"time_limit"}  # it changes nothing of the result
SCHEMAS = sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.schema.json"))


def manifest(artifact: Artifact) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artifact.folder / "artifact.json").read_bytes())
    return content


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The shipped detector."""
    (artifact,) = convert_model("shapes-tiny", out=tmp_path_factory.mktemp("hub"))
    return artifact


@pytest.mark.slow
def test_of_darknet_in_every_format(tmp_path: Path) -> None:
    convert_model("shapes-tiny", ["onnx", "torch", "tflite", "opencv"], out=tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")}
    assert written == {f"{name}/artifact.json" for name in ("onnx", "torch", "tf", "opencv")} | {"opencv/detector.json"}
    assert list(problems_in(tmp_path)) == []


def test_for_the_readers_of_opencv_4(tmp_path: Path, opencv4: str) -> None:
    convert_model("shapes-tiny", ["opencv-classic"], out=tmp_path)
    assert list(problems_in(tmp_path)) == []


@pytest.mark.slow
def test_of_tensorflow(exported: Exports) -> None:
    """By way of ONNX; what does not go through it: tests/convert/to_tensorflow/test_reexport.py."""
    made = exported.onnx("s_ssd_mobilenet_v1")
    assert made.detector["resizer"] and made.detector["suppression"]
    assert problems(manifest(made), WRITTEN["artifact.json"]) == []


def test_of_a_bare_onnx_file(hub: Artifact, tmp_path: Path) -> None:
    (tmp_path / "bare.onnx").write_bytes(hub.model.read_bytes())
    convert(onnx_source(tmp_path / "bare.onnx"), ["opencv"], out=tmp_path / "out")
    assert (tmp_path / "out" / "artifact.json").is_file()
    assert list(problems_in(tmp_path)) == []


def test_with_a_verdict(tmp_path: Path) -> None:
    store = Store(tmp_path)
    verify_model("shapes-tiny", options=Options(speed="none", batches=(1,)), store=store)
    (artifact,) = convert_model("shapes-tiny", store=store)
    assert len(artifact.verdicts) == 1
    assert list(problems_in(tmp_path)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": 2}, r"\$\.schema: 1 was expected"),
        ({"made_on": "Sunday"}, "'made_on' was unexpected"),
        ({"family": "caffe"}, r"\$\.family"),
        ({"files": []}, r"\$\.files: .*contain"),
        ({"files": [{"role": "model", "name": "../m", "sha256": "0" * 64, "size": 1}]}, r"\$\.files\[0\]\.name"),
        ({"files": [{"role": "model", "name": "m", "sha256": "0" * 63, "size": 1}]}, r"\$\.files\[0\]\.sha256"),
        (
            {"inputs": [{"name": "i", "dtype": "float32", "shape": [1.5], "meaning": ""}]},
            r"\$\.inputs\[0\]\.shape\[0\]",
        ),
        ({"options": {"head": "raw"}}, "'head' was unexpected"),
        ({"detector": {"box_format": "xyxy"}}, r"\$\.detector\.box_format"),
        ({"verdicts": [{"verdict": "pass"}]}, "'device' is a required property"),
    ],
)
def test_a_wrong_manifest_is_refused(change: dict[str, object], told: str, hub: Artifact) -> None:
    found = problems(manifest(hub) | change, WRITTEN["artifact.json"])
    assert re.search(told, "\n".join(found)), found


def test_the_manifests_schema_knows_what_the_classes_have() -> None:
    def names(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    parts = {name: set(MANIFEST["$defs"][name]["properties"]) for name in ("file", "tensor", "options")}
    assert set(MANIFEST["properties"]) == names(Artifact) - {"folder"} | {"schema"}
    assert (parts["file"], parts["tensor"]) == (names(FileRecord), names(TensorSpec))
    assert parts["options"] == set().union(*map(names, OPTIONS)) - NOT_WRITTEN


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_one_comes_with_the_wheel_and_is_documented(path: Path) -> None:
    Draft202012Validator.check_schema(schema(path))
    assert path in (*WRITTEN.values(), PRINTED)
    place = path.relative_to(ROOT)
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(place.match(pattern) for pattern in shipped[".".join(("zoo", *place.parent.parts))])
    assert f"`{place}`" in (ROOT / "docs" / "json.md").read_text()
