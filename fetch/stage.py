"""The fetch stage: cards → original files, checked. Plans what is missing, downloads in parallel, puts models together.

Where everything is there, nothing is asked of the network, and urllib3 is not even imported.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.errors import FetchError, ZooError
from zoo.catalog.cards import Card, CardFile
from zoo.catalog.load import Catalog, load_catalog
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.blobs import Blob
from zoo.fetch.events import Event, Listener, silent
from zoo.fetch.failures import store_error
from zoo.fetch.limits import Limits, default_limits
from zoo.fetch.model import FetchedModel, assemble, fetched, look_at, refresh
from zoo.fetch.record import Kept
from zoo.fetch.room import check_room
from zoo.fetch.wanted import Wanted, wanted_file

MIRRORS = "ZOO_MIRROR"  # url prefixes or folders, separated by blanks
PRIVATE = "ZOO_ALLOW_PRIVATE"


@dataclass(frozen=True)
class Options:
    """How to fetch. The defaults are what the environment says.

    `mirrors` are url prefixes or folders that are asked first. `jobs` is the number of files at a time. `lock_file`
    is where unpinned files are recorded; None: the default place. `require_hashes` refuses what is neither published
    with a hash nor locked. `allow_private` follows redirects into private networks.
    """

    store: Store = field(default_factory=Store)
    mirrors: tuple[str, ...] = ()
    offline: bool = False
    require_hashes: bool = False
    allow_private: bool = False
    jobs: int = 4
    lock_file: LockFile | None = None
    limits: Limits | None = None
    listener: Listener = silent


def fetch(
    model: str | Card,
    *,
    store: Store | None = None,
    catalog: Catalog | None = None,
    offline: bool = False,
    mirror: str | Sequence[str] | None = None,
    require_hashes: bool = False,
    progress: Listener | None = None,
    lock_file: LockFile | None = None,
    jobs: int = 4,
) -> FetchedModel:
    """Bring the original files of one model here, or find them here; returns where they lie.

    `model` is a name in `catalog` (default: the built-in one and the user's), or a card. `mirror` is one or more url
    prefixes or folders to ask first. `progress` is called with every Event, from several threads, one at a time.

    Raises UsageError for an unknown name, FetchError where a file cannot be had or is not what was published.
    """
    card = model if isinstance(model, Card) else (catalog or load_catalog())[model]
    options = Options(
        store=store or Store(),
        mirrors=(mirror,) if isinstance(mirror, str) else tuple(mirror or ()),
        offline=offline,
        require_hashes=require_hashes,
        jobs=jobs,
        lock_file=lock_file,
        listener=progress or silent,
    )
    return fetch_many([card], options)[0]


def fetch_many(cards: Iterable[Card], options: Options) -> list[FetchedModel]:
    """Fetch several models, their files in parallel. Those that can be had are fetched even where others fail.

    Raises FetchError naming every model that failed.
    """
    stage = _Stage(options)
    plans = [stage.plan(card) for card in {card.name: card for card in cards}.values()]
    stage.run(plans)
    errors = [plan.error for plan in plans if plan.error]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        told = "\n\n".join(str(error) for error in errors)
        raise FetchError(f"{len(errors)} of {len(plans)} models could not be fetched\n\n{told}")
    return [plan.model for plan in plans if plan.model]


@dataclass
class _Plan:
    """One model on its way: what is there, what is missing, and in the end the model or the error."""

    card: Card
    there: list[Kept] = field(default_factory=list)
    missing: list[Wanted] = field(default_factory=list)
    model: FetchedModel | None = None
    error: ZooError | None = None


class _Stage:
    """One call of fetch_many."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.store = options.store
        self.lock_file = options.lock_file or LockFile()
        self.mirrors = options.mirrors or tuple(os.environ.get(MIRRORS, "").split())
        self._telling = threading.Lock()

    def tell(self, event: Event) -> None:
        with self._telling:
            self.options.listener(event)

    def plan(self, card: Card) -> _Plan:
        """Look at what is there of a model, and say what is missing."""
        plan = _Plan(card)
        try:
            plan.there, missing, damaged = look_at(card, self.store, self.lock_file)
            for name in damaged:
                path = self.store.source_folder(card.name) / name
                self.tell(Event("damaged", card.name, name, message=f"{path} is not what was fetched"))
            plan.missing = [self.wanted(card, file) for file in missing]
        except ZooError as error:
            plan.error = error
        return plan

    def wanted(self, card: Card, file: CardFile) -> Wanted:
        locked = None if file.is_pinned else self.lock_file.get(card.name, file.name)
        if self.options.require_hashes and not file.is_pinned and locked is None:
            raise FetchError(
                f"{card.name}: {file.name} was published without a hash, and {self.lock_file.path} has no entry for it",
                hint=f"fetch it once without --require-hashes and commit the lock file: zoo fetch {card.name}",
            )
        return wanted_file(card, file, locked, self.store, self.mirrors)

    def run(self, plans: list[_Plan]) -> None:
        """Download what the plans miss, and finish each plan as soon as its last file is there."""
        open_plans = [plan for plan in plans if not plan.error]
        for plan in plans:
            if plan.error or not plan.missing:
                self.finish(plan, {})
        files = _by_key([wanted for plan in open_plans for wanted in plan.missing])
        if not files:
            return
        check_room(_existing(self.store.root), _bytes_to_come(files.values(), self.store))
        results: dict[str, Blob | ZooError] = {}
        for key, result in self.downloads(files):
            results[key] = result
            for plan in open_plans:
                keys = {wanted.key for wanted in plan.missing}
                if key in keys and keys <= results.keys():
                    self.finish(plan, results)

    def downloads(self, files: dict[str, Wanted]) -> Iterator[tuple[str, Blob | ZooError]]:
        """(key, content or error) of every file, in the order in which they end."""
        from zoo.fetch.download import Session, download  # brings urllib3: not needed where all is there
        from zoo.fetch.http import Web

        options = self.options
        limits = options.limits or default_limits()
        private = options.allow_private or os.environ.get(PRIVATE, "") not in ("", "0")
        web = None if options.offline else Web(limits, allow_private=private)
        session = Session(self.store, limits, self.tell, web, self.lock_file)
        todo: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[str, Blob | BaseException]] = queue.SimpleQueue()
        for wanted in files.values():
            todo.put(wanted)

        def work() -> None:
            while not todo.empty() and not session.cancelled.is_set():
                try:
                    wanted = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    ended.put((wanted.key, download(wanted, session)))
                except BaseException as error:
                    ended.put((wanted.key, error))

        # Daemons: an interrupt ends the program at once, and what is on disk is as it should be at any moment.
        for _ in range(max(1, min(options.jobs, len(files)))):
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in files:
                key, result = ended.get()
                if not isinstance(result, Blob | ZooError):
                    raise result
                yield key, result
        finally:
            session.cancelled.set()

    def finish(self, plan: _Plan, results: Mapping[str, Blob | ZooError]) -> None:
        """Put a model together from what came, or say why it cannot be."""
        name = plan.card.name
        if not plan.error and not plan.missing:
            plan.model = self.present(plan)
            return
        try:
            if plan.error:
                raise plan.error
            plan.model = assemble(plan.card, self.store, plan.there, _contents(plan, results))
            self.tell(Event("done", name, message=str(plan.model.folder)))
        except ZooError as error:
            plan.error = error
        except OSError as error:
            plan.error = store_error(error, self.store.root)
        if plan.error:
            self.tell(Event("failed", name, message=str(plan.error)))

    def present(self, plan: _Plan) -> FetchedModel:
        """A model that is all there. Nothing is written, unless a file had to be hashed again to know that."""
        refresh(plan.card, self.store, plan.there)
        model = fetched(plan.card, self.store, plan.there)
        self.tell(Event("present", plan.card.name, message=str(model.folder)))
        return model


def _by_key(missing: list[Wanted]) -> dict[str, Wanted]:
    """Every content once; models that share it share their places too."""
    files: dict[str, Wanted] = {}
    for wanted in missing:
        first = files.get(wanted.key, wanted)
        files[wanted.key] = dataclasses.replace(first, places=tuple(dict.fromkeys(first.places + wanted.places)))
    return files


def _bytes_to_come(files: Iterable[Wanted], store: Store) -> int:
    """The bytes that the downloads will add, as far as sizes are known."""
    total = 0
    for wanted in files:
        part = store.part(wanted.key)
        begun = part.stat().st_size if part.exists() else 0
        total += max(0, (wanted.size or 0) - begun)
    return total


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _contents(plan: _Plan, results: Mapping[str, Blob | ZooError]) -> dict[str, Blob]:
    """File name → content for what the plan missed. Raises the first error among them."""
    contents = {}
    for wanted in plan.missing:
        result = results[wanted.key]
        if isinstance(result, ZooError):
            raise result
        contents[wanted.file.name] = result
    return contents
