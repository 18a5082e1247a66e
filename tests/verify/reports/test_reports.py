"""The forms of a report: JSON by its schema and back, JUnit by the rules of its readers, Markdown, the terminal."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from tests.mutations.kinds import MUTATIONS, Mutation
from tests.verify import tiny
from tests.verify.reports.junit_schema import problems
from tests.verify.reports.schema_of import schema
from zoo.base.errors import UsageError
from zoo.verify import Options, verify_artifact
from zoo.verify.reports.as_json import SCHEMA_FILE, read_json, to_json, write_json
from zoo.verify.reports.as_junit import to_junit
from zoo.verify.reports.as_markdown import to_markdown
from zoo.verify.reports.on_terminal import show
from zoo.verify.result import Report, summary


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """A pass with speed, a failed tensor, a NaN, a stale artifact, and an output that proves nothing."""
    right = tiny.detector()
    reference = tiny.TinyReference(right)

    def verified(name: str, mutate: Mutation | None, speed: str = "none") -> Report:
        model = type(right)()
        model.CopyFrom(right)
        if mutate:
            mutate(model)
        artifact = tiny.write(model, tmp_path_factory.mktemp("artifact"), reference.sources)
        return verify_artifact(dataclasses.replace(artifact, name=name), reference, Options(speed=speed, threads=1))

    passed = verified("right", None, "quick")
    failed = verified("one weight | <off>", MUTATIONS["one weight off by 1 %"][0])
    nan = verified("nan", MUTATIONS["NaN in a weight"][0])
    stale = dataclasses.replace(passed, outputs=(), judgement=failed.judgement, speed=None, detections=None)
    unclear = dataclasses.replace(passed, judgement=dataclasses.replace(passed.judgement, verdict="inconclusive"))
    return [passed, failed, nan, stale, unclear]


def test_the_schema_file_is_what_the_classes_say() -> None:
    assert json.loads(SCHEMA_FILE.read_bytes()) == schema()
    jsonschema.Draft202012Validator.check_schema(schema())


def test_json_obeys_the_schema_and_comes_back_equal(reports: list[Report], tmp_path: Path) -> None:
    jsonschema.validate(json.loads(to_json(reports)), json.loads(SCHEMA_FILE.read_bytes()))
    write_json(tmp_path / "result.json", reports)
    assert read_json(tmp_path / "result.json") == reports
    assert "NaN" not in to_json(reports).replace("values are NaN", "")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"kind": "zoo verify", "schema": 99, "reports": []}', b'{"kind": "zoo verify", "schema": 2}',
     b'{"kind": "zoo verify", "schema": 3, "reports": [{"name": "x"}]}', b"<html>",
     b'{"kind": "zoo verify", "schema": 3.0, "reports": []}', b'{"kind": "zoo verify", "schema": 3, "reports": {}}'],
)  # fmt: skip
def test_what_is_no_saved_result_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"result\.json: not a saved result"):
        read_json(path)


MEASURED = ("outputs", 0, "measurements", 0)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("outputs", 0, "margin"), "9", r"reports\[0\]\.outputs\[0\]\.margin: expected a number, found \"9\""),
        (("outputs", 0, "margin"), math.nan, "NaN"),
        (("outputs", 0, "measurements"), [], "no measurements"),
        (("outputs", 0, "just_passes"), "1", "expected a number"),
        (("outputs", 0, "judgement", "verdict"), "maybe", "'maybe' is no verdict"),
        (("outputs", 0, "errors", "counts"), [1], "one edge more"),
        (("outputs", 0, "errors", "counts", 0), 1.5, "expected a whole number"),
        (("outputs",), {}, "expected a list"),
        ((*MEASURED, "difference", "max"), "x", "expected a number"),
        ((*MEASURED, "difference", "max"), None, "found null"),
        ((*MEASURED, "difference", "max"), 10**400, "expected a number"),
        ((*MEASURED, "batch"), True, "expected a whole number"),
        (("speed", "median"), 0, "expected an object"),
        (("speed", "median", "low"), 0.0, "not above 0"),
        (("detections",), "x", "expected an object"),
        (("labels",), None, "expected a list"),
        (("environment", "system"), 1, "expected a text"),
        (("device", "unknown"), 1, "unknown keys: unknown"),
        (("name",), "\ud800", "surrogates"),
        (("exit_code",), "1", "expected a whole number"),
        (("exit_code",), 256, "exit code"),
    ],
)  # fmt: skip
def test_an_edited_result_is_refused(
    reports: list[Report], place: tuple[str | int, ...], value: object, told: str, tmp_path: Path
) -> None:
    content = json.loads(to_json(reports))
    part = content["reports"][0]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=rf"not a saved result of schema 3: .*{told}"):
        read_json(tmp_path / "result.json")


def test_a_whole_number_is_a_number_and_a_key_may_not_lack(reports: list[Report], tmp_path: Path) -> None:
    content = json.loads(to_json(reports))
    content["reports"][0]["outputs"][0]["margin"] = 10
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert read_json(tmp_path / "result.json") == reports
    del content["reports"][0]["exit_code"]
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"reports\[0\] lacks: exit_code"):
        read_json(tmp_path / "result.json")


def test_junit_obeys_its_schema(reports: list[Report]) -> None:
    root = ET.fromstring(to_junit(reports))
    assert problems(root) == []
    for suite in root:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<testsuite/>", "no testsuite at the top"),
        ('<testsuites name="" tests="1" failures="0"/>', "lacks errors"),
        ('<testsuites name="" tests="one" failures="0" errors="0"/>', "tests is 'one'"),
        ('<testsuites name="" tests="1" failures="0" errors="0" skipped="1"/>', "has no attribute skipped"),
        ('<testsuites name="" tests="1" failures="0" errors="0"><testcase/></testsuites>', "testcase has no place"),
        ('<testsuites name="" tests="1" failures="0" errors="0">words</testsuites>', "has text"),
    ],
)
def test_the_schema_of_junit_finds_faults(document: str, words: str) -> None:
    assert words in " ".join(problems(ET.fromstring(document)))


def test_junit_says_what_failed_and_where(reports: list[Report]) -> None:
    right, failed, _, _, unclear = ET.fromstring(to_junit(reports))
    assert (right.get("failures"), right.get("errors")) == ("0", "0")
    assert [case.get("name") for case in right.findall("testcase")] == [
        "verdict", "output boxes", "output scores", "detections", "speed run"
    ]  # fmt: skip
    verdict = failed.find("testcase/failure")
    assert verdict is not None
    assert "times the noise floor" in verdict.attrib["message"]
    assert verdict.text is not None
    assert "first layer that departs: 1 [convolutional], cfg line 15" in verdict.text
    assert unclear.find("testcase/error") is not None


def test_junit_survives_names_that_xml_cannot_hold(reports: list[Report]) -> None:
    strange = dataclasses.replace(reports[0], name="a\x00b\x1b[31m<&>")
    assert "a\ufffdb\ufffd[31m<&>" in ET.fromstring(to_junit([strange]))[0].attrib["name"]


def test_markdown_has_a_line_for_each_and_escapes(reports: list[Report]) -> None:
    text = to_markdown(reports)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 1 + len(reports)
    assert rows[1].startswith("| ✅ | right | onnx, onnxruntime ")
    assert text.startswith("**zoo verify: 1 of 5 pass**")
    assert "one weight \\| &lt;off>" in rows[2]
    assert "first layer that departs: **1 [convolutional]" in text


def test_the_terminal_shows_a_verdict_for_each(reports: list[Report]) -> None:
    stream = io.StringIO()
    show(reports, Console(file=stream, width=100))
    text = stream.getvalue()
    assert "PASS: within" in text
    assert "FAIL: output" in text
    assert "first layer that departs: 1 [convolutional]" in text
    assert "INCONCLUSIVE" in text


def test_the_summary_is_one_line(reports: list[Report]) -> None:
    assert all("\n" not in summary(report) for report in reports)
    assert summary(reports[0]).startswith("right · onnx · cpu · fp32: PASS: within ")
