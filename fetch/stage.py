"""The fetch stage: looks at what is there of each model, and has the rest brought.

Where everything is there, nothing is asked of the network, and nothing that could ask is even imported.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Sequence

from zoo.base.errors import FetchError, ZooError
from zoo.catalog.cards import Card
from zoo.catalog.load import Catalog, load_catalog
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.events import Event, Listener, silent
from zoo.fetch.model import FetchedModel, Found, fetched, look_at, refresh
from zoo.fetch.options import Options


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
        lock_file=lock_file or LockFile(),
        listener=progress or silent,
    )
    return fetch_many([card], options)[0]


def fetch_many(cards: Iterable[Card], options: Options) -> list[FetchedModel]:
    """Fetch several models, their files in parallel. Those that can be had are fetched even where others fail.

    Raises FetchError naming every model that failed.
    """
    options = dataclasses.replace(options, listener=_one_at_a_time(options.listener))
    unique = list({card.name: card for card in cards}.values())
    looked = [_looked_at(card, options) for card in unique]
    missing = [found for found in looked if isinstance(found, Found) and found.missing]
    results: dict[str, FetchedModel | ZooError] = {}
    if missing:
        from zoo.fetch.bring import bring  # with the HTTP client, the archives, the threads

        results = bring(missing, options)
    ended = [results.get(card.name) or _present(found, options) for card, found in zip(unique, looked, strict=True)]
    raise_together([result for result in ended if isinstance(result, ZooError)])
    return [result for result in ended if isinstance(result, FetchedModel)]


def raise_together(errors: Sequence[ZooError]) -> None:
    """Raise the error, or several as one that tells them all; nothing where there is none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise FetchError("\n\n".join(str(error) for error in errors))


def _looked_at(card: Card, options: Options) -> Found | ZooError:
    """What is there of a model; an error where that alone already forbids to go on."""
    try:
        found = look_at(card, options.store, options.lock_file)
        if options.require_hashes:
            _check_locked(found, options.lock_file)
    except ZooError as error:
        return error
    for name in found.damaged:
        path = options.store.source_folder(card.name) / name
        options.listener(Event("damaged", card.name, name, message=f"{path} is not what was fetched"))
    return found


def _check_locked(found: Found, lock_file: LockFile) -> None:
    name = found.card.name
    for file in found.missing:
        if not file.is_pinned and lock_file.get(name, file.name) is None:
            raise FetchError(
                f"{name}: {file.name} was published without a hash, and {lock_file.path} has no entry for it",
                hint=f"fetch it once without --require-hashes and commit the lock file: zoo fetch {name}",
            )


def _present(found: Found | ZooError, options: Options) -> FetchedModel | ZooError:
    """A model that is all there. Nothing is written, unless a file had to be hashed again to know that."""
    if isinstance(found, ZooError):
        return found
    refresh(found.card, options.store, found.there)
    model = fetched(found.card, options.store, found.there)
    options.listener(Event("present", found.card.name, message=str(model.folder)))
    return model


def _one_at_a_time(listener: Listener) -> Listener:
    """The same listener, which several threads may call."""
    telling = threading.Lock()

    def tell(event: Event) -> None:
        with telling:
            listener(event)

    return tell
