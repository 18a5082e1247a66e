"""Is there room on the disk?"""

from __future__ import annotations

import shutil
from pathlib import Path

from zoo.base.errors import FetchError

MARGIN = 16 << 20  # bytes that must stay free


def check_room(folder: Path, needed: int) -> None:
    """Raises FetchError where fewer than `needed` bytes (and a small margin) are free in `folder`, which exists."""
    free = shutil.disk_usage(folder).free
    if needed > 0 and free < needed + MARGIN:
        raise FetchError(
            f"not enough room in {folder}: {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free",
            hint="make room (zoo cache prune removes what no model uses), or set ZOO_HOME to a folder on another disk",
        )
