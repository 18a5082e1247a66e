"""The speed of several formats of one model beside each other, in one run: who is faster, and is that certain?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from zoo.base.artifact import Artifact, TensorSpec
from zoo.base.errors import ZooError
from zoo.verify import Options, Report
from zoo.verify.runtimes.protocol import Settings
from zoo.verify.side_by_side import compare_artifacts
from zoo.verify.speed import IN_TURNS


def beside_each_other(
    artifacts: Sequence[Artifact],
    reports: Sequence[Report],
    inputs: Sequence[TensorSpec],
    options: Options,
    base: Artifact | None = None,
) -> list[Report]:
    """The reports on these artifacts on one device, with how fast each is beside `base`, or beside the first of them
    that passed. Those that did not pass, or that take another batch, are left out."""
    timed = [place for place, report in enumerate(reports) if report.speed and report.batches]
    timed = [place for place in timed if _batch(reports[place]) == _batch(reports[timed[0]])]
    if len(timed) + bool(base) < 2:
        return list(reports)
    first = reports[timed[0]]
    settings = Settings(first.device.used, options.precision, options.threads)
    contenders = [*([base] if base else []), *(artifacts[place] for place in timed)]
    judged = timed if base else timed[1:]
    try:
        with options.alone():
            compared = compare_artifacts(
                contenders, inputs, settings, seed=options.seed, batch=_batch(first), effort=IN_TURNS[options.speed]
            )
    except ZooError as error:
        return [_noted(report, error) if place in judged else report for place, report in enumerate(reports)]
    found = dict(zip(judged, compared, strict=True))
    return [
        dataclasses.replace(report, compared=(found[place],)) if place in found else report
        for place, report in enumerate(reports)
    ]


def _batch(report: Report) -> int:
    return report.speed.batch if report.speed else 0


def _noted(report: Report, error: ZooError) -> Report:
    return dataclasses.replace(report, notes=(*report.notes, f"not timed beside the others: {error.message}"))
