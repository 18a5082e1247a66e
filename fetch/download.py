"""Bringing one file into the store: every place in order, continuing what is there, until the content is right.

Whatever happens, the store afterwards has the wanted content, or it does not; a part stays where it may be of use.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.errors import FetchError
from zoo.catalog.exclusive import exclusive
from zoo.catalog.lock import Locked, LockFile
from zoo.catalog.store import Store
from zoo.fetch.archive import Unsound, check_archive
from zoo.fetch.blobs import Blob, commit, found_blob, take_in
from zoo.fetch.content import what_it_looks_like
from zoo.fetch.events import Event, Kind, Listener
from zoo.fetch.failures import Cancelled, Hiccup, Refusal, Stale, store_error
from zoo.fetch.hashing import digests_of
from zoo.fetch.http import Body, Web
from zoo.fetch.limits import Limits
from zoo.fetch.local import open_local
from zoo.fetch.part import Origin, Part
from zoo.fetch.places import Place, without_password
from zoo.fetch.room import check_room
from zoo.fetch.wanted import Wanted

TICK = 0.1  # seconds between two progress events


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
        if self.cancelled.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.check()


def download(wanted: Wanted, session: Session) -> Blob:
    """Bring the wanted file into the store, or find it there. Raises FetchError, naming all that was tried.

    Only one process at a time downloads a file; the others wait and find it.
    """
    run = _Run(wanted, session)
    try:
        with exclusive(session.store.lock(wanted.key), waiting=run.wait):
            run.look_at_lock_file()
            return found_blob(session.store, run.wanted) or run.locked(run.put_by_hand() or run.from_anywhere())
    except OSError as error:
        raise store_error(error, session.store.root) from error


class _Run:
    """One download: its part, what was tried, and what to tell."""

    def __init__(self, wanted: Wanted, session: Session) -> None:
        self.wanted = wanted
        self.session = session
        self.tried: list[tuple[str, str]] = []
        self.told_waiting = False
        self.next_tick = 0.0

    def tell(self, kind: Kind, place: Place | None = None, **more: object) -> None:
        url = without_password(place.url) if place else ""
        event = Event(kind, self.wanted.model, self.wanted.file.name, url)
        self.session.listener(dataclasses.replace(event, **more))  # type: ignore[arg-type]

    def wait(self) -> None:
        self.session.check()
        if not self.told_waiting:
            self.told_waiting = True
            self.tell("waiting", message="another process is fetching this file")

    def look_at_lock_file(self) -> None:
        """The process that was waited for may have locked an unpinned file meanwhile."""
        if self.wanted.judge is None:
            entry = self.session.lock_file.get(self.wanted.model, self.wanted.file.name)
            self.wanted = self.wanted.with_lock(entry) if entry else self.wanted

    def locked(self, blob: Blob) -> Blob:
        """Record the content of an unpinned file, now that it is known."""
        if self.wanted.judge is None:
            model, name, lock_file = self.wanted.model, self.wanted.file.name, self.session.lock_file
            entry = lock_file.add(model, name, Locked(blob.sha256, blob.size, blob.url))
            if entry.sha256 != blob.sha256:
                raise FetchError(
                    f"{model}: {name} has sha256 {blob.sha256}; {lock_file.path} was given {entry.sha256} meanwhile"
                )
            self.tell("locked", message=f"sha256 {blob.sha256} recorded in {lock_file.path}")
        return blob

    def put_by_hand(self) -> Blob | None:
        """The file, if somebody has put the right one where it belongs."""
        wanted, path = self.wanted, self.wanted.path
        if not path.is_file():
            return None
        digests = digests_of(path, wanted.algorithms)
        problem = wanted.verdict(digests, path.stat().st_size) or self.unsound(path)
        if problem:
            self.tried.append((str(path), problem))
            return None
        self.tell("adopted", message=f"{path} is the right file")
        return take_in(self.session.store, path, digests, wanted.judge)

    def from_anywhere(self) -> Blob:
        """The file from the first place that gives it."""
        part = Part(self.session.store.part(self.wanted.key), self.wanted.algorithms)
        try:
            for place in self.wanted.places:
                try:
                    return self.from_place(place, part)
                except Refusal as refusal:
                    self.note(place, str(refusal))
                    self.tell("refused", place, message=str(refusal))
        finally:
            # Nothing begun is nothing to continue; a part of a file is kept for the next run.
            part.close() if part.size else part.discard()
        raise self.failure()

    def from_place(self, place: Place, part: Part) -> Blob:
        """The file from one place, asked as often as is worth it. Raises Refusal."""
        limits = self.session.limits
        fruitless = 0
        for _ in range(limits.all_tries):
            before = part.size
            try:
                return self.once(place, part)
            except Hiccup as hiccup:
                if isinstance(hiccup, Stale):
                    part.restart(Origin(""))
                fruitless = 1 if part.size > before else fruitless + 1
                if fruitless >= limits.tries:
                    raise Refusal(f"{hiccup} ({limits.tries} tries)") from hiccup
                wait = self.patience(hiccup, fruitless)
                self.tell("retry", place, done=part.size, total=self.wanted.size, message=f"{hiccup}; in {wait:.1f} s")
                self.session.pause(wait)
        raise Refusal(f"no end after {limits.all_tries} tries")

    def patience(self, hiccup: Hiccup, fruitless: int) -> float:
        """Seconds to wait before the next try. Raises Refusal where the server asks for too many."""
        limits = self.session.limits
        asked = hiccup.retry_after
        if asked is not None and asked > limits.longest_wait:
            raise Refusal(f"{hiccup}; it asks to wait {asked:.0f} s") from hiccup
        # Many machines that failed together should not come back together.
        return asked if asked is not None else limits.backoff * 2 ** (fruitless - 1) * random.uniform(0.5, 1.5)

    def once(self, place: Place, part: Part) -> Blob:
        """One request and what comes of it."""
        continued = self.receive(place, part)
        digests = part.digests()
        problem = self.wanted.verdict(digests, part.size)
        if not part.is_unchanged():
            problem = "the part was changed by another program while it was written"
        problem = problem or self.unsound(part.path)
        if not problem:
            part.close()
            blob = commit(self.session.store, part.path, digests, without_password(place.url), self.wanted.judge)
            part.discard()
            self.tell("file", place, done=blob.size, total=blob.size)
            return blob
        if continued:
            raise Stale(f"what was begun earlier did not fit: {problem}; from the beginning")
        part.restart(Origin(""))
        raise Refusal(problem)

    def unsound(self, path: Path) -> str:
        """What is wrong with an archive that no hash vouches for: it is read to its end before it is believed."""
        if self.wanted.judge is None and self.wanted.file.members:
            try:
                check_archive(path, self.wanted.file.members)
            except Unsound as error:
                return f"a damaged archive: {error}"
        return ""

    def receive(self, place: Place, part: Part) -> bool:
        """Bring the part to its end. True where it began with bytes from before."""
        if self.wanted.judge and part.size and part.size == self.wanted.size:
            return True  # the last run ended between the last byte and the check
        body = self.open(place, part)
        if body is None:
            return True
        try:
            continued = self.settle(place, part, body)
            self.tell("start", place, done=part.size, total=self.whole(body))
            self.copy(place, part, body)
        finally:
            body.close()
        if body.total is not None and part.size < body.total:
            raise Hiccup(f"the connection was closed after {part.size} of {body.total} bytes")
        if self.wanted.size is not None and part.size < self.wanted.size:
            raise Hiccup(f"the answer ended after {part.size} of {self.wanted.size} bytes")
        return continued

    def open(self, place: Place, part: Part) -> Body | None:
        """Ask the place, for the rest where a part may be continued; None where there is no rest."""
        if place.is_local:
            return open_local(place)
        if self.session.web is None:
            raise Refusal("not asked: offline")
        same = part.origin.url == place.url
        # A known hash will tell whether the pieces fit, wherever they came from; without one, only a validator can.
        if part.size and (self.wanted.judge or (same and part.origin.validator)):
            return self.session.web.get(place.url, offset=part.size, validator=part.origin.validator if same else "")
        return self.session.web.get(place.url)

    def settle(self, place: Place, part: Part, body: Body) -> bool:
        """Decide whether the answer continues the part; if not, empty it. True where it continues."""
        if body.start not in (0, part.size):
            raise Stale(f"the server continued at byte {body.start}, which was not asked for")
        continued = body.start > 0
        if not continued:
            part.restart(Origin(place.url, body.validator))
        return continued

    def whole(self, body: Body) -> int | None:
        return self.wanted.size or body.total

    def copy(self, place: Place, part: Part, body: Body) -> None:
        """Append all that the answer gives, as long as it can still be the wanted file."""
        chunk = body.read(self.session.limits.chunk)
        self.believe(part, body, chunk)
        check_room(self.session.store.root, (self.whole(body) or len(chunk)) - part.size)
        largest = self.whole(body) or self.session.limits.largest
        while chunk:
            self.session.check()
            part.append(chunk)
            if part.size > largest:
                part.restart(Origin(""))
                raise Refusal(f"more than the {largest} bytes that it may have ({body.notes})")
            self.progress(place, part, body)
            chunk = body.read(self.session.limits.chunk)

    def believe(self, part: Part, body: Body, first: bytes) -> None:
        """Look at the beginning of an answer before anything is written. Raises Refusal where it cannot be the file."""
        page = what_it_looks_like(first) if not body.start else ""
        if page:
            raise Refusal(f"{page} instead of the file ({body.notes})")
        if self.wanted.size is not None and body.total is not None and body.total != self.wanted.size:
            raise Refusal(f"another size: {body.total} bytes instead of {self.wanted.size} ({body.notes})")
        if body.total is not None and not self.wanted.size and body.total > self.session.limits.largest:
            raise Refusal(f"{body.total} bytes, more than is believed of a model ({self.session.limits.largest})")

    def progress(self, place: Place, part: Part, body: Body) -> None:
        now = time.monotonic()
        if now >= self.next_tick:
            self.next_tick = now + TICK
            self.tell("progress", place, done=part.size, total=self.whole(body))

    def note(self, place: Place, answer: str) -> None:
        self.tried.append((without_password(place.url), answer))

    def failure(self) -> FetchError:
        """The error that says everything: model, file, what was tried, what was expected, what to do."""
        wanted = self.wanted
        lines = [f"{wanted.model}: {wanted.file.name} could not be fetched"]
        lines += [f"  {url}\n      {answer}" for url, answer in self.tried]
        if not wanted.places:
            lines.append("  no place to download it from is known")
        lines.append(f"  expected: {wanted.expected or 'nothing is known of its content'}")
        if wanted.file.page:
            lines.append(f"  it is published on this page, for people: {wanted.file.page}")
        hint = f"get the file by hand and put it at {wanted.path}, or name a mirror that has it: --mirror URL"
        if self.session.web is None:
            hint = f"run again without --offline, or {hint}"
        return FetchError("\n".join(lines), hint=hint)
