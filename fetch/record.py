"""What was fetched, written down: which file of a model has which content, and how it looked when it was checked.

While a file still looks the same (size, times, identity on disk, no boot between), it need not be hashed again, and a
fetch of what is there takes no time. As soon as it looks different it is hashed, and only believed if the content is
the same.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.base.files import atomic_file
from zoo.catalog.store import Store
from zoo.fetch.hashing import digests_of
from zoo.fetch.power import boot_identity

SCHEMA = 1


@dataclass(frozen=True)
class Kept:
    """One file in a model's source folder.

    `name` is its path there; `digests` what its content had when it was fetched; `archive` and `spec` say from which
    file of the card, and by which of its members, it was extracted; `stamp` is how it looked when last checked.
    """

    role: str
    name: str
    size: int
    digests: Mapping[str, str]
    archive: str = ""
    spec: str = ""
    url: str = ""
    stamp: tuple[int | str, ...] = ()

    def is_intact(self, folder: Path) -> bool:
        """True where the file is there and looks as it did, or at least still has the same content."""
        path = folder / self.name
        try:
            if stamp_of(path) == self.stamp:
                return True
            return digests_of(path, ("sha256",))["sha256"] == self.digests["sha256"]
        except OSError:
            return False

    def stamped(self, folder: Path) -> Kept:
        return dataclasses.replace(self, stamp=stamp_of(folder / self.name))


def stamp_of(path: Path) -> tuple[int | str, ...]:
    """How a file looks from outside. Writing to it changes this, even where somebody sets its time back; so does a
    boot, after which bytes may be missing."""
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, boot_identity())


def read_record(store: Store, name: str) -> tuple[Kept, ...]:
    """What is recorded for a model; nothing where there is no record, or none that can be read."""
    try:
        content = json.loads(store.record(name).read_bytes())
        if content["schema"] != SCHEMA:
            return ()
        entries = [Kept(**{**entry, "stamp": tuple(entry["stamp"])}) for entry in content["files"]]
        return tuple(kept for kept in entries if _is_inside(kept.name) and "sha256" in kept.digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def write_record(store: Store, name: str, files: tuple[Kept, ...]) -> None:
    content = {"schema": SCHEMA, "name": name, "files": [asdict(kept) for kept in files]}
    with atomic_file(store.record(name)) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


def _is_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts
