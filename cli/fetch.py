"""`zoo fetch`: bring the original files of models here, verified."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zoo.base.errors import UsageError
from zoo.catalog.cards import Card
from zoo.catalog.load import load_catalog
from zoo.catalog.lock import LockFile
from zoo.catalog.select import select
from zoo.cli.options import catalog_option, complete_models, family_option, say, task_option
from zoo.fetch import FetchedModel, Options, fetch_many


@click.command("fetch")
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete_models)
@click.option("--all", "everything", is_flag=True, help="All models, or all of --family and --task.")
@family_option
@task_option
@click.option("--mirror", "mirrors", multiple=True, metavar="URL|FOLDER",
              help="Ask here first: PREFIX/FILE, PREFIX/MODEL/FILE, PREFIX/HOST/PATH. Also: ZOO_MIRROR.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never ask the network; local files and the store only.")
@click.option(
    "--require-hashes", is_flag=True, help="Refuse what has neither a published hash nor an entry in zoo.lock."
)
@click.option("--lock", type=click.Path(path_type=Path, dir_okay=False), help="The lock file, instead of zoo.lock.")
@click.option("--allow-private", is_flag=True, help="Follow redirects into private networks.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at a time.")
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: every event, then the results.")
@click.option("-q", "--quiet", is_flag=True, help="Only the folders, and errors.")
def command(
    names: tuple[str, ...],
    everything: bool,
    family: str | None,
    task: str | None,
    mirrors: tuple[str, ...],
    offline: bool,
    require_hashes: bool,
    lock: Path | None,
    allow_private: bool,
    jobs: int,
    catalogs: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Bring the original files of models here and check them; prints the folder of each.

    What is there already is not asked for again. An interrupted download goes on where it stopped.

    \b
    Examples:
      zoo fetch yolov3 yolov4-tiny
      zoo fetch --all --family darknet -j 8
      zoo fetch yolov3 --mirror https://mirror.example.org/models
    """
    from zoo.cli.progress import shown

    cards = _chosen(names, everything, family, task, catalogs)
    with shown(as_json=as_json, quiet=quiet) as listener:
        options = Options(
            mirrors=mirrors,
            offline=offline,
            require_hashes=require_hashes,
            allow_private=allow_private,
            jobs=jobs,
            lock_file=LockFile(lock),
            listener=listener,
        )
        models = fetch_many(cards, options)
    for model in models:
        say(json.dumps(_result(model)) if as_json else model.folder)


def _chosen(
    names: tuple[str, ...], everything: bool, family: str | None, task: str | None, catalogs: tuple[Path, ...]
) -> list[Card]:
    catalog = load_catalog(catalogs)
    if everything and not names:
        return select(catalog, family=family or "", task=task or "")
    if everything or family or task or not names:
        raise UsageError("name the models, or say --all (with --family or --task to choose among them)")
    return [catalog[name] for name in names]


def _result(model: FetchedModel) -> dict[str, object]:
    files = [
        {"role": file.role, "path": str(file.path), "sha256": file.sha256, "size": file.size} for file in model.files
    ]
    return {"event": "result", "model": model.card.name, "folder": str(model.folder), "files": files}
