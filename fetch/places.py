"""Where a file may be found, in order: the user's mirrors first, then what the catalog says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from zoo.base.errors import UsageError
from zoo.catalog.cards import CardFile
from zoo.fetch.addresses import is_loopback

LOCAL = ("file", "package")


@dataclass(frozen=True)
class Place:
    """One url to ask. `trusted`: the user himself named its server, as a mirror."""

    url: str
    trusted: bool = False

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]

    @property
    def is_local(self) -> bool:
        return self.scheme in LOCAL


def places_of(model: str, file: CardFile, mirrors: tuple[str, ...], *, pinned: bool) -> tuple[Place, ...]:
    """The places to ask for `file`, in order and each once. `pinned`: its hash is known before the download.

    A file without a known hash is never asked for over plain http, where anybody on the way could change it: the
    catalog's http urls become https then. Mirrors, which the user named, and this machine itself are exempt.
    """
    urls = [url if pinned else _over_tls(url) for url in file.urls]
    packaged = [Place(url) for url in urls if url.startswith("package:")]
    mirrored = [Place(url, trusted=True) for prefix in mirrors for url in _in_mirror(prefix, model, file)]
    published = [Place(url) for url in urls]
    return tuple(dict.fromkeys(packaged + mirrored + published))


def _in_mirror(prefix: str, model: str, file: CardFile) -> Iterator[str]:
    """PREFIX/FILE, PREFIX/MODEL/FILE, and PREFIX/HOST/PATH of every published url."""
    base = (prefix if "://" in prefix else Path(prefix).absolute().as_uri()).rstrip("/")
    try:
        urlsplit(base)
    except ValueError as error:
        raise UsageError(f"the mirror {prefix!r} is neither a url nor a folder: {error}") from error
    yield f"{base}/{quote(file.name)}"
    yield f"{base}/{quote(model)}/{quote(file.name)}"
    for url in file.urls:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            yield f"{base}/{parts.netloc}{parts.path}"


def _over_tls(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http" or is_loopback(parts.hostname or ""):
        return url
    return urlunsplit(parts._replace(scheme="https"))


def without_password(url: str) -> str:
    """The url as it may be shown and recorded: without a user's name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url
