"""Video files and cameras through OpenCV: frames in, frames out. A file that is not finished is never left behind."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.base.errors import MissingBackend, UsageError
from zoo.base.optional import require
from zoo.verify.runtimes.quiet import captured_stderr
from zoo.vision.preprocess import Pixels

RATE = 25.0  # frames a second, where a camera does not tell
CODEC = "mp4v"  # the one that every published OpenCV can write


def opencv() -> Any:
    """OpenCV for video and windows; MissingBackend where it is not here or lacks a library of the system."""
    try:
        return require("cv2", "reading and writing video")
    except MissingBackend as error:
        raise MissingBackend(
            error.message,
            hint=f"{error.hint}\non a server without libGL: pip install opencv-python-headless instead",
        ) from error


_stderr = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code writes away from the user; one thread at a time, because stderr is the process's."""
    with _stderr, captured_stderr():
        yield


@dataclass(frozen=True)
class Video:
    """An open video. `rate` is in frames a second; `count` is what the file announces, 0 where it does not."""

    name: str
    rate: float
    count: int
    capture: Any

    def frames(self) -> Iterator[Pixels]:
        """uint8 [H, W, 3] RGB, until the end. Raises UsageError where there is none at all."""
        cv2 = opencv()
        there, frame = self.capture.read()
        if not there:
            raise UsageError(f"{self.name}: expected a video, found one without any frame that can be decoded")
        while there:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            there, frame = self.capture.read()


@contextmanager
def open_video(path: Path, camera: int = -1) -> Iterator[Video]:
    """Open a file, or, where `camera` is not negative, that camera.

    Raises UsageError for a file that is no video, MissingBackend for a camera that is not there.
    """
    cv2 = opencv()
    with _quiet():
        capture = cv2.VideoCapture(camera if camera >= 0 else str(path))
    try:
        if not capture.isOpened():
            if camera >= 0:
                raise MissingBackend(
                    f"camera {camera} was asked for, and there is none that opens",
                    hint="look which cameras the system has; another program may be using it",
                )
            raise UsageError(f"{path.name}: expected a video, found something that OpenCV cannot read")
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        yield Video(path.name, rate if 0 < rate < 1000 else RATE, max(0, int(count)) if camera < 0 else 0, capture)
    finally:
        capture.release()


class VideoFile:
    """A video that is being written; it appears under its name when it is whole. The first frame gives its size."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
        self._writer: Any = None

    def write(self, pixels: Pixels) -> None:
        """One more frame, uint8 [H, W, 3] RGB."""
        cv2 = opencv()
        if self._writer is None:
            self._writer = self._open(cv2, pixels.shape[1], pixels.shape[0])
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR))

    def finish(self) -> Path:
        """Close the file and give it its name."""
        self._writer.release()
        self._temporary.replace(self._path)
        return self._path

    def discard(self) -> None:
        """Close the file and remove it, however far it has come."""
        if self._writer is not None:
            self._writer.release()
        with suppress(FileNotFoundError):
            self._temporary.unlink()

    def _open(self, cv2: Any, width: int, height: int) -> Any:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _quiet():
            writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter.fourcc(*CODEC), self._rate, (width, height))
        if not writer.isOpened():
            raise MissingBackend(
                f"{self._path}: OpenCV {cv2.__version__} cannot write a video of {width} × {height} there",
                hint="check that the folder can be written; the OpenCV of PyPI brings the encoder",
            )
        return writer


def refuse_without_display() -> None:
    """Raise MissingBackend where no window can be shown: Qt would end the process."""
    if os.name == "posix" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MissingBackend("--show needs a display, and there is none here", hint="leave --show out: files are saved")


def show_window(pixels: Pixels, wait: int) -> bool:
    """Show a frame for at least `wait` milliseconds (0: until a key); False when the user wants to end: q or Esc."""
    cv2 = opencv()
    try:
        cv2.imshow("zoo detect", cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR))
        return cv2.waitKey(wait) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise MissingBackend(
            f"this OpenCV cannot show windows: {error}", hint="opencv-python can, opencv-python-headless cannot"
        ) from error
