"""The whole matrix on a GPU: every model that is here × format × precision, verified and timed; `make verify-gpu`.

    python benchmarks/verify_gpu.py [NAME...] [--minutes 10] [--out docs/benchmarks]

Without names it takes every model of the catalog that is on this machine, the shipped one among them. Writes
OUT/<gpu>.json, which `zoo judge` reads, and a page OUT/<gpu>.md. What a runtime here cannot do on CUDA, and what the
time did not suffice for, the page lists. Exit codes as of zoo: 1 if a verdict is not a pass, 5 without a GPU or without
any runtime that uses it.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import MissingBackend, UsageError, ZooError
from zoo.base.files import atomic_file
from zoo.catalog import load_catalog
from zoo.pipeline.many import cards_here
from zoo.pipeline.source import Source, catalog_source
from zoo.pipeline.verify import verify
from zoo.verify import Options, Report
from zoo.verify.environment import environment
from zoo.verify.reports.as_json import write_json
from zoo.verify.reports.as_markdown import to_markdown

FORMATS = ("onnx", "torch", "tf")
PRECISIONS = ("fp32", "tf32", "fp16")
BATCHES = (1, 8)


@dataclass(frozen=True)
class Matrix:
    """What came out: reports, and a line for each cell that could not be run."""

    reports: tuple[Report, ...]
    left_out: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    try:
        gpu = gpu_name()
        catalog = load_catalog()
        names = arguments.names or [card.name for card in cards_here(catalog)]
        matrix = run(names, arguments.minutes * 60)
        if not matrix.reports:
            raise MissingBackend("no runtime here uses the GPU:\n  " + "\n  ".join(matrix.left_out))
    except ZooError as error:
        print(f"verify-gpu: {error}", file=sys.stderr)
        return error.exit_code
    write(arguments.out, gpu, matrix)
    return 0 if all(report.passed for report in matrix.reports) else 1


def gpu_name() -> str:
    """The name of the first GPU, by nvidia-smi. Raises MissingBackend without one."""
    found = environment(on_gpu=True).get("gpu", "")
    if not found:
        raise MissingBackend(
            "no NVIDIA GPU on this machine: nvidia-smi is not here or shows none",
            hint="zoo doctor shows driver and libraries; without a GPU use zoo verify --all",
        )
    return found.split(";")[0].split(",")[0].strip()


def run(names: Sequence[str], seconds: float) -> Matrix:
    """Verify cell after cell until the time is up; a model's formats stay together, so that they are compared."""
    end = time.monotonic() + seconds
    reports: list[Report] = []
    left_out: list[str] = []
    for name in names:
        source = catalog_source(name)
        for precision in PRECISIONS:
            for outcome in _cells(source, precision, end):
                if isinstance(outcome, str):
                    left_out.append(f"{name}, {precision}, {outcome}")
                else:
                    reports += outcome
    return Matrix(tuple(reports), tuple(left_out))


def _cells(source: Source, precision: str, end: float) -> Iterator[list[Report] | str]:
    """The formats that can run at this precision, together; where one cannot, each by itself, to tell why."""
    if time.monotonic() > end:
        yield "not run: the time was up"
        return
    options = Options(precision=precision, batches=BATCHES)
    try:
        yield from _apart(verify(source, FORMATS, devices=("cuda",), options=options))
        return
    except UsageError:
        pass
    for format in FORMATS:
        try:
            yield from _apart(verify(source, (format,), devices=("cuda",), options=options))
        except ZooError as error:
            yield f"{format}: {error.message}"


def _apart(reports: Sequence[Report]) -> Iterator[list[Report] | str]:
    """Verdicts, and what is not on this machine."""
    yield [report for report in reports if not report.exit_code]
    yield from (f"{report.format}: {report.judgement.reason}" for report in reports if report.exit_code)


def write(out: Path, gpu: str, matrix: Matrix) -> tuple[Path, Path]:
    """The JSON and the page of a matrix, named after the GPU."""
    stem = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    result, page = out / f"{stem}.json", out / f"{stem}.md"
    out.mkdir(parents=True, exist_ok=True)
    write_json(result, matrix.reports)
    with atomic_file(page) as file:
        file.write(_page(gpu, result.name, matrix).encode())
    print(f"{result}\n{page}")
    return result, page


def _page(gpu: str, result: str, matrix: Matrix) -> str:
    facts = matrix.reports[0].environment
    lines = [f"# {gpu}", "", f"By `make verify-gpu`. Everything behind these lines is in [{result}]({result}).", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", to_markdown(matrix.reports), *_batches(matrix.reports)]
    if matrix.left_out:
        lines += ["", "## Not run", "", *(f"- {line}" for line in matrix.left_out)]
    return "\n".join(lines) + "\n"


def _batches(reports: Sequence[Report]) -> Iterator[str]:
    """What larger batches cost, in time and memory."""
    yield "## As the batch grows"
    yield ""
    yield "| model | format | precision | batch | median ms | FPS | host peak MB | device peak MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for report, cost in itertools.chain.from_iterable(((r, cost) for cost in r.scaling) for r in reports):
        peaks = [f"{cost.memory[key] / 1e6:.0f}" if key in cost.memory else "—" for key in ("host_peak", "device_peak")]
        cells = [report.name, report.format, report.precision, str(cost.batch), f"{cost.median.value * 1e3:.3f}"]
        yield "| " + " | ".join([*cells, f"{cost.fps:.1f}", *peaks]) + " |"


if __name__ == "__main__":
    sys.exit(main())
