"""`zoo verify` and `zoo judge` as commands: exit codes, saved results, usage errors."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import jsonschema
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from tests.pipeline.test_verify import CFG
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.cli import judge, verify
from zoo.verify.reports.as_json import SCHEMA_FILE
from zoo.verify.result import SCHEMA


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options that name a small Darknet model."""
    cfg, weights = tmp_path / "tiny.cfg", tmp_path / "tiny.weights"
    cfg.write_text(CFG)
    values = np.random.default_rng(1).normal(size=14 + 14 * 27).astype("<f4")
    weights.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + values.tobytes())
    return ["--cfg", str(cfg), "--weights", str(weights), "--no-speed", "--threads", "1"]


def run(command: object, *arguments: str) -> tuple[int, str]:
    """The command's return value, which is the exit code of `zoo`, and what it printed."""
    result = CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)  # type: ignore[arg-type]
    return result.return_value, result.output


def test_a_pass_is_0_and_saves_every_form(files: list[str], tmp_path: Path) -> None:
    saved = {form: tmp_path / f"result.{form}" for form in ("json", "junit", "markdown", "html")}
    options = [word for form, path in saved.items() for word in (f"--{form}", str(path))]
    code, output = run(verify.command, *files, *options, "--batch", "1,2", "--seed", "5")
    assert code == 0
    assert "PASS: within" in output
    content = json.loads(saved["json"].read_bytes())
    jsonschema.validate(content, json.loads(SCHEMA_FILE.read_bytes()))
    assert content["reports"][0]["batches"] == [1, 2]
    assert content["reports"][0]["seed"] == 5
    assert ET.parse(saved["junit"]).getroot().get("failures") == "0"
    assert saved["markdown"].read_text().count("✅") == 1
    assert "<h1>zoo verify: 1 of 1 pass</h1>" in saved["html"].read_text()


