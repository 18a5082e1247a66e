"""`zoo bench`: how fast models run in which format, on which device, as a table, a file and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.base.errors import UsageError
from zoo.cli.options import catalog_option, complete_formats, complete_models, console, say, split

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.pipeline.bench import Bench

SHOWN = ("model", "format", "device", "FPS", "median ms", "p95 ms", "p99 ms", "detections")  # a terminal is narrow


@click.command("bench")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_models)
@click.option("--formats", "--format", "formats", multiple=True, default=("onnx",), show_default=True,
              shell_complete=complete_formats, help="onnx, torch, tf, tflite, opencv; with commas.")  # fmt: skip
@click.option("--devices", "--device", "devices", multiple=True, default=("cpu",), show_default=True,
              help="cpu, cuda, cuda:N or auto; with commas.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 256), help="Threads on the CPU.  [default: all]")
@click.option("--quick", is_flag=True, help="Measure shortly: half a second and ten runs each.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for bench.md, bench.csv, bench.json and bench.svg.")  # fmt: skip
@catalog_option
@click.option("--mirror", multiple=True, metavar="URL|FOLDER", help="Ask here first for files.")
@click.option("--offline", is_flag=True, help="Use only files that are here already.")
def command(
    names: tuple[str, ...],
    formats: tuple[str, ...],
    devices: tuple[str, ...],
    threads: int | None,
    quick: bool,
    out: Path | None,
    catalogs: tuple[Path, ...],
    mirror: tuple[str, ...],
    offline: bool,
) -> int:
    """Measure how fast models run: each in every format on every device, in turns, with percentiles.

    NAMEs are those of zoo detect. What cannot be run is a row that says why; the exit code is then not 0.

    \b
    Examples:
      zoo bench yolov3 faster_rcnn_resnet50_coco --formats opencv,tf,torch,onnx --out bench
      zoo bench my.cfg --formats onnx,torch --devices cpu,cuda --quick
    """
    from zoo.base.artifact import Artifact
    from zoo.catalog import load_catalog
    from zoo.pipeline.bench import run_bench
    from zoo.pipeline.bench_report import write_bench
    from zoo.pipeline.models import RUNNABLE, find_models
    from zoo.verify.runtimes.protocol import Settings, available_threads
    from zoo.verify.speed import EFFORTS

    for format in split(formats):
        if format not in RUNNABLE:
            raise UsageError(f"unknown format {format!r}", hint=f"formats are: {', '.join(RUNNABLE)}")
    for device in split(devices):
        Settings(device="cpu" if device == "auto" else device)
    catalog = load_catalog(catalogs)

    def find(name: str, format: str) -> Artifact:
        (artifact,) = find_models(name, (format,), catalog=catalog, mirror=mirror, offline=offline)
        return artifact

    progress = console(stderr=True)
    bench = run_bench(
        names,
        split(formats),
        split(devices),
        find,
        threads=threads or available_threads(),
        effort=EFFORTS["quick" if quick else "full"],
        tell=lambda line: progress.print(line, highlight=False, markup=False),
    )
    _print(bench, console())
    for path in write_bench(bench, out) if out else ():
        say(path)
    return bench.exit_code


def _print(bench: Bench, terminal: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from zoo.pipeline.bench_report import HEAD, cells

    table = Table(box=None, pad_edge=False)
    for heading in SHOWN:
        table.add_column(heading, justify="right" if heading == "FPS" or heading.endswith("ms") else "left")
    for row in bench.rows:
        named = dict(zip(HEAD, cells(row), strict=True))
        table.add_row(*(escape(named[heading]) for heading in SHOWN))
    terminal.print(table)
