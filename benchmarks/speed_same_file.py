"""The A/A test of the speed comparison: the same file twice must come out as "no difference".

    python benchmarks/speed_same_file.py [MODEL.onnx] [--runs 20] [--slower 5]

Each run opens the file twice, in sessions of their own, and times them in turns as `zoo verify` does. Without a file it
takes the detector that zoo ships with. Printed is every ratio and how many runs found a difference; exit code 1 if
more than one in twenty did. `--slower` shows the other side: one of the two is slowed down by so many per cent, and
each run should find that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from zoo.pipeline.convert import convert_model
from zoo.verify.inputs import closed, make_samples
from zoo.verify.runtimes.protocol import Settings, available_threads
from zoo.verify.runtimes.table import load_runner
from zoo.verify.side_by_side import of_turns, time_in_turns
from zoo.verify.speed import EFFORTS, Call, Comparison, compare_times, measure, median_interval, warm_up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--slower", type=float, default=0.0, help="per cent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or convert_model("shapes-tiny", out=Path(folder))[0].model
        found = [compare(model, arguments.slower, seed) for seed in range(arguments.runs)]
    for seed, comparison in enumerate(found):
        ratio = comparison.ratio
        told = f"{ratio.value:.4f} [{ratio.low:.4f}, {ratio.high:.4f}], chance {comparison.chance:.4f}"
        print(f"run {seed}: ratio {told}, {comparison.rounds} rounds: {'differs' if comparison.differs else 'same'}")
    differ = sum(comparison.differs for comparison in found)
    print(f"{len(found) - differ} of {len(found)} runs report no difference")
    return 0 if arguments.slower or differ <= len(found) / 20 else 1


def compare(model: Path, slower: float, seed: int) -> Comparison:
    """Time the same file against itself once."""
    settings = Settings(threads=available_threads())
    with (
        closing(load_runner(model, "onnx", settings)) as first,
        closing(load_runner(model, "onnx", settings)) as second,
    ):
        feeds = make_samples(closed(first.inputs, first.inputs), seed)[0].feeds
        calls: list[Call] = [runner.bind(feeds)[0] for runner in (first, second)]
        if slower:
            calls[1] = delayed(calls[1], slower)
        for call in calls:
            warm_up(call, EFFORTS["full"])
        return compare_times(of_turns(time_in_turns(calls, EFFORTS["full"])), seed)


def delayed(call: Call, per_cent: float) -> Call:
    """The same call, which takes so much longer."""
    usual = median_interval(measure(call, EFFORTS["quick"])).value

    def slow() -> None:
        call()
        end = time.perf_counter() + usual * per_cent / 100
        while time.perf_counter() < end:
            pass

    return slow


if __name__ == "__main__":
    sys.exit(main())
