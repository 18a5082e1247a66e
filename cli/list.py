"""`zoo list`: the models of the catalog."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zoo.base.errors import UsageError
from zoo.catalog.cards import Card
from zoo.catalog.load import Catalog, load_catalog
from zoo.catalog.select import select
from zoo.catalog.store import Store
from zoo.cli.options import catalog_option, family_option, in_bytes, json_option, say, task_option


@click.command("list")
@click.argument("text", nargs=-1)
@family_option
@task_option
@click.option("--format", default="", help="Original format (darknet, frozen-graph, saved-model), or one converted to.")
@catalog_option
@json_option
def command(
    text: tuple[str, ...], family: str | None, task: str | None, format: str, catalogs: tuple[Path, ...], as_json: bool
) -> None:
    """List the models of the catalog; with TEXT only those in whose name or notes every word occurs.

    Here: whether the original files are on this machine, and the formats it was converted to. Pinned: whether every
    file was published with a hash; of an unpinned model the first fetch records them in zoo.lock.

    \b
    Example:  zoo list --family tf2 efficientdet
    """
    store, catalog = Store(), load_catalog(catalogs)
    if format:
        _refuse_unknown(format, store, catalog)
    cards = select(
        catalog,
        family=family or "",
        task=task or "",
        format=format,
        text=text,
        converted=lambda card: _formats(store, card),
    )
    if as_json:
        click.echo(json.dumps([_row(store, card) for card in cards], indent=2))
    else:
        _print(store, cards)


def _refuse_unknown(format: str, store: Store, catalog: Catalog) -> None:
    """Raise UsageError where no original has this format, nothing is written in it, and nothing here was."""
    from zoo.pipeline.formats import FORMATS

    originals = dict.fromkeys(card.format for card in catalog.values())
    here = {kept for card in catalog.values() for kept in _formats(store, card)}
    if format not in (*originals, *FORMATS, *here):
        raise UsageError(f"unknown format {format!r}", hint=f"formats are: {', '.join((*originals, *FORMATS))}")


def _row(store: Store, card: Card) -> dict[str, object]:
    return {
        "name": card.name,
        "family": card.family,
        "task": card.task,
        "format": card.format,
        "pinned": card.is_pinned,
        "size": sum(file.size or 0 for file in card.files) or None,
        "fetched": store.record(card.name).is_file(),
        "converted": _formats(store, card),
    }


def _formats(store: Store, card: Card) -> list[str]:
    return [folder.name for folder in store.artifact_folders(card.name)]


def _print(store: Store, cards: list[Card]) -> None:
    rows = [_row(store, card) for card in cards]
    width = max((len(card.name) for card in cards), default=4)
    click.echo(f"{'name':{width}}  {'family':7}  {'task':21}  {'size':>8}  {'pinned':6}  here")
    for card, row in zip(cards, rows, strict=True):
        here = ["fetched"] * bool(row["fetched"]) + _formats(store, card)
        size = in_bytes(max(file.size or 0 for file in card.files)) if card.files[0].size else "?"
        about = card.files[0].size_about
        pinned = "yes" if card.is_pinned else "no"
        line = (
            f"{card.name:{width}}  {card.family:7}  {card.task:21}  {about or size:>8}  {pinned:6}  {', '.join(here)}"
        )
        say(line.rstrip())
    click.echo(f"{len(cards)} models", err=True)
