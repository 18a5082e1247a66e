"""`zoo convert`: a model of the catalog, or the user's own files, to one or several formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError

if TYPE_CHECKING:
    from zoo.base.artifact import Artifact
    from zoo.pipeline.source import Source

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("convert")
@click.argument("models", nargs=-1, metavar="[NAME | MODEL.onnx]...")
@click.option("--to", multiple=True, default=("onnx",), show_default=True, help="Format to write; may be given again.")
@click.option("--cfg", type=FILE, help="A Darknet .cfg of your own, with --weights.")
@click.option("--weights", type=FILE, help="Its .weights.")
@click.option("--names", type=FILE, help="Its class names, one a line.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to; else the store.")
@click.option("--heads", type=click.Choice(["decoded", "raw"]), default="decoded", show_default=True,
              help="Boxes and scores, or the layers' own outputs, named NNN_type.")  # fmt: skip
@click.option("--nms", is_flag=True, help="Append non-maximum suppression: an output `detections`.")
@click.option("--keep-batch-norm", is_flag=True, help="Keep batch normalisation apart from the convolutions.")
@click.option("--dynamic-size", is_flag=True, help="Leave height and width open where the network permits it.")
@click.option("--batch", type=click.IntRange(min=1), help="Fix the batch; else it is open.")
@click.option("--width", type=click.IntRange(min=1), help="Input width in pixels, instead of the cfg's.")
@click.option("--height", type=click.IntRange(min=1), help="Input height in pixels, instead of the cfg's.")
@click.option("--dialect", type=click.Choice(["auto", "alexey", "pj"]), default="auto", show_default=True,
              help="Whose Darknet the network was made for.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Use only files that are here already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the manifests and where they lie.")
def command(
    models: tuple[str, ...],
    to: tuple[str, ...],
    cfg: Path | None,
    weights: Path | None,
    names: Path | None,
    out: Path | None,
    offline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert models of the catalog (fetched where missing), a Darknet cfg with weights, or an ONNX file.

    Prints the path of each file written.

    \b
    Examples:
      zoo convert yolov3 --to onnx
      zoo convert --cfg my.cfg --weights my.weights --to onnx --out converted
    """
    from zoo.convert.from_darknet import DarknetOptions
    from zoo.pipeline.convert import convert
    from zoo.pipeline.formats import Options

    sources = _sources(models, cfg, weights, names, offline)
    several = len(sources) > 1
    artifacts = [
        artifact
        for source in sources
        for artifact in convert(
            source, to, out=out / source.name if out and several else out, options=Options(DarknetOptions(**options))
        )
    ]
    click.echo(json.dumps([_described(artifact) for artifact in artifacts], indent=2) if as_json else _paths(artifacts))


def _sources(
    models: tuple[str, ...], cfg: Path | None, weights: Path | None, names: Path | None, offline: bool
) -> list[Source]:
    from zoo.pipeline.source import catalog_source, darknet_source, onnx_source

    if (cfg is None) != (weights is None):
        raise UsageError("--cfg and --weights belong together: give both")
    if bool(models) == bool(cfg):
        raise UsageError("nothing to convert" if not models else "give either NAMEs or --cfg and --weights",
                         hint="zoo convert --help shows examples; zoo list shows the models")  # fmt: skip
    if cfg and weights:
        return [darknet_source(cfg, weights, names)]
    return [
        onnx_source(Path(model)) if model.endswith(".onnx") else catalog_source(model, offline=offline)
        for model in models
    ]


def _described(artifact: Artifact) -> dict[str, Any]:
    from zoo.base.artifact import MANIFEST

    return {"path": str(artifact.model), **json.loads((artifact.folder / MANIFEST).read_bytes())}


def _paths(artifacts: list[Artifact]) -> str:
    return "\n".join(str(artifact.model) for artifact in artifacts)
