"""Several models verified at once, each in a process of its own. Whoever times something waits until nobody else works.

A model that cannot be converted or run is a failed report, not the end of the others.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.base.errors import ZooError
from zoo.catalog import Card, Catalog, LockFile, Store
from zoo.fetch.model import look_at
from zoo.pipeline.source import Source
from zoo.pipeline.verify import verify
from zoo.verify import Options, Report
from zoo.verify.result import Device
from zoo.verify.verdict import FAIL, Judgement

SHIPPED = "package:"  # how the catalog names files that zoo ships with


def cards_here(catalog: Catalog, store: Store | None = None) -> list[Card]:
    """The models of the catalog that need no network: fetched into the store, or shipped with zoo, and whole."""
    store, lock_file = store or Store(), LockFile()
    cards = (catalog[name] for name in catalog)
    return [card for card in cards if card.format != "weights" and _is_here(card, store, lock_file)]


def _is_here(card: Card, store: Store, lock_file: LockFile) -> bool:
    missing = look_at(card, store, lock_file).missing
    return all(any(url.startswith(SHIPPED) for url in file.urls) for file in missing)


def verify_many(
    sources: Sequence[Source],
    formats: Sequence[str],
    jobs: int,
    tell: Callable[[str], None],
    *,
    options: Options,
    **how: Any,
) -> tuple[list[Report], int]:
    """The reports on all sources in their order, and the exit code of the first error, 0 for none. `how` goes to
    `zoo.pipeline.verify.verify`; `tell` gets a line when a source is done."""
    reports: list[Report] = []
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        turn = Path(folder) / "turn"
        turn.touch()
        context = multiprocessing.get_context("spawn")  # threads of frameworks do not survive a fork
        with ProcessPoolExecutor(min(jobs, len(sources)), mp_context=context) as pool:
            work = [pool.submit(_one, source, formats, options, turn, how) for source in sources]
            for number, (source, job) in enumerate(zip(sources, work, strict=True), 1):
                found, failed = job.result()
                tell(f"{number} of {len(sources)}: {source.name}")
                reports += found
                code = code or failed
    return reports, code


def _one(
    source: Source, formats: Sequence[str], options: Options, turn: Path, how: dict[str, Any]
) -> tuple[list[Report], int]:
    """In a worker: the reports on one source, and the exit code of an error."""
    with _taking_part(turn) as alone:
        try:
            return verify(source, formats, options=dataclasses.replace(options, alone=alone), **how), 0
        except ZooError as error:
            return [_failed(source, formats, options, error)], error.exit_code


@contextmanager
def _taking_part(turn: Path) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Work beside others (a shared lock). What is given is entered to work alone: it waits until all others wait, too,
    or are done. The system drops the locks of a process that ends, however it ends."""
    with turn.open("rb") as file:

        @contextmanager
        def alone() -> Iterator[None]:
            _hold(file, shared=False)
            try:
                yield
            finally:
                _hold(file, shared=True)

        _hold(file, shared=True)
        yield alone


if sys.platform == "win32":

    def _hold(file: IO[bytes], shared: bool) -> None:
        """Windows has no shared locks that wait: there, timings meet what the other workers do."""

else:
    import fcntl

    def _hold(file: IO[bytes], shared: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def _failed(source: Source, formats: Sequence[str], options: Options, error: ZooError) -> Report:
    return Report(
        name=source.name,
        format=", ".join(formats),
        precision=options.precision,
        device=Device(asked=options.device, used="none", runtime="", threads=options.threads),
        reference=source.family,
        judgement=Judgement(FAIL, f"not verified: {error.message}"),
        artifact=(),
        sources=source.records,
        seed=options.seed,
        batches=(),
    )
