"""On which samples an output can tell right from wrong.

A network near saturation turns the last bit of a picture into anything: exp of 50, a score that is 0 or 1. There the
reference's own runs differ by as much as its values do, so that a right candidate may, too; and one such sample would
raise a floor that is taken over all of them until it hides what the others show. So an output is judged on the samples
where its noise, times the margin, hides neither their own values nor those of another sample. On the others a
candidate fails only where it is no nearer to the truth than a constant would be, and the reference's own runs are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from zoo.verify.noise import Bounds, judge_difference, noise_floor
from zoo.verify.parity import Evidence, judge_output, over_measurements
from zoo.verify.result import Measurement, OutputResult
from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import compare, root_mean_square
from zoo.verify.verdict import FAIL, INCONCLUSIVE, Judgement

CLEARLY = 4.0  # times its noise a right candidate may be off (see `noise`): as far from the truth is not near it
NOTHING = Judgement(INCONCLUSIVE, "the reference's own runs differ by as much as its values: proves nothing")
UNSETTLED = Judgement(
    INCONCLUSIVE, "the reference's own runs share fewer than half of its detections: proves nothing; give pictures"
)


def judge_where_it_tells(name: str, evidence: Evidence, may_be_fixed: bool = False) -> OutputResult:
    """As `judge_output`, on the samples that can tell; where none can, inconclusive unless a run is far off."""
    seen = evidence.observations
    truths = [one.truth[name] for one in seen]
    own = [noise_floor([compare(run[name], one.truth[name]) for run in one.others], [one.truth[name]]) for one in seen]
    telling = samples_that_tell(truths, own, evidence.margin)
    rest = [place for place in range(len(truths)) if place not in telling]
    if not rest:
        return judge_output(name, evidence, may_be_fixed)
    measured = list(_far_off(name, evidence, {place: _constant(truths[place], own[place]) for place in rest}))
    if not telling:
        return over_measurements(name, measured, NOTHING, largest(own), evidence.margin)
    kept = only(evidence, telling)
    kept = replace(kept, floors={**evidence.floors, name: largest([own[place] for place in telling])})
    result = judge_output(name, kept, may_be_fixed)
    failed = [one for one in measured if one.judgement.verdict == FAIL]
    both = [*result.measurements, *failed]
    return over_measurements(name, both, result.truth, result.floor, result.margin, result.errors)


def samples_that_tell(truths: Sequence[Array], floors: Sequence[Bounds], margin: float) -> list[int]:
    """The positions of those whose noise hides nothing. A sample with one value everywhere hides nothing, either."""
    spreads = [_spread(truth) for truth in truths]
    tolerances = [margin * floor.rms for floor in floors]
    shown = [size for size, tolerance in zip(spreads, tolerances, strict=True) if tolerance < size]
    quiet = [floor.rms <= noise_floor([], [truth]).rms for floor, truth in zip(floors, truths, strict=True)]
    least = min(shown, default=0.0)
    return [place for place, size in enumerate(tolerances) if size < least or quiet[place]]


def only(evidence: Evidence, samples: Sequence[int]) -> Evidence:
    """The evidence of some samples, by their positions; the floors stay as they are."""
    places = {sample: place for place, sample in enumerate(samples)}
    return replace(
        evidence,
        samples=[evidence.samples[sample] for sample in samples],
        observations=[evidence.observations[sample] for sample in samples],
        runs=[replace(run, sample=places[run.sample]) for run in evidence.runs if run.sample in places],
    )


def left_out(outputs: Sequence[OutputResult], evidence: Evidence) -> list[str]:
    """For a person: which samples were not judged for which output."""
    notes: dict[str, list[str]] = {}
    names = list(dict.fromkeys(evidence.samples[run.sample].name for run in evidence.runs))
    for output in outputs:
        judged = {one.sample for one in output.measurements if one.judgement != NOTHING}
        missing = ", ".join(name for name in names if name not in judged)
        if missing:
            notes.setdefault(missing, []).append(output.name)
    return [
        f"not judged on {samples}, where the reference's own runs differ too much: {', '.join(names)}"
        for samples, names in notes.items()
    ]


def largest(floors: Sequence[Bounds]) -> Bounds:
    """Of each statistic the largest."""
    return Bounds(*(max(sizes) for sizes in zip(*((one.max, one.p999, one.rms) for one in floors), strict=True)))


def _spread(truth: Array) -> float:
    """Root of the mean square about the mean: how far from the truth a constant is."""
    values = truth[np.isfinite(truth)].astype(np.float64)
    return root_mean_square(values - values.mean()) if values.size else 0.0


def _constant(truth: Array, floor: Bounds) -> Bounds:
    """What a candidate must be nearer than: a constant, where the reference's own runs clearly are, else nothing."""
    spread = _spread(truth)
    return Bounds(np.inf, np.inf, spread if CLEARLY * floor.rms < spread else np.inf)


def _far_off(name: str, evidence: Evidence, bounds: dict[int, Bounds]) -> Iterator[Measurement]:
    """The runs on these samples: failed or inconclusive."""
    for run in evidence.runs:
        if run.sample in bounds:
            difference = compare(run.outputs[name], evidence.observations[run.sample].truth[name])
            judgement = judge_difference(difference, bounds[run.sample], 1.0)
            if judgement.verdict == FAIL and not (difference.problem or difference.not_finite):
                far = f"off by {difference.rms:.3g} (rms), no nearer to the truth than a constant"
                judgement = Judgement(FAIL, f"{far}; the reference's own runs are {CLEARLY:g} times nearer")
            sample = evidence.samples[run.sample].name
            yield Measurement(sample, run.batch, difference, None, judgement if judgement.verdict == FAIL else NOTHING)
