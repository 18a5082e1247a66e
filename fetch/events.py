"""What a fetch tells while it works. The command line draws it; a program may listen too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "present",  # everything of the model is there and checked; nothing was asked of the network
    "waiting",  # another process is fetching the same file
    "start",  # bytes begin to come from `url`; `done` of them were there already
    "progress",  # `done` of `total` bytes are there
    "retry",  # the place may do better in a moment
    "refused",  # the place does not give the file; on to the next
    "damaged",  # a file in the store is not what it was; it is fetched again
    "adopted",  # a file that was put there by hand is the right one
    "locked",  # an unpinned file's hash was written to the lock file
    "extract",  # members come out of an archive
    "file",  # one file is there and checked
    "done",  # the whole model is there
    "failed",  # the model could not be fetched; `message` says why
]


@dataclass(frozen=True)
class Event:
    """One thing that happened. `done` and `total` are bytes; `total` is None where nobody knows."""

    kind: Kind
    model: str
    file: str = ""
    url: str = ""
    done: int = 0
    total: int | None = None
    message: str = ""


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that nobody listens to."""
