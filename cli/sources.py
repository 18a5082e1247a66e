"""What `zoo convert` and `zoo verify` work on: models of the catalog, or files of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError
from zoo.cli.options import catalog_option, complete_models

if TYPE_CHECKING:
    from zoo.pipeline.source import Source

FILE = click.Path(path_type=Path, dir_okay=False)
Command = Callable[..., Any]

OPTIONS = (
    click.option("--cfg", type=FILE, help="A Darknet .cfg of your own, with --weights."),
    click.option("--weights", type=FILE, help="Its .weights."),
    click.option("--names", type=FILE, help="Its class names, one a line."),
    click.option("--graph", type=FILE, help="A TensorFlow frozen graph of your own (.pb)."),
    click.option("--saved-model", type=click.Path(path_type=Path, file_okay=False), help="A SavedModel of your own."),
    catalog_option,
    click.option("--mirror", "mirrors", multiple=True, metavar="URL|FOLDER", help="Ask here first for files."),
    click.option("--offline", is_flag=True, help="Use only files that are here already."),
)


_ARTIFACT = "it is not converted from: convert what it was made from; zoo verify --artifact judges it"
# What a file of one's own is called → how to give it.
GIVEN_BY = {
    ".cfg": "give it with its weights: --cfg {path} --weights {stem}.weights",
    ".weights": "give it with its cfg: --cfg {stem}.cfg --weights {path}",
    ".pb": "give a frozen graph as --graph {path}",
    ".tflite": _ARTIFACT,
    ".pt2": _ARTIFACT,
}


def _refuse_path(path: Path) -> None:
    """Raise UsageError, with what to do, for a path that stands where a name of the catalog is expected."""
    if not path.exists() and path.suffix not in GIVEN_BY:
        return
    hint = GIVEN_BY.get(path.suffix, "what is read: a .onnx; --cfg with --weights; --graph; --saved-model")
    if path.is_dir() or path.name == "saved_model.pb":
        hint = "give a SavedModel as --saved-model {folder}"
    folder = path if path.is_dir() else path.parent
    hint = hint.format(path=path, stem=path.parent / path.stem, folder=folder)
    raise UsageError(f"{path} is not a model of the catalog", hint=hint)


@dataclass(frozen=True)
class Chosen:
    """What the command line names."""

    models: tuple[str, ...]
    cfg: Path | None = None
    weights: Path | None = None
    names: Path | None = None
    graph: Path | None = None
    saved_model: Path | None = None
    catalogs: tuple[Path, ...] = ()
    mirrors: tuple[str, ...] = ()
    offline: bool = False

    def find(self) -> list[Source]:
        """The sources, in order; those of the catalog are fetched where they are missing.

        Raises UsageError where nothing is named, or things that do not go together.
        """
        from zoo.pipeline.source import darknet_source, tensorflow_source

        if (self.cfg is None) != (self.weights is None):
            raise UsageError("--cfg and --weights belong together: give both")
        named = [bool(self.models), self.cfg is not None, self.graph is not None, self.saved_model is not None]
        if sum(named) != 1:
            raise UsageError(
                "no model is named" if not any(named) else "NAMEs, --cfg, --graph and --saved-model exclude each other",
                hint="the option --help shows examples; zoo list shows the models",
            )
        if self.cfg and self.weights:
            return [darknet_source(self.cfg, self.weights, self.names)]
        path = self.graph or self.saved_model
        return [tensorflow_source(path)] if path else self._of_catalog()

    def _of_catalog(self) -> list[Source]:
        from zoo.catalog import load_catalog
        from zoo.pipeline.source import catalog_source, onnx_source

        catalog = load_catalog(self.catalogs)
        for model in self.models:
            if model not in catalog and not model.endswith(".onnx"):
                _refuse_path(Path(model))
        return [
            onnx_source(Path(model))
            if model.endswith(".onnx")
            else catalog_source(model, catalog=catalog, mirror=self.mirrors, offline=self.offline)
            for model in self.models
        ]


def source_options(command: Command) -> Command:
    """Give a command the options that name sources; it gets them as one argument, `chosen`."""

    @functools.wraps(command)
    def with_sources(models: tuple[str, ...], **told: Any) -> Any:
        own = {key: told.pop(key) for key in Chosen.__dataclass_fields__ if key in told}
        return command(chosen=Chosen(models, **own), **told)

    decorated: Command = with_sources
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return click.argument("models", nargs=-1, metavar="[NAME | MODEL.onnx]...", shell_complete=complete_models)(
        decorated
    )
