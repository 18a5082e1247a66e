"""`make conformance`: run ONNX's own node tests through the writers, print the score and write docs/conformance.md.

    python -m tests.conformance.scoreboard --older build/onnx-1.12/onnx-1.12.0-*.whl

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

from tests.conformance.cases import Case, Result, collect, judge, stored
from tests.conformance.writers import WRITERS

REPORT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
INTRODUCTION = """# Conformance of the writers

Written by `make conformance`; do not edit. Passed / applicable node tests of the onnx package, by operator.

A node test applies where it has an input, its inputs and outputs are dense tensors of float32, int32, int64 or bool and
all its operators belong to ONNX and are in the writer's table. The first input stays an input, the others become
initializers, as they are in a detector. Numbers are compared with the tolerance that the onnx package uses (relative
1e-3, absolute 1e-7 unless a test says otherwise), shapes and element types exactly. No answer is stored anywhere: each
is computed from the input when the module runs, and a graph that only asks for a shape gets an input of open sizes.
ONNX Runtime runs all tests, as a yardstick; most that it fails are of newer opsets than it knows.

Many operators come twice: as one node, and expanded into simpler ones; the table counts both, the first rows tell them
apart. The node tests of onnx {older} are those of opset 17 and before, read from that package's files.
"""
OLDER = "1.12.0"


@dataclass(frozen=True)
class Score:
    """The results of one writer; `refused` are cases with an operator that is not in its table."""

    target: str
    results: list[Result]
    refused: list[Case]

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if not result.passed]

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
    refused = [case for case in cases if case.name not in names]
    return Score(target, [judge(case, run) for case in applicable], refused)


def report(scores: list[Score], older: list[Score]) -> str:
    """The scoreboard as Markdown. `older` are scores of the node tests of onnx `OLDER`, of the same targets."""
    tables = [score.by_operator() for score in scores]
    targets = " | ".join(score.target for score in scores)
    lines = [INTRODUCTION.format(older=OLDER), f"| suite | {targets} |", "|---" * (len(scores) + 1) + "|"]
    suites = {
        f"onnx {onnx.__version__}": [score.results for score in scores],
        f"onnx {onnx.__version__}, without expansions": [unexpanded(score.results) for score in scores],
        f"onnx {OLDER}, without expansions": [unexpanded(score.results) for score in older],
    }
    lines += [_row(name, [_share(results) for results in columns]) for name, columns in suites.items()]
    lines += ["", f"| operator | {targets} |", "|---" * (len(scores) + 1) + "|"]
    for operator in sorted(set().union(*tables)):
        cells = [f"{table[operator][0]} / {table[operator][1]}" if operator in table else "–" for table in tables]
        lines.append(_row(operator, cells))
    for number, score in enumerate(scores):
        if not WRITERS[score.target][1]:
            continue
        failed = [result for other in (score, *older[number : number + 1]) for result in other.failed]
        lines += ["", f"## {score.target}: what fails, and why", ""]
        lines += sorted({f"- `{result.case.name}`: {_plain(result.error)}" for result in failed})
        missing = sorted({name for case in score.refused for name in case.operators} - set(score.by_operator()))
        if missing:
            lines += ["", f"Not in the table ({len(score.refused)} tests): {', '.join(missing)}."]
    return "\n".join([*lines, ""])


def unexpanded(results: list[Result]) -> list[Result]:
    """Without the tests of operators that onnx expanded into simpler ones."""
    return [result for result in results if "_expanded" not in result.case.name]


def _share(results: list[Result]) -> str:
    return f"{sum(result.passed for result in results)} / {len(results)}" if results else "–"


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("<", "(").replace(">", ")")[:160]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", action="append", choices=list(WRITERS), help="default: all")
    parser.add_argument("--older", type=Path, help=f"the wheel of onnx {OLDER}, for its node tests too")
    parser.add_argument("--print", action="store_true", dest="only_print", help="do not write docs/conformance.md")
    options = parser.parse_args()
    targets = options.target or list(WRITERS)
    older_cases = [case for case in stored(options.older) if "_expanded" not in case.name] if options.older else []
    cases = collect()
    scores = [shown(score(target, cases)) for target in targets]
    older = [shown(score(target, older_cases)) for target in targets if older_cases]
    if not options.only_print:
        REPORT.write_text(report(scores, older), encoding="utf-8")


def shown(score: Score) -> Score:
    """Print a score and its failures; returns it."""
    print(f"{score.target}: {score.passed} / {len(score.results)}, not in its table {len(score.refused)}")
    if WRITERS[score.target][1]:
        print("\n".join(f"  {result.case.name}: {result.error}" for result in score.failed), flush=True)
    return score


if __name__ == "__main__":
    main()
