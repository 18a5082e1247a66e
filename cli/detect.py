"""`zoo detect`: look at pictures and video with a model, in one format or in several side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError
from zoo.cli.options import catalog_option, complete_formats, complete_models, console, say, split

if TYPE_CHECKING:
    from zoo.base.artifact import Artifact
    from zoo.detect.sources import Source
    from zoo.detect.watch import Sight
    from zoo.pipeline.detect import Outcome, Seen

SHARE = click.FloatRange(0, 1)


@click.command("detect")
@click.argument("name", shell_complete=complete_models)
@click.argument("words", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--format", "formats", multiple=True, metavar="FORMAT", shell_complete=complete_formats,
              help="onnx, torch, tf, tflite, opencv; several (with commas) are shown side by side.")  # fmt: skip
@click.option("--device", "devices", default="cpu", show_default=True,
              help="cpu, cuda, cuda:N or auto; several with commas share the frames.")  # fmt: skip
@click.option("--threshold", type=SHARE, default=0.25, show_default=True, help="Lowest score of a detection.")
@click.option("--iou", type=SHARE, default=0.45, show_default=True,
              help="Largest overlap within a class; models that suppress themselves keep theirs.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="zoo-detections", show_default=True,
              help="Folder to write to.")  # fmt: skip
@click.option("--show", is_flag=True, help="Show a window too; q or Esc ends.")
@click.option("--save-json", is_flag=True, help="Save detections.json, as COCO results.")
@click.option("--save-txt", is_flag=True, help="Save labels/NAME.txt: class, centre x, y, width, height, score.")
@click.option("--no-pictures", is_flag=True, help="Draw and save no pictures and videos.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Threads that prepare frames, and as many that draw them.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Copies of the model on each device, which share the frames.")  # fmt: skip
@click.option(
    "--inference-threads", type=click.IntRange(1, 256), help="Of each copy on the CPU.  [default: all, shared]"
)
@click.option("--frames", "limit", type=click.IntRange(1), help="Look at so many frames of each video or camera.")
@click.option("--names", type=click.Path(path_type=Path, dir_okay=False), help="Class names, one a line.")
@catalog_option
@click.option("--mirror", multiple=True, metavar="URL|FOLDER", help="Ask here first for files.")
@click.option("--offline", is_flag=True, help="Use only files that are here already.")
@click.option("-q", "--quiet", is_flag=True, help="Only the files written, and errors.")
def command(name: str, words: tuple[str, ...], catalogs: tuple[Path, ...], names: Path | None,
            mirror: tuple[str, ...], offline: bool, formats: tuple[str, ...], **how: Any) -> int:  # fmt: skip
    """Look at SOURCEs with the model NAME: draw, list and save what it detects.

    NAME is a model of the catalog (fetched and converted where missing), the folder of a converted model, a model
    file, or a .cfg with its .weights beside it. SOURCE is a picture, a folder, a pattern, a video, or the number of a
    camera.

    \b
    Examples:
      zoo detect yolov4-tiny dog.jpg
      zoo detect yolov4-tiny 'pictures/*.jpg' --format onnx,torch --save-json
      zoo detect my.cfg cars.mp4 --out seen --threads 2
      zoo detect ssd_mobilenet_v1_coco 0 --show
    """
    from zoo.catalog import load_catalog
    from zoo.detect.sources import find_sources
    from zoo.pipeline.models import find_models

    sources = find_sources(words)
    artifacts = find_models(
        name, split(formats), names=names, catalog=load_catalog(catalogs), mirror=mirror, offline=offline
    )
    return _look(artifacts, sources, **how)


def _look(
    artifacts: Sequence[Artifact],
    sources: Sequence[Source],
    devices: str,
    threshold: float,
    iou: float,
    out: Path,
    show: bool,
    save_json: bool,
    save_txt: bool,
    no_pictures: bool,
    threads: int,
    workers: int,
    inference_threads: int | None,
    limit: int | None,
    quiet: bool,
) -> int:
    from zoo.detect.saving import Wanted
    from zoo.detect.video import refuse_without_display
    from zoo.pipeline.detect import Workers, announced_frames, detect_all, open_teams
    from zoo.vision.contract import Rule

    if show:
        refuse_without_display()
    team = Workers(split([devices]), workers, threads, inference_threads)
    rule = Rule(threshold, iou)
    total = announced_frames(sources, limit)
    with open_teams(artifacts, rule, team) as teams, _Telling(artifacts, total, quiet, show) as telling:
        outcome = detect_all(
            teams,
            sources,
            wanted=Wanted(out, save_json, save_txt),
            seen=telling,
            threads=threads,
            limit=limit,
            draw=show or not no_pictures,
        )
    for path in outcome.files:
        say(path)
    return _end(outcome)


def _end(outcome: Outcome) -> int:
    """The exit code; a message for each source that could not be read."""
    for error in outcome.refused:
        say(f"zoo: {error}", err=True)
    if outcome.refused:
        raise UsageError(f"{len(outcome.refused)} of the sources could not be read")
    return 0


class _Telling:
    """Tells of each sight: a line for a picture, a bar with frames a second and the time left for video."""

    def __init__(self, artifacts: Sequence[Artifact], total: int | None, quiet: bool, show: bool) -> None:
        self._artifacts, self._total, self._quiet, self._show = artifacts, total, quiet, show

    def __enter__(self) -> Seen:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._start, self._frames, self._different = time.perf_counter(), 0, 0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]}"),
        )
        terminal = console(stderr=True)
        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=terminal,
            transient=True,
            disable=self._quiet or not terminal.is_terminal,
        )
        self._task = self._bar.add_task("frames", total=self._total, fps="")
        self._bar.start()
        return self._tell

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._bar.stop()
        if kind is None and not self._quiet and self._frames:
            same = f", {self._different} seen differently" if len(self._artifacts) > 1 else ""
            took = time.perf_counter() - self._start
            frames = "1 frame" if self._frames == 1 else f"{self._frames} frames"
            click.echo(f"{frames} in {took:.1f} s, {self._frames / took:.1f} a second{same}", err=True)

    def _tell(self, sight: Sight) -> bool:
        self._frames += 1
        self._different += not all(one.is_none for one in sight.differences)
        fps = self._frames / (time.perf_counter() - self._start)
        self._bar.update(self._task, completed=self._frames, fps=f"{fps:.1f} FPS")
        if not sight.frame.source.is_video and not self._quiet:
            self._bar.console.print("\n".join(self._lines(sight)), markup=False, highlight=False, soft_wrap=True)
        return not self._show or self._window(sight)

    def _lines(self, sight: Sight) -> list[str]:
        from zoo.vision.draw import label_of

        lines = []
        for artifact, found, took, difference in zip(
            self._artifacts, sight.found, sight.seconds, sight.differences, strict=True
        ):
            what = [
                f"{label_of(int(c), artifact.labels)} {s:.2f}" for c, s in zip(found.classes, found.scores, strict=True)
            ]
            told = (
                f"{sight.frame.source.name} · {artifact.format} · {1000 * took:.1f} ms: {', '.join(what) or 'nothing'}"
            )
            lines.append(told + ("" if difference.is_none else f"  ≠ {difference.finding}"))
        return lines

    def _window(self, sight: Sight) -> bool:
        from zoo.detect.video import show_window

        assert sight.picture is not None, "frames are drawn where they are shown"
        return show_window(sight.picture, 1 if sight.frame.source.is_video else 0)
