"""`zoo verify`: the proof that a conversion is right, and how fast it runs on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError
from zoo.cli.options import NOT_NEGATIVE, SHARE, complete_formats, verbose_option
from zoo.cli.saving import Ending, ending_options
from zoo.cli.sources import Chosen, source_options

if TYPE_CHECKING:
    from zoo.verify import Report

PATH = click.Path(path_type=Path)


@click.command("verify")
@source_options
@click.option("--format", "formats", default="onnx", show_default=True, shell_complete=complete_formats,
              help="Formats to verify, with commas.")  # fmt: skip
@click.option("--runtime", default="", metavar="NAME",
              help="What runs them, where several can, e.g. opencv for onnx; a wrong NAME lists them.")  # fmt: skip
@click.option("--device", "devices", default="cpu", show_default=True,
              help="cpu, cuda, cuda:N or auto; several with commas.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "tf32", "fp16"]), default="fp32", show_default=True)
@click.option("--batch", "batches", help="Batch sizes, with commas.  [default: 1,3 where the model takes any]")
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False), help="A folder of pictures to judge on too."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random inputs.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads on the CPU.  [default: all]")
@click.option("--margin", type=NOT_NEGATIVE, help="Times the noise floor that is allowed.  [default: by precision]")
@click.option("--threshold", type=SHARE, default=0.25, show_default=True, help="Score threshold of the detections.")
@click.option("--bisect", is_flag=True, help="Compare layer by layer even where nothing failed.")
@click.option("--quick", "speed", flag_value="quick", help="Time shortly.")
@click.option("--no-speed", "speed", flag_value="none", help="Do not time.")
@click.option("--artifact", type=PATH, help="A model file, to verify against --reference, or against its source.")
@click.option("--reference", type=PATH, help="The model file that is right, in any format.")
@click.option("--all", "everything", is_flag=True, help="Every model of the catalog that is here already.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Models at a time.")
@verbose_option
@ending_options
def command(
    chosen: Chosen,
    artifact: Path | None,
    reference: Path | None,
    everything: bool,
    jobs: int,
    ending: Ending,
    **how: Any,
) -> int:
    """Verify models against their source: same numbers, same detections, how fast.

    Converts what is missing. Exits with 0 only if every verdict is a pass, with 1 if one is not, or if a condition of
    --require is not met, or if --baseline was faster.

    \b
    Examples:
      zoo verify yolov3 --device cuda
      zoo verify yolov4-tiny --format onnx,torch --images pictures --junit result.xml
      zoo verify yolov4-tiny --format onnx --runtime opencv
      zoo verify --all -j 2 --format onnx,torch,tf --html report.html
      zoo verify --artifact mine.onnx --cfg mine.cfg --weights mine.weights
      zoo verify --artifact mine.onnx --graph frozen_inference_graph.pb
      zoo verify --artifact new.onnx --reference old.onnx --require 'speedup>=1.2'
    """
    apply = ending.prepare()
    if ending.baselines and how["speed"] == "none":
        raise UsageError("--baseline compares speeds: leave out --no-speed")
    if artifact:
        if everything:
            raise UsageError("--all and --artifact exclude each other")
        return ending.finish(apply(_verify_file(chosen, artifact, reference, **how)))
    if reference:
        raise UsageError("--reference needs --artifact: the file to verify")
    return ending.finish(apply(_verify_sources(chosen, everything, jobs, **how)))


def _verify_sources(chosen: Chosen, everything: bool, jobs: int, formats: str, **how: Any) -> list[Report]:
    """One model here; several, each in a process of its own, in which an error of one does not end the others."""
    from zoo.pipeline.many import verify_many
    from zoo.pipeline.verify import verify
    from zoo.verify.runtimes.table import runtime_of

    for format in _words(formats) if how["runtime"] else ():
        runtime_of(format, how["runtime"])
    sources = (_all(chosen) if everything else chosen).find()
    if len(sources) == 1 and not everything:
        return verify(sources[0], _words(formats), **_how(**how))
    return verify_many(sources, _words(formats), jobs, lambda line: click.echo(line, err=True), **_how(**how))


def _all(chosen: Chosen) -> Chosen:
    """The same, naming every model that is here."""
    from zoo.catalog import load_catalog
    from zoo.pipeline.many import cards_here

    if chosen.models or chosen.cfg or chosen.graph or chosen.saved_model:
        raise UsageError("--all names every model already: give no other")
    return replace(chosen, models=tuple(card.name for card in cards_here(load_catalog(chosen.catalogs))))


def _verify_file(chosen: Chosen, artifact: Path, reference: Path | None, formats: str, **how: Any) -> list[Report]:
    from zoo.pipeline.verify import verify_files

    if chosen.models:
        raise UsageError("give either NAMEs or --artifact")
    own = any((chosen.cfg, chosen.weights, chosen.graph, chosen.saved_model))
    if bool(reference) == own:
        raise UsageError(
            "--artifact needs what to compare it with: --reference, or its source",
            hint="a source is --cfg with --weights, --graph or --saved-model",
        )
    return verify_files(artifact, reference or chosen.find()[0], **_how(**how))


def _how(
    runtime: str,
    devices: str,
    precision: str,
    batches: str | None,
    images: Path | None,
    seed: int,
    threads: int | None,
    margin: float | None,
    threshold: float,
    bisect: bool,
    speed: str | None,
) -> dict[str, Any]:
    """The command line's options as the arguments of a verification."""
    from zoo.verify import Options
    from zoo.verify.pictures import find_pictures
    from zoo.verify.runtimes.protocol import available_threads

    options = Options(
        runtime=runtime,
        precision=precision,
        batches=_sizes(batches) if batches else None,
        threads=threads or available_threads(),
        seed=seed,
        margin=margin,
        speed=speed or "full",
        threshold=threshold,
        bisect=bisect,
    )
    pictures = find_pictures(images) if images else ()
    return {"devices": _words(devices), "options": options, "pictures": pictures}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(word) for word in _words(text))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--batch expects sizes of at least 1 with commas, e.g. 1,4; found {text!r}")
    return sizes
