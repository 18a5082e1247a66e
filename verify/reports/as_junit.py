"""Reports as JUnit XML for CI pages: a suite for each model × format × device, a case for each thing judged.

JUnit knows pass, failure, error and skipped. An inconclusive verdict is an error: CI must not take it for a pass.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.base.files import named_file
from zoo.verify.result import OutputResult, Report
from zoo.verify.verdict import FAIL, PASS, Judgement

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(reports: Sequence[Report]) -> bytes:
    """All reports of one command as one `testsuites` document."""
    root = ET.Element("testsuites", name="zoo verify")
    for report in reports:
        _add_suite(root, report)
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def write_junit(path: Path, reports: Sequence[Report]) -> None:
    """Save the document."""
    with named_file(path) as file:
        file.write(to_junit(reports))


def _add_suite(root: ET.Element, report: Report) -> None:
    name = f"{report.name}.{report.format}.{report.device.used}.{report.precision}"
    suite = ET.SubElement(root, "testsuite", name=_text(name))
    properties = ET.SubElement(suite, "properties")
    facts = {"runtime": report.device.runtime, "reference": report.reference, **report.environment}
    for key, value in facts.items():
        ET.SubElement(properties, "property", name=_text(key), value=_text(value))
    cases = list(_cases(report))
    for case, judgement, details in cases:
        _add_case(suite, name, case, judgement, details)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(judgement.verdict == FAIL for _, judgement, _ in cases)))
    suite.set("errors", str(sum(judgement.verdict not in (PASS, FAIL) for _, judgement, _ in cases)))


def _cases(report: Report) -> Iterator[tuple[str, Judgement, str]]:
    """Name, judgement and details of everything judged. The verdict itself comes first: it also fails where there
    was nothing to compare, e.g. for a stale artifact."""
    yield "verdict", report.judgement, _where(report)
    for output in report.outputs:
        yield f"output {output.name}", output.judgement, _numbers(output)
    if report.detections:
        rest = [f"{one.side} only: {one.box}, {one.borderline or 'unexplained'}" for one in report.detections.unmatched]
        yield "detections", report.detections.judgement, "\n".join(rest)
    if report.speed:
        yield "speed run", report.speed.judgement, "\n".join(report.speed.warnings)
    for gate in report.gates:
        yield gate.name, gate.judgement, ""


def _where(report: Report) -> str:
    departure = report.departure
    if not departure:
        return ""
    return f"first layer that departs: {departure.where}"


def _numbers(output: OutputResult) -> str:
    """One line for each sample, as a person wants to read it on a CI page."""
    return "\n".join(
        f"{m.sample} (batch {m.batch}): max {m.difference.max:.3g}, rms {m.difference.rms:.3g}, "
        f"{'—' if m.times_floor is None else f'{m.times_floor:.3g}'} times the floor, {m.judgement.verdict}"
        for m in output.measurements
    )


def _add_case(suite: ET.Element, group: str, name: str, judgement: Judgement, details: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=_text(group), name=_text(name))
    if judgement.verdict != PASS:
        kind = "failure" if judgement.verdict == FAIL else "error"
        result = ET.SubElement(case, kind, message=_text(judgement.reason), type=judgement.verdict)
        result.text = _text(details)


def _text(value: str) -> str:
    """Without the characters that XML cannot hold, e.g. from a file name."""
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)
