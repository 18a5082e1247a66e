"""Taking named members out of a tar archive that a stranger made.

Only what the catalog names is written; the whole archive is looked through all the same, and refused if it holds
anything that a model's archive has no reason to hold: names that lead out of it, links, devices, a name twice, or far
more than its own size. Its compressed stream is read to the end, so that its own checksum is checked too.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from zoo.base.files import CHUNK
from zoo.catalog.cards import ALGORITHMS, Member
from zoo.catalog.schema import FILE_NAME, RESERVED
from zoo.fetch.content import what_it_looks_like
from zoo.fetch.room import check_room

MAX_MEMBERS = 10_000
MAX_RATIO = 50  # weights compress little; a bomb compresses a thousandfold
ALWAYS_ALLOWED = 64 << 20  # bytes
LISTED = 12  # names in an error message


class Unsound(Exception):
    """The archive is damaged, or holds something that is not taken from strangers, or lacks what was named."""


@dataclass(frozen=True)
class Extracted:
    """A file that came out: `name` is its path under the model's folder, `path` where it lies for now."""

    role: str
    spec: str
    name: str
    path: Path
    size: int
    digests: dict[str, str]


def check_archive(archive: Path, members: tuple[Member, ...]) -> None:
    """Look through the whole archive, write nothing. Raises Unsound."""
    with _as_unsound():
        for _ in _wanted_members(archive, members):
            pass


def extract(archive: Path, members: tuple[Member, ...], folder: Path) -> list[Extracted]:
    """Write the named members into `folder`, which is empty, as numbered files. Raises Unsound, and OSError.

    Their sizes and hashes are checked where the catalog has them.
    """
    extracted: list[Extracted] = []
    with _as_unsound():
        for member, name, size, reader in _wanted_members(archive, members):
            check_room(folder, size)
            path = folder / str(len(extracted))
            digests = _written(reader, path, member)
            if path.stat().st_size != size:
                raise Unsound(f"member {name!r} ends early")
            _check_hashes(member, name, digests)
            extracted.append(Extracted(member.role, member.path, name, path, size, digests))
    return extracted


def _written(reader: IO[bytes], path: Path, member: Member) -> dict[str, str]:
    """Copy a member to `path`; returns its digests."""
    names = dict.fromkeys(["sha256", *member.hashes])
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("wb", buffering=0) as file:
        while chunk := reader.read(CHUNK):
            file.write(chunk)
            for value in hashes.values():
                value.update(chunk)
    return {name: value.hexdigest() for name, value in hashes.items()}


def _check_hashes(member: Member, name: str, digests: dict[str, str]) -> None:
    for algorithm in ALGORITHMS:
        expected = member.hashes.get(algorithm)
        if expected and digests[algorithm] != expected:
            raise Unsound(f"member {name!r} has {algorithm} {digests[algorithm]}, expected {expected}")


def _wanted_members(archive: Path, members: tuple[Member, ...]) -> Iterator[tuple[Member, str, int, IO[bytes]]]:
    """(member, its name under the model's folder, size, reader) of all that was named; checks all the rest."""
    found: dict[str, str] = {}  # name under the model's folder → name in the archive
    seen: list[str] = []
    served: set[str] = set()
    with _opened(archive) as (tar, stream):
        for info in _checked(tar, archive.stat().st_size):
            parts = _parts(info.name)
            seen.append("/".join(parts))
            for member in members:
                name = _taken_as(parts, member) if info.isfile() else ""
                if not name:
                    continue
                _check_name(name, info, member, found)
                served.add(member.path)
                yield member, name, info.size, cast(IO[bytes], tar.extractfile(info))
        while stream.read(CHUNK):
            pass  # to the end: a compressed stream has its checksum there
    for member in members:
        if member.path not in served and not member.optional:
            raise Unsound(f"there is no member {member.path!r}; it holds: {_listed(seen)}")


def _check_name(name: str, info: tarfile.TarInfo, member: Member, found: dict[str, str]) -> None:
    if not all(FILE_NAME.fullmatch(part) and not RESERVED.fullmatch(part) for part in name.split("/")):
        raise Unsound(f"member {info.name!r} has a name that cannot be a file's everywhere")
    if name.casefold() in found:
        raise Unsound(f"members {found[name.casefold()]!r} and {info.name!r} would both be {name!r}")
    if member.size is not None and info.size != member.size:
        raise Unsound(f"member {info.name!r} has {info.size} bytes, expected {member.size}")
    found[name.casefold()] = info.name


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "nothing") + more


def _checked(tar: tarfile.TarFile, compressed: int) -> Iterator[tarfile.TarInfo]:
    """The entries of the archive, each looked at before the next is read."""
    names: set[str] = set()
    total = 0
    for count, info in enumerate(tar, 1):
        name = "/".join(_parts(info.name))
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise Unsound(f"member {info.name!r} is {_kind(info)}; only plain files and folders are taken")
        if name in names and not info.isdir():
            raise Unsound(f"member {info.name!r} is there twice")
        names.add(name)
        total += info.size
        if total > max(ALWAYS_ALLOWED, MAX_RATIO * compressed):
            raise Unsound(f"{compressed} bytes that unpack to more than {total - 1}: a decompression bomb")
        if count > MAX_MEMBERS:
            raise Unsound(f"more than {MAX_MEMBERS} members")
        yield info


def _kind(info: tarfile.TarInfo) -> str:
    kinds = ((info.issym(), "a symbolic link"), (info.islnk(), "a hard link"), (info.isfifo(), "a pipe"))
    return next((kind for holds, kind in kinds if holds), "a sparse file" if info.issparse() else "a device")


def _parts(name: str) -> list[str]:
    """The components of a member's name. Raises Unsound where it leads out of the archive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.search(r"[\\\x00]|^[A-Za-z]:", name):
        raise Unsound(f"member {name!r} leads out of the archive")
    return parts


def _taken_as(parts: list[str], member: Member) -> str:
    """The name under the model's folder by which an entry is taken for `member`; "" where it is not it."""
    pattern = member.path.removesuffix("/").split("/")
    if pattern[0] == "*":
        pattern, parts = pattern[1:], parts[1:]
    if member.path.endswith("/"):
        inside = len(parts) > len(pattern) and parts[: len(pattern)] == pattern
        return "/".join(parts[len(pattern) - 1 :]) if inside else ""
    return parts[-1] if parts == pattern else ""


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[tarfile.TarFile, BinaryIO]]:
    """The archive, and its uncompressed stream."""
    with _uncompressed(archive) as stream, tarfile.open(fileobj=cast(BinaryIO, _Guarded(stream)), mode="r:") as tar:
        yield tar, stream


@contextmanager
def _as_unsound() -> Iterator[None]:
    """What any layer finds wrong with the archive becomes Unsound; what is wrong with the disk stays an OSError."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Unsound(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise Unsound(str(error)) from error  # bz2 raises an OSError without a number


def _uncompressed(archive: Path) -> BinaryIO:
    """Open the archive by what its first bytes say, whatever its name says."""
    with archive.open("rb") as file:
        first = file.read(512)
    openers = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
    for magic, opener in openers:
        if first.startswith(magic):
            return cast(BinaryIO, opener(archive, "rb"))
    if first[257:262] == b"ustar":
        return archive.open("rb")
    raise Unsound(f"it is {what_it_looks_like(first) or 'no tar archive'}; it begins with {first[:16]!r}")


class _Guarded:
    """A stream that does not let tarfile read a whole header of any size into memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= CHUNK:
            raise Unsound(f"a header of {count} bytes")
        return self._stream.read(count)
