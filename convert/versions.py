"""What a conversion was made with, as its manifest keeps it: so that what an older converter left in a store is told
from what this one would make, also between two releases."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata, resources

DISTRIBUTION = "detector-zoo"
ROOMS = ("base", "convert", "darknet")  # whose code decides what a conversion writes
DIGITS = 12


def versions(**packages: str) -> dict[str, str]:
    """zoo's version, the state of the code that converts, and the versions of the packages that took part."""
    return {"zoo": metadata.version(DISTRIBUTION), "converter": converter(), **packages}


@functools.cache
def converter() -> str:
    """A hash of the code that converts. Another one may write something else; nobody has to remember to say so."""
    digest = hashlib.sha256()
    for room in ROOMS:
        with resources.as_file(resources.files(f"zoo.{room}")) as folder:
            for path in sorted(folder.rglob("*.py")):
                content = path.read_bytes()
                digest.update(f"{room}/{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:DIGITS]
