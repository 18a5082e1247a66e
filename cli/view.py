"""`zoo view`: the local page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from zoo.base.errors import UsageError
from zoo.cli.options import catalog_option, complete_models


@click.command("view")
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=complete_models)
@click.option("--port", type=click.IntRange(0, 65535), default=8260, show_default=True, help="0 takes a free one.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads on the CPU.  [default: all]")
@catalog_option
def command(
    models: tuple[str, ...], port: int, open_page: bool, threads: int | None, catalogs: tuple[Path, ...]
) -> None:
    """Serve a page on this machine, where one picks a model, drops a picture or a video, and compares formats.

    MODELs are your own (folders, files, .cfg with .weights), beside those of the catalog that were fetched. The page
    listens on 127.0.0.1 only; its HTTP API is described under /api. Ctrl-C ends it.

    \b
    Examples:
      zoo view --open
      zoo view my.cfg converted/model.onnx
    """
    from zoo.catalog import Store, load_catalog
    from zoo.verify.runtimes.protocol import available_threads
    from zoo.view.library import Library
    from zoo.view.server import ViewServer

    catalog, own = load_catalog(catalogs), _named(models)
    for model in models:
        if model not in catalog and not Path(model).exists():
            raise UsageError(
                f"{model}: there is no such file", hint="give a .cfg, a model file or a converted model's folder"
            )
    library = Library(catalog, Store(), own, threads or available_threads())
    with closing(library), ViewServer(library, port) as server:
        click.echo(server.url)
        if open_page:
            click.launch(server.url)
        server.serve_forever()


def _named(models: tuple[str, ...]) -> dict[str, str]:
    """A name for each of the user's own models: that of its file or folder, numbered where several have it."""
    named: dict[str, str] = {}
    for model in models:
        path = Path(model)
        stem = path.resolve().parent.name if path.stem == "model" else path.stem or path.resolve().name
        name, number = stem, 2
        while name in named:
            name, number = f"{stem} {number}", number + 1
        named[name] = str(path.resolve()) if path.exists() else model
    return named
