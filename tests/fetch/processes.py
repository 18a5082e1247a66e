"""Fetches in processes of their own, which can be killed; forked from a server that has imported zoo already."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.fetch.making import QUICK, Fetching
from zoo.catalog.cards import Card


def start(folder: Path, card: Card) -> ForkServerProcess:
    """A process that fetches `card` into the store below `folder`; its exit code is 0 where that worked."""
    context = multiprocessing.get_context("forkserver")
    # What is installed, not this package: the server knows no other path, and it would pass over what it cannot import.
    context.set_forkserver_preload(["pytest", "zoo.fetch.bring"])
    process = context.Process(target=_fetch, args=(folder, card), daemon=True)
    process.start()
    return process


def _fetch(folder: Path, card: Card) -> None:
    import dataclasses

    Fetching(folder)(card, limits=dataclasses.replace(QUICK, chunk=4096, read_timeout=10.0))
