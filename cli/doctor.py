"""`zoo doctor`: what is installed, which devices answer, and what to do about what is missing."""

from __future__ import annotations

import json

import click

from zoo.base.errors import MissingBackend
from zoo.cli.options import console
from zoo.pipeline.doctor import Finding, examine

MARKS = {"ok": "[green]✓[/]", "missing": "[yellow]–[/]", "problem": "[red]✗[/]"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """Show the runtimes, versions and devices of this machine, and what to do about what is missing.

    Exit code 0, or 5 where something is installed but does not work.

    \b
    Example:  zoo doctor
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    return MissingBackend.exit_code if any(finding.state == "problem" for finding in findings) else 0


def _print(findings: list[Finding]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "version", "what for", "devices"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(MARKS[finding.state], finding.what, finding.version, finding.use, finding.devices)
        if finding.advice:
            table.add_row("", "", "", f"[yellow]→ {escape(finding.advice)}[/]", "")
    console().print(table)
