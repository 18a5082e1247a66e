"""Runs a candidate on every sample, alone and in batches, and compares each output with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.base.artifact import Artifact, TensorSpec
from zoo.verify.histograms import error_histogram
from zoo.verify.inputs import Sample, as_inputs, stack
from zoo.verify.noise import Bounds, judge_difference, judge_truth, noise_floor, times_floor
from zoo.verify.result import Histogram, Measurement, OutputResult
from zoo.verify.runtimes.protocol import Array, Runner, Tensors
from zoo.verify.tensors import compare
from zoo.verify.truth import Observation
from zoo.verify.verdict import PASS, Judgement, worst

Batch = tuple[int, ...]
"""Positions of samples that run together."""


@dataclass(frozen=True)
class CandidateRun:
    """What the candidate gave for one sample, cut out of the batch in which it ran."""

    sample: int
    batch: int
    outputs: dict[str, Array]


@dataclass(frozen=True)
class Evidence:
    """Everything that is judged: the samples, the reference on each, the candidate on each in every batch, and the
    noise floor of every tensor with the margin above it."""

    samples: Sequence[Sample]
    observations: Sequence[Observation]
    runs: Sequence[CandidateRun]
    floors: Mapping[str, Bounds]
    margin: float


def plan(samples: int, sizes: Sequence[int]) -> list[Batch]:
    """Which samples run together. In each batch of several the samples differ and stand in another order than alone.

    Every sample is in a batch of each size; the last batch is filled up from the start.
    """
    batches: list[Batch] = []
    for size in sizes:
        order = list(range(samples)) if size == 1 else list(range(samples))[::-1]
        starts = range(0, samples, size)
        batches += [tuple(order[(start + offset) % samples] for offset in range(size)) for start in starts]
    return batches


def run_candidate(
    runner: Runner, samples: Sequence[Sample], batches: Sequence[Batch], truth: Tensors
) -> list[CandidateRun]:
    """Run every batch and cut the outputs into samples, each as long as `truth`, the outputs for one sample."""
    runs = []
    for batch in batches:
        feeds = stack([samples[position] for position in batch])
        outputs = runner.run(as_inputs(feeds, runner.inputs))
        runs += [
            CandidateRun(sample, len(batch), cut(outputs, place, len(batch), truth))
            for place, sample in enumerate(batch)
        ]
    return runs


def cut(outputs: Tensors, place: int, batch: int, truth: Tensors) -> dict[str, Array]:
    """One sample's part of the outputs: of those that hold the samples one after another along their first dimension.
    What is no longer for a batch than the truth is for one sample is left whole."""
    return {name: _cut(array, place, batch, truth.get(name)) for name, array in outputs.items()}


def _cut(array: Array, place: int, batch: int, truth: Array | None) -> Array:
    length = truth.shape[0] if truth is not None and truth.ndim else 1
    if not array.ndim or array.shape[0] != batch * length:
        return array
    return array[place * length : (place + 1) * length]


def floors(observations: Sequence[Observation]) -> dict[str, Bounds]:
    """The noise floor of every tensor that the reference gives."""
    return {
        name: noise_floor(
            [compare(noise[name], seen.truth[name]) for seen in observations for noise in seen.noise],
            [seen.truth[name] for seen in observations],
        )
        for name in observations[0].truth
    }


def judge_output(name: str, evidence: Evidence, may_be_fixed: bool = False) -> OutputResult:
    """Compare one output over all runs. `may_be_fixed` for a model whose other outputs prove that it works: of them one
    may be the same for every input, to the last bit, such as a list of anchors."""
    floor, margin = evidence.floors[name], evidence.margin
    measurements = []
    for run in evidence.runs:
        difference = compare(run.outputs[name], evidence.observations[run.sample].truth[name])
        judgement = judge_difference(difference, floor, margin)
        times = times_floor(difference, floor)
        measurements.append(Measurement(evidence.samples[run.sample].name, run.batch, difference, times, judgement))
    truth = Judgement(PASS) if may_be_fixed and _is_fixed(name, evidence) else _proves(name, evidence)
    errors = error_histogram(
        (run.outputs[name], evidence.observations[run.sample].truth[name]) for run in evidence.runs
    )
    return over_measurements(name, measurements, truth, floor, margin, errors)


def _proves(name: str, evidence: Evidence) -> Judgement:
    truths = [seen.truth[name] for seen in evidence.observations]
    return judge_truth(truths, evidence.floors[name].times(evidence.margin))


def _is_fixed(name: str, evidence: Evidence) -> bool:
    """Whether every run of the reference gives the same."""
    runs = [outputs[name] for seen in evidence.observations for outputs in (seen.truth, *seen.noise)]
    return all(np.array_equal(run, runs[0]) for run in runs)


def over_measurements(
    name: str,
    measurements: Sequence[Measurement],
    truth: Judgement,
    floor: Bounds,
    margin: float,
    errors: Histogram | None = None,
) -> OutputResult:
    """The verdict on an output from its measurements and from what its truth could prove."""
    named = [
        Judgement(m.judgement.verdict, f"{m.sample} (batch {m.batch}): {m.judgement.reason}")
        for m in measurements
        if m.judgement.verdict != PASS
    ]
    judgement = worst([*named, truth])
    times = [m.times_floor for m in measurements]
    known = [value for value in times if value is not None]
    just_passes = max(known) if known and len(known) == len(times) else None
    return OutputResult(name, judgement, truth, floor, margin, just_passes, tuple(measurements), errors)


def contract(runner: Runner, names: Sequence[str], artifact: Artifact) -> str:
    """What is wrong with the model's inputs and outputs, "" if nothing: outputs that the reference does not have or
    that are missing, and anything that is not as the manifest says."""
    given = [spec.name for spec in runner.outputs]
    missing, extra = [n for n in names if n not in given], [n for n in given if n not in names]
    if missing or extra:
        parts = [f"{what} {', '.join(which)}" for what, which in (("lacks", missing), ("also has", extra)) if which]
        return f"outputs: the model {' and '.join(parts)}; expected {', '.join(names)}"
    for kind, found, declared in (
        ("input", runner.inputs, artifact.inputs),
        ("output", runner.outputs, artifact.outputs),
    ):
        problem = _declared(kind, {spec.name: spec for spec in found}, declared) or _opened(kind, found, declared)
        if problem:
            return problem
    return ""


def _declared(kind: str, found: Mapping[str, TensorSpec], declared: Sequence[TensorSpec]) -> str:
    for spec in declared:
        real = found.get(spec.original or spec.name)
        if not real:
            return f"{kind} {spec.name}: in the manifest, but not in the model"
        if real.dtype != spec.dtype or not _fits(real.shape, spec.shape):
            says = f"{spec.dtype} {list(spec.shape)}"
            return f"{kind} {spec.name}: the model says {real.dtype} {list(real.shape)}, its manifest {says}"
    untold = set(found) - {spec.original or spec.name for spec in declared} if declared else ()
    return f"{kind} {min(untold)}: in the model, but not in the manifest" if untold else ""


def _opened(kind: str, found: Sequence[TensorSpec], declared: Sequence[TensorSpec]) -> str:
    """Inputs of one size that the manifest calls open: nobody would try the others. Sizes of outputs a runtime may
    know better than the manifest."""
    told = {spec.original or spec.name: spec for spec in declared if kind == "input"}
    for real in found:
        spec = told.get(real.name)
        if spec and any(
            isinstance(size, int) and isinstance(name, str) for size, name in zip(real.shape, spec.shape, strict=False)
        ):
            return f"input {spec.name}: the model takes {list(real.shape)} only, its manifest says {list(spec.shape)}"
    return ""


def _fits(a: Sequence[int | str], b: Sequence[int | str]) -> bool:
    """True where two shapes agree in rank and in every dimension that both fix. A runtime that knows nothing
    about a shape gives ()."""
    return not a or (
        len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True) if isinstance(x, int) and isinstance(y, int))
    )
