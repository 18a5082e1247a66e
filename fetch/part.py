"""An unfinished download on disk: its bytes, where they came from, and their running hash.

The bytes are written to `KEY.part` without a buffer, so what was received is there however the process ends. Beside
it, `KEY.origin` says which content they are the beginning of. The order of writing keeps the two honest: the part is
emptied before the origin changes. A second thread reads back what was written and hashes it, so the digest is of
what the disk holds, and costs the download no time of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.base.files import CHUNK, atomic_file


@dataclass(frozen=True)
class Origin:
    """Where a part's bytes came from: the url, and the validator (a strong ETag or a date) of that content."""

    url: str
    validator: str = ""


SYNC = 32 << 20  # bytes after which the hashing thread has them written out, so that little is left to do at the end


class Part:
    """The part file at `path`. Whoever opens it holds the file's lock."""

    def __init__(self, path: Path, algorithms: tuple[str, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.algorithms = algorithms
        self._note = path.with_suffix(".origin")
        self._file = path.open("ab", buffering=0)
        self.size = self._file.tell()
        self.origin = self._read_origin()
        self._hash = TailHash(path, algorithms, self._file.fileno())
        self._hash.advance(self.size)

    def _read_origin(self) -> Origin:
        try:
            return Origin(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Origin("")

    def restart(self, origin: Origin) -> None:
        """Begin again from nothing, with bytes of `origin`."""
        self._hash.stop()
        self._file.truncate(0)
        self.size = 0
        self.origin = origin
        with atomic_file(self._note) as note:
            note.write(json.dumps(asdict(origin)).encode())
        self._hash = TailHash(self.path, self.algorithms, self._file.fileno())

    def append(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(chunk)
        self._hash.advance(self.size)

    def digests(self) -> dict[str, str]:
        """Algorithm → digest of everything that is in the part now. It has then also reached the disk."""
        digests = self._hash.digests()
        os.fsync(self._file.fileno())
        return digests

    def is_unchanged(self) -> bool:
        """True where the file on disk still is as long as what was hashed."""
        return self.path.stat().st_size == self.size

    def close(self) -> None:
        """Stop; the bytes stay for the next time."""
        self._hash.stop()
        self._file.close()

    def discard(self) -> None:
        """Remove the bytes; none are worth keeping, or they have been moved away."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


class TailHash:
    """Hashes a file that grows, in a thread that follows the writer; `descriptor` is the writer's, to be synced."""

    def __init__(self, path: Path, algorithms: tuple[str, ...], descriptor: int) -> None:
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._path = path
        self._descriptor = descriptor
        self._written = 0
        self._ended = False
        self._error: OSError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def advance(self, written: int) -> None:
        """The first `written` bytes of the file are there."""
        with self._changed:
            self._written = written
            self._changed.notify()

    def digests(self) -> dict[str, str]:
        self.stop(finish=True)
        if self._error:
            raise self._error
        return {name: value.hexdigest() for name, value in self._hashes.items()}

    def stop(self, *, finish: bool = False) -> None:
        """End the thread; with `finish`, when it has caught up."""
        with self._changed:
            self._ended = True
            self._written = self._written if finish else 0
            self._changed.notify()
        self._thread.join()

    def _follow(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                done = 0
                while (available := self._wait_beyond(done)) > done:
                    chunk = file.read(min(CHUNK, available - done))
                    if not chunk:
                        raise OSError(f"{self._path} became shorter while it was written")
                    for value in self._hashes.values():
                        value.update(chunk)
                    done += len(chunk)
                    if done // SYNC > (done - len(chunk)) // SYNC:
                        os.fsync(self._descriptor)
        except OSError as error:
            self._error = error

    def _wait_beyond(self, done: int) -> int:
        """The number of bytes that are there: more than `done`, except at the end."""
        with self._changed:
            while self._written <= done and not self._ended:
                self._changed.wait()
            return self._written
