"""Options that several subcommands share."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from zoo.base.printable import shown

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 140  # columns

catalog_option = click.option(
    "--catalog",
    "catalogs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A catalog file of your own, over the built-in one; may be given again. Also: ZOO_CATALOG, ./zoo.yaml.",
)
family_option = click.option("--family", type=click.Choice(["darknet", "tf1", "tf2"]), help="Only this family.")
task_option = click.option(
    "--task",
    type=click.Choice(["detection", "instance-segmentation", "keypoints", "classification", "backbone"]),
    help="Only this task.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Finite(click.FloatRange):
    """A number between limits; unlike click's own, neither infinite nor NaN, which compares with nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


NOT_NEGATIVE = Finite(min=0)
SHARE = Finite(min=0, max=1)


def _tell_all(_context: Any, _option: Any, asked: bool) -> None:
    if asked:
        os.environ["ZOO_VERBOSE"] = "1"  # read where a framework is imported, in child processes too


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_tell_all,
    help="Show what the frameworks themselves say.",
)


def complete_models(_context: Any, _argument: Any, begun: str) -> list[CompletionItem]:
    """For the shell's completion: the catalog's models that begin so, then files."""
    from zoo.catalog import load_catalog

    names = [name for name in load_catalog() if name.startswith(begun)]
    return [CompletionItem(name) for name in names] or [CompletionItem(begun, type="file")]


def complete_formats(_context: Any, _option: Any, begun: str) -> list[CompletionItem]:
    """For the shell's completion: the last of the formats, which may be several with commas."""
    from zoo.pipeline.formats import FORMATS

    before, comma, last = begun.rpartition(",")
    return [CompletionItem(f"{before}{comma}{name}") for name in FORMATS if name.startswith(last)]


def split(words: Sequence[str]) -> tuple[str, ...]:
    """Values of an option that may be given again and hold several with commas; each once."""
    return tuple(dict.fromkeys(part.strip() for word in words for part in word.split(",") if part.strip()))


def console(*, stderr: bool = False) -> Console:
    """Where tables are printed. A pipe or a file has no width to fit into: nothing is cut short there."""
    from zoo.cli.terminal import SafeConsole

    terminal = SafeConsole(stderr=stderr)
    return terminal if terminal.is_terminal or "COLUMNS" in os.environ else SafeConsole(stderr=stderr, width=WIDE)


def say(line: object, *, err: bool = False) -> None:
    """Print a line for people; what strangers named (files, classes, layers) does not act on their terminal."""
    click.echo(shown(str(line)), err=err)


def in_bytes(count: float) -> str:
    """A size for people: 12.3 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
