"""An unfinished download on disk: its bytes, where they came from, and their running hash.

The bytes are written to `KEY.part` without a buffer, so what was received is there however the process ends. Beside
it, `KEY.origin` says which content they are the beginning of. The order of writing keeps the two honest: the part is
emptied before the origin changes. A second thread hashes what is written, so that it costs the download no time of its
own; what was there before is read from the disk.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.base.files import CHUNK, atomic_file
from zoo.fetch.power import force_out

AHEAD = 16  # chunks that may wait to be hashed


@dataclass(frozen=True)
class Origin:
    """Where a part's bytes came from: the url, and the validator (a strong ETag or a date) of that content."""

    url: str
    validator: str = ""


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
        self._hash = _Hashing(path, self.size, algorithms)

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
        self._hash = _Hashing(self.path, 0, self.algorithms)

    def append(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(chunk)
        self._hash.update(chunk)

    def digests(self) -> dict[str, str]:
        """Algorithm → digest of everything that is in the part now; see power.py for when that has reached the disk."""
        force_out(self._file.fileno())  # while the hashing thread catches up
        return self._hash.digests()

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


class _Hashing:
    """Hashes the first `size` bytes of a file, and then what it is told was appended, in a thread of its own."""

    def __init__(self, path: Path, size: int, algorithms: tuple[str, ...]) -> None:
        self._hashes = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
        self._algorithms = algorithms
        self._chunks: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._stopped = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(path, size), daemon=True)
        self._thread.start()

    def update(self, chunk: bytes) -> None:
        """These bytes come next; waits where the hashing lies too far behind."""
        self._chunks.put(chunk)

    def digests(self) -> dict[str, str]:
        self._end()
        if self._error:
            raise self._error
        return {name: value.hexdigest() for name, value in zip(self._algorithms, self._hashes, strict=True)}

    def stop(self) -> None:
        """End the thread without a result."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._chunks.put(None)
            self._thread.join()

    def _run(self, path: Path, size: int) -> None:
        try:
            self._read(path, size)
        except OSError as error:
            self._error = error
        while (chunk := self._chunks.get()) is not None:
            self._add(chunk)

    def _read(self, path: Path, size: int) -> None:
        with path.open("rb", buffering=0) as file:
            while size and not self._stopped:
                chunk = file.read(min(CHUNK, size))
                if not chunk:
                    raise OSError(f"{path} became shorter while it was read")
                self._add(chunk)
                size -= len(chunk)

    def _add(self, chunk: bytes) -> None:
        for value in self._hashes:
            value.update(chunk)
