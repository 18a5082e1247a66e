"""What commands print for programs obeys the schema of it. (`zoo fetch` and `zoo cache`: tests/fetch.)"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.schemas import PRINTED, WRITTEN, problems
from zoo.pipeline import doctor
from zoo.shapes import CFG, WEIGHTS

TF = "ssd_mobilenet_v1_coco"


def printed(command: str, *arguments: str) -> Any:
    """What `zoo COMMAND ARGUMENTS --json` prints."""
    module = importlib.import_module(f"zoo.cli.{command}")
    result = CliRunner().invoke(module.command, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("list", ()),
        ("show", ("shapes-tiny",)),
        ("show", ("yolov4-tiny",)),
        ("show", (TF,)),
        ("inspect", (str(CFG),)),
        ("inspect", (str(CFG), str(WEIGHTS))),
    ],
)
def test_it_obeys_its_schema(command: str, arguments: tuple[str, ...]) -> None:
    content = printed(command, *arguments)
    assert content
    assert problems(content, PRINTED, command) == []
    part = content if isinstance(content, dict) else content[0]
    part["more"] = 1
    assert problems(content, PRINTED, command)


def test_what_is_here_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = doctor.Package("numpy", ("numpy",), "arrays", "core", "'CPU'")
    monkeypatch.setattr(doctor, "PACKAGES", (numpy, doctor.Package("no_such_module", ("none",), "nothing", "cpu")))
    content = printed("doctor")
    assert {finding["state"] for finding in content} >= {"ok", "missing"}
    assert problems(content, PRINTED, "doctor") == []


def test_convert_prints_the_manifests(tmp_path: Path) -> None:
    (content,) = printed("convert", "shapes-tiny", "--out", str(tmp_path))
    assert content.pop("path") == f"{tmp_path}/model.onnx"
    assert problems(content, WRITTEN["artifact.json"]) == []
