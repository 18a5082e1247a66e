"""The speed of several formats of one model beside each other, in one run: who is faster, and is that certain?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack, closing

from zoo.base.artifact import Artifact, TensorSpec
from zoo.base.errors import ZooError
from zoo.verify import Examined, Options, Report
from zoo.verify.result import Compared
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.runtimes.table import load_runner
from zoo.verify.side_by_side import compare_runners
from zoo.verify.speed import IN_TURNS


def beside_each_other(
    candidates: Sequence[Examined],
    reports: Sequence[Report],
    inputs: Sequence[TensorSpec],
    options: Options,
    base: Artifact | None = None,
) -> list[Report]:
    """The reports on these candidates on one device, with how fast each is beside `base`, or beside the first of them
    that passed. Those that did not pass, or that take another batch, are left out."""
    timed = [place for place, report in enumerate(reports) if report.speed and report.batches]
    timed = [place for place in timed if _batch(reports[place]) == _batch(reports[timed[0]])]
    if len(timed) + bool(base) < 2:
        return list(reports)
    judged = timed if base else timed[1:]
    try:
        compared = _compared([candidates[place] for place in timed], reports[timed[0]], inputs, options, base)
    except ZooError as error:
        return [_noted(report, error) if place in judged else report for place, report in enumerate(reports)]
    found = dict(zip(judged, compared, strict=True))
    return [
        dataclasses.replace(report, compared=(found[place],)) if place in found else report
        for place, report in enumerate(reports)
    ]


def _compared(
    candidates: Sequence[Examined],
    first: Report,
    inputs: Sequence[TensorSpec],
    options: Options,
    base: Artifact | None,
) -> list[Compared]:
    with ExitStack() as opened:
        runners = []
        if base:
            settings = Settings(first.device.used, options.precision, options.threads, tune=first.device.used != "cpu")
            runners.append(opened.enter_context(closing(load_runner(base.model, base.format, settings))))
        runners += [opened.enter_context(one.opened()) for one in candidates]
        name = _name(base, candidates)
        return compare_runners(
            runners, inputs, name, seed=options.seed, batch=_batch(first), effort=IN_TURNS[options.speed]
        )


def _name(base: Artifact | None, candidates: Sequence[Examined]) -> str:
    """What the report calls the first: its format, where all are the same model."""
    artifacts = [*([base] if base else []), *(one.artifact for one in candidates)]
    same = len({artifact.name for artifact in artifacts}) == 1
    return artifacts[0].format if same else artifacts[0].model.name


def _batch(report: Report) -> int:
    return report.speed.batch if report.speed else 0


def _noted(report: Report, error: ZooError) -> Report:
    return dataclasses.replace(report, notes=(*report.notes, f"not timed beside the others: {error.message}"))
