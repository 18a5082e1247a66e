"""`zoo inspect`: the table that Darknet prints for a cfg, with receptive field, parameters, memory and warnings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import click

from zoo.cli.options import console
from zoo.darknet.inspect import Report, Row, inspect

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("inspect")
@click.argument("cfg", type=FILE)
@click.argument("weights", type=FILE, required=False)
@click.option("--dialect", type=click.Choice(["auto", "alexey", "pj"]), default="auto", help="Whose Darknet it is for.")
@click.option("--width", type=click.IntRange(1), help="Instead of the cfg's width.")
@click.option("--height", type=click.IntRange(1), help="Instead of the cfg's height.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    cfg: Path,
    weights: Path | None,
    dialect: Literal["auto", "alexey", "pj"],
    width: int | None,
    height: int | None,
    as_json: bool,
) -> None:
    """Show what CFG says layer by layer, and check that WEIGHTS are laid out as it says.

    \b
    Example:  zoo inspect yolov3.cfg yolov3.weights
    """
    report = inspect(cfg, weights, dialect=dialect, width=width, height=height)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report), indent=2, ensure_ascii=False))
    else:
        _print(report)


def _print(report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("#", "layer", "filters", "size/stride", "input", "output", "BFLOPs", "field", "parameters"):
        table.add_column(heading, justify="left" if heading == "layer" else "right", no_wrap=True)
    for row in report.rows:
        table.add_row(*_cells(row))
    out = console()
    out.print(table)
    out.print(
        f"{report.cfg}: {len(report.rows)} layers, {report.bflops:.3f} BFLOPs, {report.parameters:,} parameters "
        f"({report.weights_bytes / 1e6:.1f} MB), {report.peak_bytes / 1e6:.1f} MB of activations at most",
        highlight=False,
    )
    out.print(f"for {report.program} ({escape(report.reason)})", highlight=False)
    if report.weights:
        out.print(
            f"{escape(report.weights)}: fits; version {report.weights_version}, {report.weights_seen:,} pictures seen",
            highlight=False,
        )
    for warning in report.warnings:
        out.print(f"[yellow]! {escape(warning)}[/]", highlight=False)


def _cells(row: Row) -> tuple[str, ...]:
    window = ""
    if row.size or row.stride:
        size, stride = row.size or (0, 0), row.stride or (1, 1)
        window = f"{size[0]}×{size[1]}" if row.size else ""
        window += f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]}×{stride[1]}"
        window += f"({row.dilation})" if row.dilation > 1 else ""
    return (
        str(row.index),
        f"{row.type} {_reads(row)}".rstrip(),
        str(row.filters or ""),
        window,
        "×".join(map(str, row.input)),
        "×".join(map(str, row.output)),
        f"{row.bflops:.3f}" if row.bflops else "",
        "×".join(map(str, row.receptive_field)) if row.receptive_field else "all",
        f"{row.parameters:,}" if row.parameters else "",
    )


def _reads(row: Row) -> str:
    """The layers it reads, where it is not just the one before."""
    return "" if row.sources in ((row.index - 1,), ()) else ",".join(map(str, row.sources))
