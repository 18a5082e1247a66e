"""Hashing files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zoo.base.files import CHUNK


def digests_of(path: Path, algorithms: tuple[str, ...]) -> dict[str, str]:
    """Algorithm → digest of a file's content, read once."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            for value in hashes.values():
                value.update(chunk)
    return {name: value.hexdigest() for name, value in hashes.items()}
