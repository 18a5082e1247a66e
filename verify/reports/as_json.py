"""Reports as JSON, saved and read back. The schema is `report.schema.json` beside this file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from zoo.base.errors import UsageError, ZooError
from zoo.base.files import named_file
from zoo.base.plain import checked, parse
from zoo.verify.result import SCHEMA, Report

KIND = "zoo verify"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
EXIT_CODES = {0, *(kind.exit_code for kind in ZooError.__subclasses__())}


def to_json(reports: Sequence[Report]) -> str:
    """All reports of one command as one document. It has no date: the same result is the same text."""
    content = {"kind": KIND, "schema": SCHEMA, "reports": [dataclasses.asdict(report) for report in reports]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, reports: Sequence[Report]) -> None:
    """Save reports."""
    with named_file(path) as file:
        file.write(to_json(reports).encode())


def read_json(path: Path) -> list[Report]:
    """Read saved reports. Raises UsageError where the file is not one, or is of another schema."""
    try:
        content = parse(path.read_bytes())
        if content["kind"] != KIND or checked(int, content["schema"], "schema") != SCHEMA:
            raise ValueError(f"kind {content['kind']!r}, schema {content['schema']!r}")
        reports = checked(tuple[Report, ...], content["reports"], "reports", complete=True)
        for report in reports:
            _check(report)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path}: not a saved result of schema {SCHEMA}: {error}", hint="save one with: zoo verify NAME --json FILE"
        ) from error
    return list(reports)


def _check(report: Report) -> None:
    """What the types of the fields do not say, and what reads a result relies on."""
    speed = report.speed
    histograms = [output.errors for output in report.outputs] + [speed.latency if speed else None]
    wrong = {
        "its exit code is none of zoo's": report.exit_code not in EXIT_CODES,
        "an output has no measurements": not all(output.measurements for output in report.outputs),
        "a time is not above 0": speed is not None and min(dataclasses.astuple(speed.median)) <= 0,
        "a histogram has not one edge more than counts": any(
            len(one.edges) != len(one.counts) + 1 for one in histograms if one
        ),
    }
    for problem, found in wrong.items():
        if found:
            raise ValueError(f"{report.name}: {problem}")
