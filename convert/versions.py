"""What a conversion was made with, as its manifest keeps it: so that what an older converter left in a store is told
from what this one would make, also between two releases."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
DISTRIBUTION = "detector-zoo"
DECIDING = ("base", "convert", "darknet", "pipeline/formats.py")  # what decides what a conversion writes
DIGITS = 12


def versions(**packages: str) -> dict[str, str]:
    """zoo's version, the state of the code that converts, and the versions of the packages that took part."""
    return {"zoo": metadata.version(DISTRIBUTION), "converter": converter(), **packages}


@functools.cache
def converter() -> str:
    """A hash of the code that converts, and of the files that it reads. Another one may write something else; nobody
    has to remember to say so."""
    digest = hashlib.sha256()
    for path in (path for one in DECIDING for path in _files(PACKAGE / one)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:DIGITS]


def _files(path: Path) -> list[Path]:
    """A file, or all in a folder but what Python compiled."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