def test_what_is_missing_is_5_and_the_rest_is_verified(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    saved = tmp_path / "result.json"
    code, output = run(verify.command, *files, "--format", "onnx,opencv", "--device", "cpu,cuda", "--json", str(saved))
    assert code == MissingBackend.exit_code
    assert "FAIL: not verified: cuda was asked for" in " ".join(output.split())
    reports = json.loads(saved.read_bytes())["reports"]
    found = [(one["format"], one["device"]["asked"], one["judgement"]["verdict"]) for one in reports]
    assert found == [
        ("onnx", "cpu", "pass"), ("onnx", "cuda", "fail"), ("opencv", "cpu", "pass"), ("opencv", "cuda", "fail")
    ]  # fmt: skip
    assert run(judge.command, str(saved))[0] == MissingBackend.exit_code


@pytest.mark.parametrize(
    ("format", "runtime", "program"), [("onnx", "opencv", "opencv"), ("opencv", "onnx_runtime", "onnxruntime")]
)
def test_a_file_in_another_program(files: list[str], tmp_path: Path, format: str, runtime: str, program: str) -> None:
    saved = tmp_path / "result.json"
    code, _ = run(verify.command, *files, "--format", format, "--runtime", runtime, "--json", str(saved))
    (report,) = json.loads(saved.read_bytes())["reports"]
    assert (code, report["format"], report["device"]["runtime"].split()[0]) == (0, format, program)


@pytest.mark.parametrize(
    ("formats", "runtime", "told"),
    [
        ("onnx", "caffe", "onnx runs in onnx_runtime or opencv"),
        ("onnx,torch", "opencv", "torch runs in pytorch"),
        ("caffe", "opencv", "known: onnx, torch, tf"),
    ],
)
def test_a_program_that_does_not_run_the_format(files: list[str], formats: str, runtime: str, told: str) -> None:
    with pytest.raises(UsageError, match="runtime") as caught:
        run(verify.command, *files, "--format", formats, "--runtime", runtime)
    assert told in caught.value.hint


def test_a_failure_is_1_and_judging_again_can_differ(files: list[str], tmp_path: Path) -> None:
    saved = str(tmp_path / "result.json")
    code, output = run(verify.command, *files, "--margin", "1e-9", "--json", saved)
    assert code == 1
    assert "FAIL: output boxes" in output
    assert run(judge.command, saved)[0] == 1
    again = str(tmp_path / "again.json")
    code, output = run(judge.command, saved, "--tolerance", "1e-2", "--output", "scores", "--json", again)
    assert (code, "PASS" in output) == (0, True)
    assert run(judge.command, again)[0] == 1  # the detections keep their verdict
    assert run(judge.command, again, "--output", "scores")[0] == 0


def test_conditions_and_baselines_are_gates(files: list[str], tmp_path: Path) -> None:
    saved, quick = str(tmp_path / "result.json"), [word if word != "--no-speed" else "--quick" for word in files]
    code, output = run(verify.command, *quick, "--batch", "1", "--json", saved, "--require", "fps>=1,max_abs<=1e-2")
    assert code == 0
    assert "fps>=1: pass" in output
    assert run(judge.command, saved, "--require", "fps>=1e9")[0] == 1
    assert run(judge.command, saved, "--baseline", saved)[0] == 0  # nothing is slower than itself
    content = json.loads(Path(saved).read_bytes())
    median = content["reports"][0]["speed"]["median"]
    content["reports"][0]["speed"]["median"] = {name: value / 2 for name, value in median.items()}
    faster = tmp_path / "faster.json"
    faster.write_text(json.dumps(content))
    code, output = run(judge.command, saved, "--baseline", str(faster))
    assert code == 1
    assert "FAIL: baseline: " in output
    content["reports"][0]["environment"]["processor"] = "another"
    faster.write_text(json.dumps(content))
    code, output = run(judge.command, saved, "--baseline", str(faster))
    assert code == 0
    assert "another machine: processor another" in output


def test_judging_again_writes_every_form(files: list[str], tmp_path: Path) -> None:
    saved = str(tmp_path / "result.json")
    run(verify.command, *files, "--json", saved)
    forms = {form: tmp_path / f"again.{form}" for form in ("json", "junit", "markdown", "html")}
    options = [word for form, path in forms.items() for word in (f"--{form}", str(path))]
    assert run(judge.command, saved, "--tolerance", "1e-12", *options)[0] == 1
    assert "0 of 1 pass" in forms["markdown"].read_text()
    assert ET.parse(forms["junit"]).getroot().get("failures") != "0"
    assert forms["html"].read_text().count("✗ fail") > 1


@pytest.mark.slow
def test_all_is_what_is_here_and_workers_share_the_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "result.json"
    options = ("--quick", "--batch", "1", "--threads", "1", "--json", str(saved))
    code, output = run(verify.command, "--all", "-j", "2", *options)
    assert code == 0
    assert "1 of 1: shapes-tiny" in output
    (report,) = json.loads(saved.read_bytes())["reports"]
    assert report["name"] == "shapes-tiny"
    assert report["speed"]["memory"]["host_peak"] > 10**7


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cfg", "a.cfg"],
        ["name", "--cfg", "a.cfg", "--weights", "a.weights"],
        ["--reference", "a.onnx"],
        ["--artifact", "a.onnx"],
        ["name", "--artifact", "a.onnx", "--reference", "b.onnx"],
        ["--all", "name"],
        ["--all", "--artifact", "a.onnx", "--reference", "b.onnx"],
        ["--all", "--require", "quick>=3"],
        ["--all", "--no-speed", "--baseline", "missing.json"],
        ["--artifact", "a.onnx", "--reference", "b.onnx", "--cfg", "a.cfg", "--weights", "a.weights"],
    ],
)
def test_what_does_not_fit_together(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        run(verify.command, *arguments)


@pytest.mark.parametrize("option", [["--batch", "0"], ["--batch", "a"], ["--device", "tpu"], ["--format", "caffe"]])
def test_values_that_make_no_sense(option: list[str], files: list[str]) -> None:
    with pytest.raises(UsageError):
        run(verify.command, *files, *option)


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        *((judge.command, option, value) for option in ("--margin", "--tolerance") for value in ("nan", "-1", "inf")),
        *((verify.command, "--margin", value) for value in ("nan", "-1", "inf")),
        *((verify.command, "--threshold", value) for value in ("nan", "-0.1", "1.1")),
        (verify.command, "--seed", "-1"),
    ],
)
def test_numbers_that_no_verdict_can_rest_on(command: click.Command, option: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="not"):
        run(command, str(tmp_path / "r.json"), option, value)


def test_no_report_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"kind": "zoo verify", "schema": SCHEMA, "reports": []}))
    again = tmp_path / "again.json"
    with pytest.raises(VerificationError, match="nothing was verified"):
        run(judge.command, str(tmp_path / "r.json"), "--json", str(again))
    assert not again.exists()


def test_the_exit_code_is_that_of_the_verdict(files: list[str], tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    run(verify.command, *files, "--json", str(saved))
    content = json.loads(saved.read_bytes())
    content["reports"][0]["exit_code"] = MissingBackend.exit_code
    saved.write_text(json.dumps(content))
    assert run(judge.command, str(saved))[0] == 0


@pytest.mark.parametrize("form", ["json", "junit", "markdown", "html"])
def test_a_report_without_a_name(form: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--{form} expects the name of a file"):
        run(judge.command, str(tmp_path / "r.json"), f"--{form}", "")


def test_judge_takes_one_rule_and_a_saved_result(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        run(judge.command, str(tmp_path / "r.json"), "--margin", "1", "--tolerance", "1")
    with pytest.raises(UsageError, match="not a saved result"):
        run(judge.command, str(tmp_path / "missing.json"))
