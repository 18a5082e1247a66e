"""How to fetch."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.events import Listener, silent
from zoo.fetch.limits import Limits


@dataclass(frozen=True)
class Options:
    """How to fetch. What is empty here is taken from the environment, or has a default.

    `mirrors` are url prefixes or folders that are asked first (else ZOO_MIRROR, separated by blanks). `jobs` is the
    number of files at a time. `lock_file` is where unpinned files are recorded. `require_hashes` refuses what is
    neither published with a hash nor locked. `allow_private` (or ZOO_ALLOW_PRIVATE=1) follows redirects into private
    networks.
    """

    store: Store = field(default_factory=Store)
    mirrors: tuple[str, ...] = ()
    offline: bool = False
    require_hashes: bool = False
    allow_private: bool = False
    jobs: int = 4
    lock_file: LockFile = field(default_factory=LockFile)
    limits: Limits | None = None
    listener: Listener = silent
