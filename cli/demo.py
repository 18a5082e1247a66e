"""`zoo demo`: the whole way on the shipped detector, without network."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import console


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="zoo-demo", show_default=True,
              help="Folder to write to.")  # fmt: skip
def command(out: Path) -> int:
    """Fetch, convert and verify the small detector that zoo ships with, and draw what it sees.

    \b
    Example:  zoo demo --out zoo-demo
    """
    from zoo.pipeline.demo import run_demo
    from zoo.verify.reports.on_terminal import show

    terminal = console()
    demo = run_demo(out, lambda step: terminal.print(f"[bold]→[/] {step}"))
    terminal.print()
    show([demo.report], terminal)
    terminal.print(f"\n{len(demo.detections)} shapes found on the sample picture. Written:")
    for path in (demo.artifact.model, *demo.files):
        terminal.print(f"  {path}", highlight=False)
    return 0 if demo.report.passed else 1
