"""Showing a fetch: bars on a terminal, a line for each event elsewhere (both on stderr), JSON lines for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from zoo.cli.options import console, in_bytes, say
from zoo.fetch.events import Event, Listener, silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

ALWAYS_TOLD = {"waiting", "retry", "refused", "damaged", "adopted", "locked"}


@contextmanager
def shown(*, as_json: bool, quiet: bool) -> Iterator[Listener]:
    """The listener to fetch with."""
    if as_json:
        yield _json_line
    elif quiet:
        yield silent
    elif sys.stderr and sys.stderr.isatty():
        yield from _bars()
    else:
        yield _line


def _json_line(event: Event) -> None:
    fields = {key: value for key, value in dataclasses.asdict(event).items() if value not in ("", None)}
    click.echo(json.dumps({"event": fields.pop("kind"), **fields}))


def _line(event: Event) -> None:
    if event.kind not in ("progress", "failed"):  # the error at the end tells the failures
        say(f"zoo: {sentence(event)}", err=True)


def sentence(event: Event) -> str:
    """An event in words, on one line."""
    what = f"{event.model}: {event.file}" if event.file else event.model
    sizes = f"{in_bytes(event.done)} of {in_bytes(event.total) if event.total else 'unknown size'}"
    told = {
        "present": f"already here: {event.message}",
        "start": f"from {event.url}" + (f", going on at {sizes}" if event.done else ""),
        "retry": f"{event.url}: {event.message}",
        "refused": f"{event.url}: {event.message}",
        "file": f"{in_bytes(event.done)}, checked",
        "done": f"fetched: {event.message}",
    }
    return f"{what}: {told.get(event.kind, event.message)}"


def _bars() -> Iterator[Listener]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True), transient=True) as progress:
        yield _BarListener(progress)


class _BarListener:
    """One bar for each file on its way; what is worth knowing stays above the bars as lines."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[tuple[str, str], TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.kind in ALWAYS_TOLD:
            self.progress.console.print(sentence(event), markup=False, highlight=False)
        if event.kind in ("start", "progress"):
            self.progress.update(self.task(event), completed=event.done, total=event.total)
        elif event.kind == "file":
            self.progress.remove_task(self.tasks.pop((event.model, event.file), self.task(event)))

    def task(self, event: Event) -> TaskID:
        key = (event.model, event.file)
        if key not in self.tasks:
            self.tasks[key] = self.progress.add_task(event.file, total=event.total)
        return self.tasks[key]
