"""The verification of one artifact: everything is checked, measured and judged here, in this order.

The manifest matches the files and the reference → the model loads, on the device asked for → its inputs and outputs
are what they should be → every output is near the truth on every sample, alone and in batches → the detections
match → for a failure: whether a second run of the same inputs fails, too, and the first layer that departs → the speed,
and the timed run's outputs are as good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from zoo.base.artifact import Artifact, FileRecord
from zoo.base.errors import UsageError, VerificationError, ZooError
from zoo.verify.bisect import bisect
from zoo.verify.candidate import Examined, Options
from zoo.verify.conditioning import judge_where_it_tells, left_out
from zoo.verify.detections import Suppression
from zoo.verify.detector import ROWS, has_detections, judge_detections, untried
from zoo.verify.environment import environment
from zoo.verify.inputs import Sample, batch_limit, closed, make_samples
from zoo.verify.parity import Evidence, contract, floors, plan, run_candidate
from zoo.verify.partial import are_candidates, judge_candidates, owed
from zoo.verify.pictures import load_pictures
from zoo.verify.placement import left_to_cpu, operators_of
from zoo.verify.proposals import judge_proposals, unsettled
from zoo.verify.result import DetectionResult, Device, OutputResult, Report
from zoo.verify.rows import are_rows, judge_rows, rows_among
from zoo.verify.runtimes.protocol import Runner
from zoo.verify.runtimes.table import load_on
from zoo.verify.second_look import instability
from zoo.verify.timing import timed
from zoo.verify.truth import Observation, Reference
from zoo.verify.verdict import FAIL, Judgement, overall
from zoo.vision.suppression import BOXES, SCORES

DEFAULT_BATCHES = (1, 3)
PROPOSALS = (BOXES, SCORES)


def verify_artifact(
    artifact: Artifact,
    reference: Reference,
    options: Options | None = None,
    pictures: Sequence[Path] = (),
    hub: Artifact | None = None,
) -> Report:
    """Verify one artifact on one device at one precision.

    `pictures` are files, more samples. `hub` is the artifact that this one was written from, where it is not the
    first. Raises MissingBackend where the package or the device is not here, UsageError where the artifact cannot
    be run as asked; anything wrong with the artifact is a Report that says so.
    """
    options = options or Options()
    with examined(artifact, reference, options, pictures, hub) as candidate:
        return timed([candidate], options)[0]


@contextmanager
def examined(
    artifact: Artifact,
    reference: Reference,
    options: Options,
    pictures: Sequence[Path] = (),
    hub: Artifact | None = None,
) -> Iterator[Examined]:
    """Everything of `verify_artifact` but the timing. On a CPU the model stays open meanwhile."""
    report = _blank(artifact, reference, options)
    problem = _stale(artifact, reference, hub)
    with ExitStack() as opened:
        try:
            if problem:
                raise VerificationError(problem)
            runner = load_on(artifact.model, artifact.format, options.device, options.settings)
            opened.enter_context(closing(runner))
            found = _examine(artifact, reference, options, runner, pictures, report)
        except VerificationError as error:
            found = Examined(artifact, _failed(report, error.message))
        if found.report.device.used != "cpu":
            opened.close()
            found = replace(found, runner=None)
        yield found


def _examine(
    artifact: Artifact,
    reference: Reference,
    options: Options,
    runner: Runner,
    pictures: Sequence[Path],
    report: Report,
) -> Examined:
    report = replace(
        report,
        device=replace(report.device, used=runner.device, runtime=runner.runtime),
        environment=environment(runner.device != "cpu"),
    )
    names = owed(artifact, reference.outputs)
    problem = contract(runner, names, artifact)
    if problem:
        return Examined(artifact, _failed(report, problem))
    sizes = _sizes(runner, options.batches)
    inputs = closed(reference.inputs, runner.inputs)
    samples = make_samples(inputs, options.seed, load_pictures(pictures, inputs, reference.detector))
    operators = operators_of(runner, samples[0])
    report = replace(report, batches=sizes, device=replace(report.device, operators=operators))
    problem = left_to_cpu(operators) if runner.device != "cpu" else ""
    if problem:
        return Examined(artifact, _failed(report, problem))
    observations = [_observed(reference, sample, options.precision) for sample in samples]
    runs = run_candidate(runner, samples, plan(len(samples), sizes), observations[0].truth)
    evidence = Evidence(samples, observations, runs, floors(observations), options.allowed)
    return _judge(artifact, reference, names, options, runner, evidence, report)


def _observed(reference: Reference, sample: Sample, precision: str) -> Observation:
    try:
        return reference.observe(sample, precision)
    except VerificationError as error:
        raise VerificationError(f"the reference cannot be run on {sample.name}: {error.message}") from error


def _judge(
    artifact: Artifact,
    reference: Reference,
    names: Sequence[str],
    options: Options,
    runner: Runner,
    evidence: Evidence,
    report: Report,
) -> Examined:
    def judged(evidence: Evidence) -> tuple[tuple[OutputResult, ...], DetectionResult | None]:
        return _judged(names, artifact, reference, options, evidence)

    def judge(evidence: Evidence) -> Judgement:
        return overall(_parts(*judged(evidence)))

    outputs, detections = judged(evidence)
    judgement = overall(_parts(outputs, detections))
    notes = (*left_out(outputs, evidence), *untried(evidence, reference.suppression))
    report = replace(report, outputs=outputs, detections=detections, judgement=judgement, notes=notes)
    unstable = ""
    if judgement.verdict == FAIL:
        moving = {*_in_rows(outputs), *(_proposals(names, evidence) if _in_rows(outputs) else ())}
        in_place = [output.name for output in outputs if output.name not in moving]
        unstable = instability(runner, evidence, in_place, judge)
    if unstable:
        report = _failed(report, f"{unstable}. The first: {judgement.reason}")
    elif options.bisect or judgement.verdict == FAIL:
        found = bisect(runner, reference, evidence.samples, _telling_first(outputs), options.allowed)
        report = replace(report, layers=found.layers, departure=found.departure)
    return Examined(artifact, report, runner, evidence, judge)


def _judged(
    names: Sequence[str], artifact: Artifact, reference: Reference, options: Options, evidence: Evidence
) -> tuple[tuple[OutputResult, ...], DetectionResult | None]:
    """Every output of these names, and the detections where there are any."""
    names = [name for name in names if name != ROWS]
    matched: dict[str, OutputResult] = {}
    detections, rows, candidates = None, are_rows(names), are_candidates(names, reference.outputs)
    if rows:
        matched, detections = judge_rows(evidence, rows_among(names))
        proposals = _proposals(names, evidence)
        matched |= judge_proposals(evidence, proposals) if proposals else {}
    elif candidates:
        detections = judge_candidates(evidence, artifact.detector)
    elif has_detections(evidence):
        detections = judge_detections(evidence, _suppression(reference, options))
    fixed = rows or candidates
    return tuple(matched.get(name) or judge_where_it_tells(name, evidence, fixed) for name in names), detections


def _proposals(names: Sequence[str], evidence: Evidence) -> list[str]:
    """The outputs whose rows TensorFlow puts in another order from run to run, where the model gives its proposals."""
    return [name for name in unsettled(evidence) if name in names] if set(PROPOSALS) <= set(names) else []


def _parts(outputs: Sequence[OutputResult], detections: DetectionResult | None) -> list[tuple[str, Judgement]]:
    """The verdicts by name, those that say most first."""
    in_rows = _in_rows(outputs)
    parts = [(output.name in in_rows, f"output {output.name}", output.judgement) for output in _telling_first(outputs)]
    found = [("detections", detections.judgement)] if detections else []
    apart = [(name, judgement) for rows, name, judgement in parts if not rows]
    return [*apart, *found, *((name, judgement) for rows, name, judgement in parts if rows)]


def _telling_first(outputs: Sequence[OutputResult]) -> list[OutputResult]:
    """Numbers that stand where they stood in the reference before those of rows, which were matched first; of either
    the raw boxes first, by which the proposals were matched."""
    in_rows = _in_rows(outputs)
    return sorted(outputs, key=lambda output: (output.name in in_rows, output.name != BOXES))


def _in_rows(outputs: Sequence[OutputResult]) -> list[str]:
    names = [output.name for output in outputs]
    return rows_among(names) if are_rows(names) else []


def _suppression(reference: Reference, options: Options) -> Suppression:
    """As the artifact does itself, else as the source's own program would, at the thresholds asked for."""
    if reference.suppression:
        return reference.suppression
    kind, beta = reference.detector.get("nms_kind", "default"), reference.detector.get("beta_nms", 0.6)
    return Suppression(options.threshold, options.nms, kind, beta)


