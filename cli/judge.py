"""`zoo judge`: judges saved results again, with another tolerance. Runs no model."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.base.errors import UsageError


@click.command("judge")
@click.argument("result", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--margin", type=float, help="Times the noise floor that is allowed.")
@click.option(
    "--tolerance", type=float, help="Largest absolute difference that is allowed, instead of the noise floor."
)
@click.option("--output", "only", multiple=True, help="Judge only this output; may be given again.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Save the new result.")
def command(
    result: Path, margin: float | None, tolerance: float | None, only: tuple[str, ...], json_file: Path | None
) -> int:
    """Judge a saved RESULT.json of zoo verify again. Exits with 0 only if every verdict is a pass.

    \b
    Example:
      zoo judge result.json --tolerance 1e-4
    """
    from rich.console import Console

    from zoo.verify.judge import judge_again
    from zoo.verify.reports.as_json import read_json, write_json
    from zoo.verify.reports.on_terminal import show

    if margin is not None and tolerance is not None:
        raise UsageError("give --margin or --tolerance, not both")
    reports = [judge_again(report, margin=margin, tolerance=tolerance, only=only) for report in read_json(result)]
    show(reports, Console())
    if json_file:
        write_json(json_file, reports)
    return 0 if all(report.passed for report in reports) else 1
