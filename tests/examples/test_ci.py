"""The CI examples: they parse, and every command of zoo in them works, here on the detector that zoo ships."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents.rules import RULES

CI = Path(__file__).parents[2] / "examples" / "ci"
SMALL = {"MODELS": "shapes-tiny", "FORMATS": "onnx", "REQUIRE": "max_abs<=1e-3"}


def github() -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load((CI / "github-actions.yml").read_text())
    return workflow


def gitlab() -> dict[str, Any]:
    job: dict[str, Any] = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["verify models"]
    return job


def scripts(place: str) -> list[str]:
    """The shell scripts that name zoo, in their order."""
    if place == "gitlab":
        return [line for line in gitlab()["script"] if "zoo " in line]
    steps = github()["jobs"]["verify"]["steps"]
    return [step["run"] for step in steps if re.search(r"(^|\s)zoo ", step.get("run", ""))]


def run(script: str, folder: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run a script as CI does, with the `zoo` of this environment and a store of its own."""
    zoo = folder / "bin" / "zoo"
    if not zoo.exists():
        zoo.parent.mkdir()
        zoo.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from zoo.cli.main import main; main()" "$@"\n')
        zoo.chmod(0o755)
    own = {"PATH": f"{zoo.parent}:{os.environ['PATH']}", "ZOO_HOME": str(folder / ".zoo"), **SMALL, **changed}
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize("place", ["github", "gitlab"])
def test_fetch_convert_and_verify_as_written(place: str, tmp_path: Path) -> None:
    fetch, convert, verify = scripts(place)
    assert [script.split("zoo ")[1].split()[0] for script in (fetch, convert)] == ["fetch", "convert"]
    for script in (fetch, convert, verify.replace("zoo verify", "zoo verify --quick")):
        done = run(script, tmp_path)
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "result.json").read_bytes())["reports"][0]["judgement"]["verdict"] == "pass"
    assert ET.parse(tmp_path / "result.xml").getroot().get("failures") == "0"
    assert "1 of 1 pass" in (tmp_path / "report.html").read_text()


def test_a_condition_that_is_not_met_stops_the_pull_request(tmp_path: Path) -> None:
    verify = scripts("github")[-1].replace("zoo verify", "zoo verify --no-speed")
    done = run(verify, tmp_path, REQUIRE="max_abs<=1e-12")
    assert done.returncode == 1
    assert "FAIL: max_abs<=1e-12" in done.stdout
    assert (tmp_path / "report.html").is_file()  # a red run needs its report most
    assert (tmp_path / "result.md").is_file()


def test_the_results_are_kept_even_when_red() -> None:
    steps = github()["jobs"]["verify"]["steps"]
    (upload,) = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert upload["if"] == "always()"
    assert {"result.json", "result.xml", "report.html"} <= set(upload["with"]["path"].split())
    kept = gitlab()["artifacts"]
    assert (kept["when"], kept["reports"]["junit"]) == ("always", "result.xml")


def test_what_is_installed_exists() -> None:
    lines = [step["run"] for step in github()["jobs"]["verify"]["steps"] if step.get("name") == "Install"]
    for line in (*lines, *gitlab()["before_script"]):
        assert line.startswith("pip install ") and RULES["pip"](shlex.split(line)) == ""


def test_nothing_has_more_rights_than_it_needs() -> None:
    assert github()["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in (CI / "github-actions.yml").read_text()