def _sizes(runner: Runner, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The batch sizes to run: as asked, else what the model takes. UsageError where it cannot take what is asked."""
    limit = batch_limit(runner.inputs)
    if limit is None:
        return tuple(dict.fromkeys(asked or DEFAULT_BATCHES))
    if asked and set(asked) != {limit}:
        sizes = ", ".join(map(str, asked))
        raise UsageError(
            f"the model takes batches of {limit} only, not {sizes}", hint="convert it with a dynamic batch"
        )
    return (limit,)


def _stale(artifact: Artifact, reference: Reference, hub: Artifact | None) -> str:
    """Why the manifest does not vouch for this artifact, "" where it does: every file must be as it was written, and
    come, directly or through the hub, from the files of the reference; what it tells programs to do around the network
    must be what the source says."""
    if not artifact.is_intact():
        return (
            f"unverified: {artifact.model.name} or its manifest changed after the conversion; the hashes do not match"
        )
    given = _hashes(reference.sources)
    through_hub = hub and _hashes(artifact.sources) == _hashes(hub.files) and _hashes(hub.sources) == given
    claimed = _hashes(artifact.sources)
    if not reference.from_source or not artifact.family:  # a file without a manifest is measured like any other
        return ""
    if claimed != given and not through_hub:
        return "unverified: the artifact was made from other source files than the reference"
    for key, told in reference.facts.items():
        if artifact.detector.get(key) != told:
            found = repr(artifact.detector[key]) if key in artifact.detector else "not there"
            return f"manifest: detector.{key} is {found}, and the source says {told!r}"
    return ""


def _hashes(records: Sequence[FileRecord]) -> set[str]:
    return {record.sha256 for record in records}


def _blank(artifact: Artifact, reference: Reference, options: Options) -> Report:
    return Report(
        name=artifact.name,
        format=artifact.format,
        precision=options.precision,
        device=Device(asked=options.device, used="none", runtime="", threads=options.threads),
        reference=reference.description,
        judgement=Judgement(FAIL, "not verified"),
        artifact=artifact.files,
        sources=artifact.sources,
        seed=options.seed,
        batches=(),
        labels=("",) * int(artifact.detector.get("first_class", 0)) + artifact.labels,
        notes=artifact.notes,
    )


def unverified(
    error: ZooError, name: str, format: str, reference: str, sources: Sequence[FileRecord], options: Options
) -> Report:
    """The report on a model that an error kept from being judged."""
    reason = f"not verified: {error.message}" + (f" ({error.hint})" if error.hint else "")
    return Report(
        name=name,
        format=format,
        precision=options.precision,
        device=Device(asked=options.device, used="none", runtime="", threads=options.threads),
        reference=reference,
        judgement=Judgement(FAIL, reason),
        artifact=(),
        sources=tuple(sources),
        seed=options.seed,
        batches=(),
        exit_code=error.exit_code,
    )


def _failed(report: Report, reason: str) -> Report:
    return replace(report, judgement=Judgement(FAIL, reason))
