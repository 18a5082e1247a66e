"""What to look at: pictures, folders, patterns, videos and cameras, named on a command line; and their frames."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import UsageError
from zoo.detect.video import open_video
from zoo.verify.pictures import SUFFIXES as PICTURES
from zoo.vision.preprocess import Pixels, load_pixels

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class Source:
    """One picture, one video, or one camera (`camera` is its number; -1 for a file)."""

    path: Path
    is_video: bool
    camera: int = -1

    @property
    def name(self) -> str:
        """What messages and file names call it."""
        return self.path.name


@dataclass(frozen=True)
class Frame:
    """One picture: `pixels` uint8 [H, W, 3] RGB; `number` counts the frames of its source from 0, of which a video has
    `rate` a second."""

    source: Source
    number: int
    pixels: Pixels
    rate: float = 0.0


def find_sources(words: Sequence[str]) -> list[Source]:
    """The sources that the words name, each once, in order; what is in a folder or fits a pattern by name.

    Raises UsageError for a word that names nothing.
    """
    return list(dict.fromkeys(source for word in words for source in _named(word)))


def _named(word: str) -> list[Source]:
    path = Path(word)
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return [_file(path)]
    if word.isdigit():
        return [Source(Path(f"camera{word}"), True, int(word))]
    is_pattern = glob.has_magic(word)
    found = sorted(glob.glob(word, recursive=True)) if is_pattern else []  # noqa: PTH207 (from any folder)
    files = [_file(Path(name)) for name in found if Path(name).is_file()]
    if not files:
        what = "no file fits this pattern" if is_pattern else "there is no such file"
        raise UsageError(
            f"{word}: {what}", hint="give a picture, a folder, a pattern, a video or the number of a camera"
        )
    return files


def _in_folder(folder: Path) -> list[Source]:
    found = [_file(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in (*PICTURES, *VIDEOS)]
    if not found:
        raise UsageError(
            f"{folder} has no pictures and no videos",
            hint=f"looked for names ending in {', '.join((*PICTURES, *VIDEOS))}",
        )
    return found


def _file(path: Path) -> Source:
    return Source(path, path.suffix.lower() in VIDEOS)


def read_frames(
    sources: Sequence[Source], *, limit: int | None = None, refused: Callable[[UsageError], None] | None = None
) -> Iterator[Frame]:
    """The frames of all sources, at most `limit` of each.

    Raises UsageError at one that cannot be read, or, where `refused` is given, tells it and goes on.
    """
    for source in sources:
        try:
            yield from _frames(source, limit)
        except UsageError as error:
            if refused is None:
                raise
            refused(error)


def _frames(source: Source, limit: int | None) -> Iterator[Frame]:
    if not source.is_video:
        yield Frame(source, 0, load_pixels(source.path))
        return
    with open_video(source.path, source.camera) as video:
        for number, pixels in itertools.islice(enumerate(video.frames()), limit):
            yield Frame(source, number, pixels, video.rate)
