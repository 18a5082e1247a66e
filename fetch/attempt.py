"""One request for a file, and what comes of it: the whole file in the store, or a Refusal, or a Hiccup."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from zoo.fetch.archive import Unsound, check_archive
from zoo.fetch.blobs import Blob, commit
from zoo.fetch.content import what_it_looks_like
from zoo.fetch.failures import Hiccup, Refusal, Stale
from zoo.fetch.http import Body
from zoo.fetch.local import open_local
from zoo.fetch.part import Origin, Part
from zoo.fetch.places import Place, without_password
from zoo.fetch.room import check_room
from zoo.fetch.session import Session
from zoo.fetch.wanted import Wanted

TICK = 0.1  # seconds between two progress events


def unsound(wanted: Wanted, path: Path) -> str:
    """What is wrong with an archive that no hash vouches for, "" if nothing is: it is read to its end to know."""
    if wanted.judge is None and wanted.file.members:
        try:
            check_archive(path, wanted.file.members)
        except Unsound as error:
            return f"a damaged archive: {error}"
    return ""


@dataclass
class Attempt:
    """One request to one place, which continues `part` where it can."""

    wanted: Wanted
    place: Place
    part: Part
    session: Session
    next_tick: float = 0.0

    def run(self) -> Blob:
        """Bring the part to its end, check it, and move it into the store."""
        continued = self.receive()
        digests = self.part.digests()
        problem = self.wanted.verdict(digests, self.part.size)
        if not self.part.is_unchanged():
            problem = "the part was changed by another program while it was written"
        problem = problem or unsound(self.wanted, self.part.path)
        if problem and continued:
            raise Stale(f"what was begun earlier did not fit: {problem}; from the beginning")
        if problem:
            self.part.restart(Origin(""))
            raise Refusal(problem)
        self.part.close()
        url = without_password(self.place.url)
        blob = commit(self.session.store, self.part.path, digests, url, self.wanted.judge)
        self.part.discard()
        self.session.tell("file", self.wanted, self.place, done=blob.size, total=blob.size)
        return blob

    def receive(self) -> bool:
        """Bring the part to its end. True where it began with bytes from before."""
        wanted, part = self.wanted, self.part
        if wanted.judge and part.size and part.size == wanted.size:
            return True  # the last run ended between the last byte and the check
        body = self.open()
        if body is None:
            return True
        try:
            continued = self.settle(body)
            self.session.tell("start", wanted, self.place, done=part.size, total=self.whole(body))
            self.copy(body)
        finally:
            body.close()
        if body.total is not None and part.size < body.total:
            raise Hiccup(f"the connection was closed after {part.size} of {body.total} bytes")
        if wanted.size is not None and part.size < wanted.size:
            raise Hiccup(f"the answer ended after {part.size} of {wanted.size} bytes")
        return continued

    def open(self) -> Body | None:
        """Ask the place, for the rest where the part may be continued; None where there is no rest."""
        if self.place.is_local:
            return open_local(self.place)
        if self.session.web is None:
            raise Refusal("not asked: offline")
        origin, size, url = self.part.origin, self.part.size, self.place.url
        validator = origin.validator if origin.url == url else ""
        # A known hash will tell whether the pieces fit, wherever they came from; without one, only a validator can.
        if size and (self.wanted.judge or validator):
            return self.session.web.get(url, offset=size, validator=validator)
        return self.session.web.get(url)

    def settle(self, body: Body) -> bool:
        """Decide whether the answer continues the part; if not, empty it. True where it continues."""
        if body.start not in (0, self.part.size):
            raise Stale(f"the server continued at byte {body.start}, which was not asked for")
        if body.start == 0:
            self.part.restart(Origin(self.place.url, body.validator))
        return body.start > 0

    def whole(self, body: Body) -> int | None:
        return self.wanted.size or body.total

    def copy(self, body: Body) -> None:
        """Append all that the answer gives, as long as it can still be the wanted file."""
        limits, part = self.session.limits, self.part
        chunk = body.read(limits.chunk)
        self.believe(body, chunk)
        check_room(self.session.store.root, (self.whole(body) or len(chunk)) - part.size)
        largest = self.whole(body) or limits.largest
        while chunk:
            self.session.check()
            part.append(chunk)
            if part.size > largest:
                part.restart(Origin(""))
                raise Refusal(f"more than the {largest} bytes that it may have ({body.notes})")
            self.progress(body)
            chunk = body.read(limits.chunk)

    def believe(self, body: Body, first: bytes) -> None:
        """Look at the beginning of an answer before anything is written. Raises Refusal where it cannot be the file."""
        page = what_it_looks_like(first) if not body.start else ""
        if page:
            raise Refusal(f"{page} instead of the file ({body.notes})")
        size, largest = self.wanted.size, self.session.limits.largest
        if size is not None and body.total is not None and body.total != size:
            raise Refusal(f"another size: {body.total} bytes instead of {size} ({body.notes})")
        if size is None and body.total is not None and body.total > largest:
            raise Refusal(f"{body.total} bytes, more than is believed of a model ({largest})")

    def progress(self, body: Body) -> None:
        now = time.monotonic()
        if now >= self.next_tick:
            self.next_tick = now + TICK
            self.session.tell("progress", self.wanted, self.place, done=self.part.size, total=self.whole(body))
