"""`zoo judge`: judges saved results again, with another tolerance. Runs no model."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.base.errors import UsageError
from zoo.cli.options import NOT_NEGATIVE
from zoo.cli.saving import Ending, ending_options


@click.command("judge")
@click.argument("result", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--margin", type=NOT_NEGATIVE, help="Times the noise floor that is allowed.")
@click.option("--tolerance", type=NOT_NEGATIVE,
              help="Largest absolute difference that is allowed, instead of the noise floor.")  # fmt: skip
@click.option("--output", "only", multiple=True, help="Judge only this output; may be given again.")
@ending_options
def command(result: Path, margin: float | None, tolerance: float | None, only: tuple[str, ...], ending: Ending) -> int:
    """Judge a saved RESULT.json of zoo verify again. Exits with 0 only if every verdict is a pass.

    \b
    Examples:
      zoo judge result.json --tolerance 1e-4
      zoo judge result.json --require 'fps>=30' --html report.html
    """
    from zoo.verify.judge import judge_again
    from zoo.verify.reports.as_json import read_json

    if margin is not None and tolerance is not None:
        raise UsageError("give --margin or --tolerance, not both")
    apply = ending.prepare()
    reports = [judge_again(report, margin=margin, tolerance=tolerance, only=only) for report in read_json(result)]
    return ending.finish(apply(reports))
