"""Files that another file names: only ordinary ones below its own folder are opened, through no link."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath


def open_inside(folder: Path, location: str, *, itself: Path | None = None) -> int:
    """A read handle of the file that `location`, a relative path with "/", names below `folder`.

    `itself`, the file in which the location stands, may be a link. Raises ValueError where the location leads out, or
    to something else than a file with one name; OSError where it cannot be opened.
    """
    parts = PurePosixPath(location).parts
    if not parts or "\\" in location or ":" in location or location.startswith("/") or ".." in parts:
        raise ValueError(f"its data lies outside the model's folder: {location!r}")
    file = folder
    for part in parts:
        file = file / part
        if file.is_symlink() and file != itself:
            raise ValueError(f"its data lies behind a symbolic link: {location!r}")
    flags = os.O_RDONLY | (0 if file == itself else getattr(os, "O_NOFOLLOW", 0)) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait for a writer
    handle = os.open(file, flags)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"its data is not in an ordinary file: {location!r}")
        if status.st_nlink > 1 and file != itself:
            raise ValueError(f"its data file {location!r} has a second name (a hard link) that may lie elsewhere")
    except ValueError:
        os.close(handle)
        raise
    return handle
