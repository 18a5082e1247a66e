"""What the downloads of one fetch share."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import Any

from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.fetch.events import Event, Kind, Listener
from zoo.fetch.failures import Cancelled
from zoo.fetch.http import Web
from zoo.fetch.limits import Limits
from zoo.fetch.places import Place, without_password
from zoo.fetch.wanted import Wanted


@dataclass(frozen=True)
class Session:
    """What the downloads of one fetch share. `web` is None when offline. `cancelled` ends all of them."""

    store: Store
    limits: Limits
    listener: Listener
    web: Web | None
    lock_file: LockFile
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises Cancelled where the fetch was interrupted."""
        if self.cancelled.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.check()

    def tell(self, kind: Kind, wanted: Wanted, place: Place | None = None, **more: Any) -> None:
        """Tell the listener of an event; `more` are other fields of Event."""
        url = without_password(place.url) if place else ""
        self.listener(dataclasses.replace(Event(kind, wanted.model, wanted.file.name, url), **more))
