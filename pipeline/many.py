"""Several models verified at once, each in a process of its own. Whoever times something waits until nobody else works.

A model that cannot be converted or run is a failed report, not the end of the others.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from zoo.base.errors import ZooError
from zoo.catalog import Card, Catalog, LockFile, Store
from zoo.fetch.failures import Refusal
from zoo.fetch.local import local_path
from zoo.fetch.model import look_at
from zoo.fetch.places import Place
from zoo.pipeline.source import Source
from zoo.pipeline.verify import verify
from zoo.pipeline.workers import workers
from zoo.verify import Options, Report, unverified


def cards_here(catalog: Catalog, store: Store | None = None) -> list[Card]:
    """The models of the catalog that need no network, and are whole: fetched into the store, shipped with zoo, or on
    this machine by their file:// urls."""
    store, lock_file = store or Store(), LockFile()
    cards = (catalog[name] for name in catalog)
    return [card for card in cards if card.format != "weights" and _is_here(card, store, lock_file)]


def _is_here(card: Card, store: Store, lock_file: LockFile) -> bool:
    missing = look_at(card, store, lock_file).missing
    return all(any(_is_file(Place(url)) for url in file.urls) for file in missing)


def _is_file(place: Place) -> bool:
    with suppress(Refusal):  # a file url on another machine
        return place.is_local and local_path(place).is_file()
    return False


def verify_many(
    sources: Sequence[Source],
    formats: Sequence[str],
    jobs: int,
    tell: Callable[[str], None],
    *,
    options: Options,
    **how: Any,
) -> list[Report]:
    """The reports on all sources in their order. `how` goes to `zoo.pipeline.verify.verify`; `tell` gets a line when a
    source is done."""
    reports: list[Report] = []
    jobs = min(jobs, len(sources))
    options = dataclasses.replace(options, shared=jobs > 1)
    with tempfile.TemporaryDirectory() as folder, workers(jobs) as pool:
        turn = Path(folder) / "turn"
        work = [pool.submit(_one, source, formats, options, turn, how) for source in sources]
        for number, (source, job) in enumerate(zip(sources, work, strict=True), 1):
            reports += job.result()
            tell(f"{number} of {len(sources)}: {source.name}")
    return reports


def _one(source: Source, formats: Sequence[str], options: Options, turn: Path, how: dict[str, Any]) -> list[Report]:
    """In a worker: the reports on one source."""
    with _taking_part(turn) as alone:
        try:
            return verify(source, formats, options=options, alone=alone, **how)
        except ZooError as error:
            return [unverified(error, source.name, ", ".join(formats), source.family, source.records, options)]


@contextmanager
def _taking_part(turn: Path) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Work beside others (a shared lock on `turn`). What is given is entered to work alone: it waits until all others
    wait, too, or are done. The system drops the locks of a process that ends, however it ends."""
    with turn.open("ab") as file, turn.with_name(f"{turn.name}.door").open("ab") as door:

        @contextmanager
        def alone() -> Iterator[None]:
            _change(file, door, EXCLUSIVE)
            try:
                yield
            finally:
                _change(file, door, SHARED)

        _change(file, door, SHARED)
        yield alone


def _change(file: IO[bytes], door: IO[bytes], kind: int) -> None:
    """Give up the lock and wait for the other kind, first come, first served: who waits stands in the door."""
    _lock(file, FREE)
    _lock(door, EXCLUSIVE)
    _lock(file, kind)
    _lock(door, FREE)


if sys.platform == "win32":
    SHARED, EXCLUSIVE, FREE = range(3)

    def _lock(file: IO[bytes], kind: int) -> None:
        """Windows has no shared locks that wait: there, timings meet what the other workers do."""

else:
    import fcntl

    SHARED, EXCLUSIVE, FREE = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN

    def _lock(file: IO[bytes], kind: int) -> None:
        fcntl.flock(file, kind)
