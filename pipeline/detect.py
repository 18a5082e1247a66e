"""Detections: models opened as teams of workers, sources read, sights watched and saved. The parts are in `detect`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.artifact import Artifact
from zoo.base.errors import UsageError
from zoo.detect.detector import Detector, open_detector
from zoo.detect.saving import Saving, Wanted
from zoo.detect.sources import Source, read_frames
from zoo.detect.video import open_video
from zoo.detect.watch import Sight, Team, watch
from zoo.verify.runtimes.protocol import Settings, available_threads
from zoo.vision.contract import Rule
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels, load_pixels

Seen = Callable[[Sight], bool]
"""Told of every sight, in order; False ends."""


@dataclass(frozen=True)
class Workers:
    """Who looks: a team of `formats` on each of `devices`, and on the CPU `per_device` of them.

    `threads` prepare and as many draw; `inference_threads` (None: the processors, shared among the teams) compute.
    """

    devices: tuple[str, ...] = ("cpu",)
    per_device: int = 1
    threads: int = 1
    inference_threads: int | None = None

    @property
    def settings(self) -> Settings:
        """How each model runs."""
        shared = max(1, available_threads() // (len(self.devices) * self.per_device))
        return Settings(threads=self.inference_threads or shared)


@dataclass
class Outcome:
    """What became of a run: `frames` seen, `different` of them seen differently by the formats, `files` written, and
    the sources that could not be read."""

    frames: int = 0
    different: int = 0
    files: list[Path] = field(default_factory=list)
    refused: list[UsageError] = field(default_factory=list)


@contextmanager
def open_teams(artifacts: Sequence[Artifact], rule: Rule, workers: Workers) -> Iterator[list[Team]]:
    """The artifacts, which are one model in several formats, loaded for every worker. Several are run once, so that
    their times can be compared from the first picture on.

    Raises UsageError for what is no detector, and what the runtimes raise where something is missing.
    """
    with ExitStack() as stack:
        teams: list[Team] = [
            [_entered(stack, artifact, rule, device, workers.settings) for artifact in artifacts]
            for device in workers.devices
            for _ in range(workers.per_device)
        ]
        for detector in (one for team in teams if len(team) > 1 for one in team):
            detector.warm_up()
        yield teams


def _entered(stack: ExitStack, artifact: Artifact, rule: Rule, device: str, settings: Settings) -> Detector:
    return stack.enter_context(closing(open_detector(artifact, rule, device, settings)))


def detect_all(
    teams: Sequence[Team],
    sources: Sequence[Source],
    *,
    wanted: Wanted | None = None,
    seen: Seen = lambda sight: True,
    threads: int = 1,
    limit: int | None = None,
    draw: bool = True,
) -> Outcome:
    """Look at every source, save what is `wanted`, and tell each sight. `limit` is the most frames of one source.

    One picture among several that cannot be read is kept in the outcome; where there is only one, it is raised.
    """
    outcome = Outcome()
    refused = outcome.refused.append if len(sources) > 1 else None
    saving = Saving(wanted, [one.artifact for one in teams[0]], sources) if wanted else None
    frames = read_frames(sources, limit=limit, refused=refused)
    with ExitStack() as stack:
        if saving:
            stack.enter_context(saving)
        sights = stack.enter_context(closing(watch(teams, frames, threads=threads, draw=draw)))
        for sight in sights:
            outcome.frames += 1
            outcome.different += not all(one.is_none for one in sight.differences)
            if saving:
                saving.save(sight)
            if not seen(sight):
                break
    outcome.files = saving.files if saving else []
    return outcome


def announced_frames(sources: Sequence[Source], limit: int | None = None) -> int | None:
    """How many frames the sources announce; None where one does not, as a camera or a broken file."""
    counts = [_count(source) or limit or 0 for source in sources]
    return sum(min(count, limit or count) for count in counts) if all(counts) else None


def _count(source: Source) -> int:
    if not source.is_video or source.camera >= 0:
        return 0 if source.is_video else 1
    try:
        with open_video(source.path) as video:
            return video.count
    except UsageError:
        return 0  # it is told when its turn comes


def detect_in_picture(
    artifact: Artifact,
    picture: Path | Pixels,
    *,
    threshold: float = 0.25,
    iou: float = 0.45,
    device: str = "cpu",
    settings: Settings | None = None,
) -> Detections:
    """What a converted detector sees in one picture: a file, or uint8 [H, W, 3] RGB.

    Boxes are (centre x, y, width, height) relative to the picture. Raises UsageError where the model is no detector
    of pictures, or the picture cannot be read.
    """
    pixels = load_pixels(picture) if isinstance(picture, Path) else picture
    with closing(open_detector(artifact, Rule(threshold, iou), device, settings)) as detector:
        prepared = detector.prepare(pixels)
        return detector.finish(detector.infer(prepared), prepared)
