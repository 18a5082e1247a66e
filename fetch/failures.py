"""How a place can fail to give a file. These stay inside the room; a user meets a FetchError that lists them."""

from __future__ import annotations

import errno

from zoo.base.errors import FetchError


class Refusal(Exception):
    """This place does not give the file, and asking again would not help: on to the next."""


class Hiccup(Exception):
    """The place may give the file when asked again; `retry_after` is what it asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Stale(Hiccup):
    """What was begun earlier is not the beginning of what the place has now: it must be thrown away."""


class Cancelled(Exception):
    """The user has interrupted the fetch. What has come so far is kept."""


def store_error(error: OSError, path: object) -> FetchError:
    """What to tell the user when the store itself cannot be written."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room and run again: what has come so far is kept and is not downloaded twice"
    else:
        hint = "the store must be a folder that you can write: set ZOO_HOME to one"
    return FetchError(f"cannot write to the store at {path}: {reason}", hint=hint)
