"""Bringing one file into the store: every place in order, continuing what is there, until the content is right.

Whatever happens, the store afterwards has the wanted content, or it does not; a part stays where it may be of use.
"""

from __future__ import annotations

import random

from zoo.base.errors import FetchError
from zoo.catalog.exclusive import exclusive
from zoo.catalog.lock import Locked
from zoo.fetch.attempt import Attempt, unsound
from zoo.fetch.blobs import Blob, found_blob, take_in
from zoo.fetch.failures import Hiccup, Refusal, Stale, store_error
from zoo.fetch.hashing import digests_of
from zoo.fetch.part import Origin, Part
from zoo.fetch.places import Place, without_password
from zoo.fetch.session import Session
from zoo.fetch.wanted import Wanted


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
    """One download: the places in order, how often each is asked, and what was tried for the error at the end."""

    def __init__(self, wanted: Wanted, session: Session) -> None:
        self.wanted = wanted
        self.session = session
        self.tried: list[tuple[str, str]] = []
        self.told_waiting = False

    def wait(self) -> None:
        self.session.check()
        if not self.told_waiting:
            self.told_waiting = True
            self.session.tell("waiting", self.wanted, message="another process is fetching this file")

    def look_at_lock_file(self) -> None:
        """The process that was waited for may have locked an unpinned file meanwhile."""
        if self.wanted.judge is None:
            entry = self.session.lock_file.get(self.wanted.model, self.wanted.file.name)
            self.wanted = self.wanted.with_lock(entry) if entry else self.wanted

    def locked(self, blob: Blob) -> Blob:
        """Record the content of an unpinned file, now that it is known."""
        if self.wanted.judge is None:
            model, name, lock_file = self.wanted.model, self.wanted.file.name, self.session.lock_file
            # A path of this machine means nothing to the others who read the lock file.
            url = blob.url if blob.url.startswith("http") else ""
            entry = lock_file.add(model, name, Locked(blob.sha256, blob.size, url))
            if entry.sha256 != blob.sha256:
                raise FetchError(
                    f"{model}: {name} has sha256 {blob.sha256}; {lock_file.path} was given {entry.sha256} meanwhile"
                )
            self.session.tell("locked", self.wanted, message=f"sha256 {blob.sha256} recorded in {lock_file.path}")
        return blob

    def put_by_hand(self) -> Blob | None:
        """The file, if somebody has put the right one where it belongs."""
        wanted, path = self.wanted, self.wanted.path
        if not path.is_file():
            return None
        digests = digests_of(path, wanted.algorithms)
        problem = wanted.verdict(digests, path.stat().st_size) or unsound(wanted, path)
        if problem:
            self.tried.append((str(path), problem))
            return None
        self.session.tell("adopted", wanted, message=f"{path} is the right file")
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
                    self.session.tell("refused", self.wanted, place, message=str(refusal))
        finally:
            part.close()
            if not part.size:
                part.discard()  # nothing begun is nothing to continue
        raise self.failure()

    def from_place(self, place: Place, part: Part) -> Blob:
        """The file from one place, asked as often as is worth it. Raises Refusal."""
        limits = self.session.limits
        fruitless = 0
        for _ in range(limits.all_tries):
            before = part.size
            try:
                return Attempt(self.wanted, place, part, self.session).run()
            except Hiccup as hiccup:
                if isinstance(hiccup, Stale):
                    part.restart(Origin(""))
                fruitless = 1 if part.size > before else fruitless + 1
                if fruitless >= limits.tries:
                    raise Refusal(f"{hiccup} ({limits.tries} tries)") from hiccup
                wait = self.patience(hiccup, fruitless)
                told = f"{hiccup}; in {wait:.1f} s"
                self.session.tell("retry", self.wanted, place, done=part.size, total=self.wanted.size, message=told)
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
