"""Where things lie on disk. The store knows paths and looks at files; fetching and converting write them.

blobs/sha256/ab/abcd…     every original content once, by its hash; models share it
sources/NAME/             the original files of a model under their own names (links to blobs)
records/NAME.json         what lies in sources/NAME: hashes, sizes, and how the files looked when last checked
artifacts/NAME/FORMAT/    what was converted from it, with its artifact.json
parts/                    unfinished downloads
locks/                    held while a process writes one of these
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from zoo.base.errors import UsageError

ENVIRONMENT = "ZOO_HOME"
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def default_root() -> Path:
    """`$ZOO_HOME`, or where this platform keeps caches."""
    if home := os.environ.get(ENVIRONMENT):
        return Path(home).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "detector-zoo" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "detector-zoo"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "detector-zoo"


class Store:
    """The paths under one root folder. Making a Store makes no folder."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root).absolute() if root is not None else default_root()

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def blob(self, digest: str, algorithm: str = "sha256") -> Path:
        """Where the content with this hash lies, or would lie. Under other algorithms there are links to it."""
        return self.root / "blobs" / _word(algorithm) / digest[:2] / _word(digest)

    def source_folder(self, name: str) -> Path:
        """Where a model's original files lie under their own names."""
        return self.root / "sources" / _word(name)

    def record(self, name: str) -> Path:
        return self.root / "records" / f"{_word(name)}.json"

    def artifact_folder(self, name: str, format: str, key: str = "") -> Path:
        """Where the artifact of a model in a format lies; `key` tells artifacts made with other options apart."""
        return self.root / "artifacts" / _word(name) / _word(f"{format}-{key}" if key else format)

    def artifact_folders(self, name: str) -> list[Path]:
        """The folders of all artifacts of a model that have a manifest."""
        return sorted(path.parent for path in (self.root / "artifacts" / _word(name)).glob("*/artifact.json"))

    def part(self, key: str) -> Path:
        """Where an unfinished download lies; `key` is the identity of the file that is wanted."""
        return self.root / "parts" / f"{_word(key)}.part"

    def lock(self, key: str) -> Path:
        return self.root / "locks" / f"{_word(key)}.lock"


def _word(text: str) -> str:
    """`text`, if it is safe as one component of a path; UsageError if not."""
    if not WORD.fullmatch(text) or len(text) > 200:
        raise UsageError(f"{text!r} cannot be the name of a folder in the store")
    return text
