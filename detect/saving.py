"""Saves what was seen: drawn pictures and videos, COCO results, YOLO text files. Whatever is interrupted is not left.

COCO results (cocodataset.org, "results format"): a list of image_id, category_id, bbox (left, top, width, height in
pixels), score, and segmentation where there are masks; with `file_name`, and for videos `frame`, beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from PIL import Image

from zoo.base.artifact import Artifact
from zoo.base.errors import UsageError
from zoo.base.files import atomic_file
from zoo.detect.sources import Frame, Source
from zoo.detect.video import VideoFile
from zoo.detect.watch import Sight
from zoo.vision.masks import encode_mask
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels

COCO_CLASSES = 80
COCO_ENDS = ("person", "toothbrush")
# COCO's ids of its 80 classes are 1..90 without these ten (coco.c of Darknet has the same list).
COCO_IDS = tuple(n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
QUALITY = 92  # of JPEG


@dataclass(frozen=True)
class Wanted:
    """What to save into `folder`: drawn pictures and videos always, the lists where they are asked for."""

    folder: Path
    json: bool = False
    txt: bool = False


class Saving:
    """A context in which sights are saved. Leaving it without an error completes what is open; with one, removes it.

    `artifacts` are in the order of each sight's detections; with several, lists carry the names of their formats.
    """

    def __init__(self, wanted: Wanted, artifacts: Sequence[Artifact], sources: Sequence[Source]) -> None:
        self._wanted, self._artifacts = wanted, artifacts
        self._targets = _targets(wanted.folder, sources)
        self._ids = _image_ids(sources)
        self._video: tuple[Source, VideoFile] | None = None
        self._stack = ExitStack()
        self._lists: list[Callable[[Mapping[str, Any]], None]] = []
        self.files: list[Path] = []

    def __enter__(self) -> Self:
        if self._wanted.json:
            for artifact in self._artifacts:
                path = self._wanted.folder / f"detections{self._suffix(artifact)}.json"
                self._lists.append(self._stack.enter_context(_json_list(path)))
                self.files.append(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._video and kind:
            self._video[1].discard()
            self._video = None
        self._finish_video()
        self._stack.__exit__(kind, error, traceback)

    def save(self, sight: Sight) -> None:
        """Everything that is wanted of one frame."""
        if sight.picture is not None:
            self._save_picture(sight.frame, sight.picture)
        for position, (artifact, found) in enumerate(zip(self._artifacts, sight.found, strict=True)):
            if self._wanted.json:
                for entry in self._entries(sight.frame, found, artifact):
                    self._lists[position](entry)
            if self._wanted.txt:
                self._save_txt(sight.frame, found, artifact)

    def _suffix(self, artifact: Artifact) -> str:
        return f".{artifact.format}" if len(self._artifacts) > 1 else ""

    def _save_picture(self, frame: Frame, picture: Pixels) -> None:
        target = self._targets[frame.source]
        if not frame.source.is_video:
            with atomic_file(target) as file:
                kind = "JPEG" if target.suffix == ".jpg" else "PNG"
                Image.fromarray(picture).save(file, kind, **({"quality": QUALITY} if kind == "JPEG" else {}))
            self.files.append(target)
            return
        if self._video is None or self._video[0] != frame.source:
            self._finish_video()
            self._video = frame.source, VideoFile(target, frame.rate)
        self._video[1].write(picture)

    def _finish_video(self) -> None:
        if self._video:
            self.files.append(self._video[1].finish())
            self._video = None

    def _entries(self, frame: Frame, found: Detections, artifact: Artifact) -> Iterator[dict[str, Any]]:
        height, width = frame.pixels.shape[:2]
        first = self._ids[frame.source]
        where = {"file_name": frame.source.name, **({"frame": frame.number} if frame.source.is_video else {})}
        for number in range(len(found)):
            box, size = found.boxes[number].astype(float), np.array([width, height])
            corner, sides = (box[:2] - box[2:] / 2) * size, box[2:] * size
            entry: dict[str, Any] = {
                "image_id": first + frame.number,
                "category_id": category_id(int(found.classes[number]), artifact),
                "bbox": [round(float(value), 3) for value in (*corner, *sides)],
                "score": round(float(found.scores[number]), 6),
            }
            if found.masks is not None:
                entry["segmentation"] = encode_mask(found.masks[number], box, (width, height))
            yield entry | where

    def _save_txt(self, frame: Frame, found: Detections, artifact: Artifact) -> None:
        name = self._targets[frame.source].stem + (f"_{frame.number:06d}" if frame.source.is_video else "")
        path = self._wanted.folder / f"labels{self._suffix(artifact)}" / f"{name}.txt"
        lines = [
            " ".join([str(int(label)), *(f"{value:.6f}" for value in (*box, score))]) + "\n"
            for label, box, score in zip(found.classes, found.boxes, found.scores, strict=True)
        ]
        with atomic_file(path) as file:
            file.write("".join(lines).encode())


def category_id(label: int, artifact: Artifact) -> int:
    """COCO's number of a class: its own where the model knows COCO's 80 classes; else classes count from 1."""
    of_coco = len(artifact.labels) == COCO_CLASSES and (artifact.labels[0], artifact.labels[-1]) == COCO_ENDS
    return COCO_IDS[label] if of_coco else label + int(artifact.detector.get("first_class", 1))


def _targets(folder: Path, sources: Sequence[Source]) -> dict[Source, Path]:
    """Where each source's picture goes: under its own name, numbered where several have the same.

    Raises UsageError where that would be a source itself.
    """
    targets: dict[Source, Path] = {}
    taken: set[str] = set()
    own = {source.path.resolve() for source in sources}
    for source in sources:
        suffix = ".mp4" if source.is_video else ".jpg" if source.path.suffix.lower() in (".jpg", ".jpeg") else ".png"
        stem, number = source.path.stem, 2
        while f"{stem}{suffix}" in taken:
            stem, number = f"{source.path.stem}_{number}", number + 1
        taken.add(f"{stem}{suffix}")
        targets[source] = folder / f"{stem}{suffix}"
        if targets[source].resolve() in own:
            raise UsageError(f"{targets[source]} would be overwritten by its own detections", hint="give another --out")
    return targets


def _image_ids(sources: Sequence[Source]) -> dict[Source, int]:
    """The first id of each source. COCO's pictures are named by their ids: they count where all names have one. Else
    pictures are counted from 1, and each video has a range of its own, in which its frames are counted."""
    named = [re.search(r"(\d+)$", source.path.stem) for source in sources]
    numbers = [int(one[1]) for one in named if one]
    if len(set(numbers)) == len(sources) and not any(source.is_video for source in sources):
        return dict(zip(sources, numbers, strict=True))
    pictures = [source for source in sources if not source.is_video]
    videos = [source for source in sources if source.is_video]
    counted = {source: number for number, source in enumerate(pictures, 1)}
    return counted | {source: VIDEO_RANGE * number + 1 for number, source in enumerate(videos, 1 if pictures else 0)}


VIDEO_RANGE = 10_000_000  # ids of one video: at 50 frames a second, two days


@contextmanager
def _json_list(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A JSON list that grows on disk, not in memory, and appears under its name when it is whole."""
    with atomic_file(path) as file:
        file.write(b"[")
        yield _Entries(file)
        file.write(b"\n]\n")


class _Entries:
    def __init__(self, file: BinaryIO) -> None:
        self._file, self._between = file, b"\n"

    def __call__(self, entry: Mapping[str, Any]) -> None:
        self._file.write(self._between + json.dumps(entry).encode())
        self._between = b",\n"
