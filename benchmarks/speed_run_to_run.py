"""How often `--baseline` fails a build that did not change: the same model timed in process after process.

    python benchmarks/speed_run_to_run.py [MODEL.onnx] [--runs 20] [--quick]

Each run is a process of its own and is judged as `zoo verify --baseline` does, against the run before it, and against
the three before it as one baseline. Printed is every median with its interval, and how many runs failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from zoo.pipeline.convert import convert_model
from zoo.verify.baseline import span, time_ratio
from zoo.verify.inputs import closed, make_samples
from zoo.verify.result import Interval
from zoo.verify.runtimes.protocol import Settings, available_threads
from zoo.verify.runtimes.table import load_runner
from zoo.verify.speed import EFFORTS, measure, median_interval, warm_up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    effort = "quick" if arguments.quick else "full"
    if arguments.once:
        median = timed(arguments.model, effort)
        print(median.value, median.low, median.high)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or convert_model("shapes-tiny", out=Path(folder))[0].model
        medians = [in_a_process(model, arguments.quick) for _ in range(arguments.runs)]
    for median in medians:
        print(f"{median.value * 1e3:.4f} ms [{median.low * 1e3:.4f}, {median.high * 1e3:.4f}]")
    for before in (1, 3):
        judged = range(before, len(medians))
        failed = sum(time_ratio(medians[run], span(medians[run - before : run])).low > 1 for run in judged)
        print(f"against the {before} before: {failed} of {len(judged)} runs fail")


def in_a_process(model: Path, quick: bool) -> Interval:
    """The median of a new process."""
    command = [sys.executable, __file__, str(model), "--once", *(["--quick"] if quick else [])]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return Interval(*map(float, words))


def timed(model: Path, effort: str) -> Interval:
    """As `zoo verify` times it."""
    with closing(load_runner(model, "onnx", Settings(threads=available_threads()))) as runner:
        call, _ = runner.bind(make_samples(closed(runner.inputs, runner.inputs), 0)[0].feeds)
        warm_up(call, EFFORTS[effort])
        return median_interval(measure(call, EFFORTS[effort]))


if __name__ == "__main__":
    main()
