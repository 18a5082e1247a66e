"""Bringing what is missing: downloads in parallel, and each model put together as soon as its last file is there."""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zoo.base.errors import ZooError
from zoo.catalog.store import Store
from zoo.fetch.assemble import assemble
from zoo.fetch.blobs import Blob
from zoo.fetch.download import download
from zoo.fetch.events import Event
from zoo.fetch.failures import store_error
from zoo.fetch.http import Web
from zoo.fetch.limits import default_limits
from zoo.fetch.model import FetchedModel, Found
from zoo.fetch.options import Options
from zoo.fetch.room import check_room
from zoo.fetch.session import Session
from zoo.fetch.stage import raise_together
from zoo.fetch.wanted import Wanted, wanted_file

MIRRORS = "ZOO_MIRROR"
PRIVATE = "ZOO_ALLOW_PRIVATE"

Result = Blob | ZooError


def bring(models: list[Found], options: Options) -> dict[str, FetchedModel | ZooError]:
    """Model name → the model, or why it cannot be had. Raises FetchError where there is no room for all."""
    missing = {found.card.name: _wanted(found, options) for found in models}
    files = _by_key([wanted for several in missing.values() for wanted in several])
    check_room(_existing(options.store.root), _bytes_to_come(files.values(), options.store))
    contents: dict[str, Result] = {}
    ended: dict[str, FetchedModel | ZooError] = {}
    for key, content in _downloads(files, options):
        contents[key] = content
        for found in models:
            name = found.card.name
            if name not in ended and all(wanted.key in contents for wanted in missing[name]):
                ended[name] = _finished(found, missing[name], contents, options)
    return ended


def _wanted(found: Found, options: Options) -> list[Wanted]:
    mirrors = options.mirrors or tuple(os.environ.get(MIRRORS, "").split())
    return [
        wanted_file(
            found.card,
            file,
            None if file.is_pinned else options.lock_file.get(found.card.name, file.name),
            options.store,
            mirrors,
        )
        for file in found.missing
    ]


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


def _downloads(files: dict[str, Wanted], options: Options) -> Iterator[tuple[str, Result]]:
    """(key, content or error) of every file, in the order in which they end."""
    limits = options.limits or default_limits()
    private = options.allow_private or os.environ.get(PRIVATE, "") not in ("", "0")
    web = None if options.offline else Web(limits, allow_private=private)
    session = Session(options.store, limits, options.listener, web, options.lock_file)
    todo: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[str, Blob | BaseException]] = queue.SimpleQueue()
    for wanted in files.values():
        todo.put(wanted)
    # Daemons: an interrupt ends the program at once, and what is on disk is as it should be at any moment.
    for _ in range(max(1, min(options.jobs, len(files)))):
        threading.Thread(target=_work, args=(todo, ended, session), daemon=True).start()
    try:
        for _ in files:
            key, result = ended.get()
            if not isinstance(result, Result):
                raise result
            yield key, result
    finally:
        session.cancelled.set()
        if web:
            web.close()


def _work(
    todo: queue.SimpleQueue[Wanted], ended: queue.SimpleQueue[tuple[str, Blob | BaseException]], session: Session
) -> None:
    """One thread: download until nothing is left to do."""
    while not session.cancelled.is_set():
        try:
            wanted = todo.get_nowait()
        except queue.Empty:
            return
        try:
            ended.put((wanted.key, download(wanted, session)))
        except BaseException as error:
            ended.put((wanted.key, error))


def _finished(
    found: Found, missing: list[Wanted], contents: Mapping[str, Result], options: Options
) -> FetchedModel | ZooError:
    """Put a model together from what came, or say why it cannot be."""
    name = found.card.name
    try:
        results = [(wanted.file.name, contents[wanted.key]) for wanted in missing]
        raise_together([result for _, result in results if isinstance(result, ZooError)])
        blobs = {file: result for file, result in results if isinstance(result, Blob)}
        model = assemble(found, options.store, options.lock_file, blobs)
    except (ZooError, OSError) as error:
        problem = error if isinstance(error, ZooError) else store_error(error, options.store.root)
        options.listener(Event("failed", name, message=str(problem)))
        return problem
    options.listener(Event("done", name, message=str(model.folder)))
    return model
