"""`make conformance`: run ONNX's own node tests through the writers, print the score and write docs/conformance.md.

A test counts for a writer where its operators are all in the writer's table; what is not in the table is refused by
name when a model is converted, and listed here. ONNX Runtime runs the same cases as a yardstick.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from tests.conformance.cases import Case, Result, collect, judge
from tests.conformance.writers import WRITERS

REPORT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
INTRODUCTION = """# Conformance of the writers

Written by `make conformance`; do not edit. Passed / applicable node tests of the onnx package {version}, by operator.

A node test applies where its inputs and outputs are dense tensors of float32, int32, int64 or bool and all its
operators belong to ONNX and are in the writer's table. The first input stays an input, the others become
initializers, as they are in a detector. Numbers are compared with the tolerance that the onnx package uses (relative
1e-3, absolute 1e-7 unless a test says otherwise), shapes and element types exactly. No answer is stored anywhere.
"""


@dataclass(frozen=True)
class Score:
    """The results of one writer; `refused` are cases with an operator that is not in its table."""

    target: str
    results: list[Result]
    refused: list[Case]

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    def by_operator(self) -> dict[str, tuple[int, int]]:
        """Operator → passed and applicable tests of graphs that contain it."""
        counts: dict[str, list[bool]] = defaultdict(list)
        for result in self.results:
            for operator in result.case.operators:
                counts[operator].append(result.passed)
        return {operator: (sum(passed), len(passed)) for operator, passed in counts.items()}


def score(target: str, cases: Iterable[Case]) -> Score:
    """Run every case that applies to `target`, a key of `WRITERS`."""
    run, operators = WRITERS[target]
    known = operators() if operators else None
    applicable = [case for case in cases if known is None or case.operators <= known]
    names = {case.name for case in applicable}
    return Score(target, [judge(case, run) for case in applicable], [case for case in cases if case.name not in names])


def report(scores: list[Score]) -> str:
    """The scoreboard as Markdown."""
    tables = [score.by_operator() for score in scores]
    lines = [INTRODUCTION.format(version=onnx.__version__)]
    lines += ["| operator | " + " | ".join(score.target for score in scores) + " |", "|---" * (len(scores) + 1) + "|"]
    lines.append("| **all** | " + " | ".join(f"**{s.passed} / {len(s.results)}**" for s in scores) + " |")
    for operator in sorted(set().union(*tables)):
        cells = [f"{table[operator][0]} / {table[operator][1]}" if operator in table else "–" for table in tables]
        lines.append(f"| {operator} | " + " | ".join(cells) + " |")
    for score in scores:
        lines += ["", f"## {score.target}: what fails, and why", ""]
        lines += [f"- `{result.case.name}`: {_plain(result.error)}" for result in score.results if not result.passed]
        missing = sorted({name for case in score.refused for name in case.operators} - set(score.by_operator()))
        if missing:
            lines += ["", f"Not in the table ({len(score.refused)} tests): {', '.join(missing)}."]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("<", "(").replace(">", ")")[:160]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", action="append", choices=list(WRITERS), help="default: all")
    parser.add_argument("--print", action="store_true", dest="only_print", help="do not write docs/conformance.md")
    options = parser.parse_args()
    cases = collect()
    scores = [score(target, cases) for target in options.target or WRITERS]
    for entry in scores:
        print(f"{entry.target}: {entry.passed} / {len(entry.results)}, not in its table {len(entry.refused)}")
        print("\n".join(f"  {r.case.name}: {r.error}" for r in entry.results if not r.passed))
    if not options.only_print:
        REPORT.write_text(report(scores), encoding="utf-8")


if __name__ == "__main__":
    main()
