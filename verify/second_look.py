"""What failed is run again: a program that gives other numbers for the same input is a finding of its own, and then the
file need not be what is wrong. Never turns a failure into a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from zoo.verify.noise import times_floor
from zoo.verify.parity import Evidence, plan, run_candidate
from zoo.verify.runtimes.protocol import Runner
from zoo.verify.tensors import compare
from zoo.verify.verdict import PASS, Judgement


def instability(
    runner: Runner, evidence: Evidence, names: Sequence[str], judge: Callable[[Evidence], Judgement]
) -> str:
    """How a second run of everything differs from the first, in words; "" where it is as far from the truth as before.

    `names` are the outputs whose numbers keep their places from run to run, `judge` is the verdict on all outputs.
    """
    sizes = list(dict.fromkeys(run.batch for run in evidence.runs))
    batches, truth = plan(len(evidence.samples), sizes), evidence.observations[0].truth
    again = replace(evidence, runs=run_candidate(runner, evidence.samples, batches, truth))
    moved = {name: _moved(name, evidence, again) for name in names}
    parts = [f"{name} by {times:.3g} times the noise floor" for name, times in moved.items() if times > evidence.margin]
    passes = judge(again).verdict == PASS
    if not parts and not passes:
        return ""
    which = f", {' and '.join(parts)}" if parts else ""
    return f"two runs of the same input differ{which}; the second {'passes' if passes else 'fails, too'}"


def _moved(name: str, first: Evidence, second: Evidence) -> float:
    """The largest difference between the runs, in noise floors; what is not a number on either side is not counted."""
    pairs = zip(first.runs, second.runs, strict=True)
    times = (
        times_floor(compare(after.outputs[name], before.outputs[name]), first.floors[name]) for before, after in pairs
    )
    return max((one for one in times if one is not None), default=0.0)
