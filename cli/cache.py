"""`zoo cache`: what the store holds, whether it is intact, and removing what is not needed."""

from __future__ import annotations

import json

import click

from zoo.base.errors import FetchError
from zoo.catalog.store import Store
from zoo.cli.options import in_bytes, json_option, say


@click.group("cache", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show, verify or prune the store of original files (without a subcommand: show).

    It lies at $ZOO_HOME, or in this platform's folder for caches.

    \b
    Example:  zoo cache verify
    """
    if context.invoked_subcommand is None:
        context.invoke(show)


@command.command("show")
@json_option
def show(as_json: bool) -> None:
    """What the store holds, and how much of the disk it takes."""
    from zoo.fetch.cache import usage

    store = Store()
    found = usage(store)
    totals = {key: getattr(found, key) for key in ("contents", "unused", "unfinished", "artifacts")}
    if as_json:
        models = [{"name": held.name, "folder": str(held.folder), "size": held.size} for held in found.models]
        click.echo(json.dumps({"root": str(store.root), "models": models, **totals}, indent=2))
        return
    say(store.root)
    for held in found.models:
        say(f"    {held.name:50}  {in_bytes(held.size):>9}")
    click.echo(", ".join(f"{name} {in_bytes(size)}" for name, size in totals.items()))


@command.command("verify")
@click.option("--remove", is_flag=True, help="Remove what is damaged, so that the next fetch brings it again.")
@json_option
def verify(remove: bool, as_json: bool) -> None:
    """Hash everything in the store again. Exit code 3 where something is damaged."""
    from zoo.fetch.cache import Damage
    from zoo.fetch.cache import verify as verify_store

    damaged: list[Damage] = []
    count = 0
    for path, damage in verify_store(Store()):
        count += 1
        if damage:
            damaged.append(damage)
            say(f"damaged: {path}: {damage.problem}", err=True)
            if remove:
                path.unlink(missing_ok=True)
    if as_json:
        found = [{"path": str(damage.path), "problem": damage.problem} for damage in damaged]
        click.echo(json.dumps({"files": count, "damaged": found, "removed": remove}, indent=2))
    if damaged:
        hint = "zoo fetch NAME brings them again" if remove else "zoo cache verify --remove removes them"
        raise FetchError(f"{len(damaged)} of {count} files in the store are damaged", hint=hint)
    if not as_json:
        click.echo(f"{count} files are what they should be")


@command.command("prune")
@click.argument("names", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(names: tuple[str, ...], dry_run: bool) -> None:
    """Remove unfinished downloads and contents that no model uses; with NAMES also those models' original files.

    What was converted from them stays.
    """
    from zoo.fetch.cache import prune as prune_store

    for path in prune_store(Store(), names, dry_run=dry_run):
        say(f"{'would remove' if dry_run else 'removed'} {path}")
