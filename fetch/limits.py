"""How long a fetch waits, how often it tries again, and how much it believes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from zoo.base.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Times are in seconds, sizes in bytes."""

    connect_timeout: float = 15.0
    read_timeout: float = 30.0  # between two pieces of data, not for the whole
    tries: int = 4  # of one place in a row without a new byte
    all_tries: int = 100  # of one place altogether
    backoff: float = 0.5  # before the second try; doubled each time
    longest_wait: float = 60.0  # a server that asks for more is left for the next place
    redirects: int = 10
    largest: int = 4 << 30  # of a file whose size is not known
    chunk: int = 256 << 10  # small enough to stay in the processor's cache between receiving, writing and hashing


def default_limits() -> Limits:
    """The limits, with the time limit of the variable ZOO_TIMEOUT where it is set."""
    text = os.environ.get("ZOO_TIMEOUT")
    if not text:
        return Limits()
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"ZOO_TIMEOUT is {text!r}; it must be a number of seconds above 0")
    return Limits(connect_timeout=seconds, read_timeout=seconds)
