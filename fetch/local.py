"""Places on this machine: file:// urls, and files that zoo itself ships (package:FOLDER/FILE)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.fetch.failures import Refusal
from zoo.fetch.http import Body
from zoo.fetch.places import Place

PACKAGE = Path(__file__).resolve().parent.parent


def local_path(place: Place) -> Path:
    """The file that a local place means. Raises Refusal where the url means another machine."""
    if place.scheme == "package":
        return PACKAGE / place.url.partition(":")[2]
    parts = urlsplit(place.url)
    if parts.netloc not in ("", "localhost"):
        raise Refusal(f"a file url on another machine ({parts.netloc}) cannot be read")
    return Path(url2pathname(parts.path))


def open_local(place: Place) -> Body:
    """The whole file, from its beginning. Raises Refusal where it is not an ordinary file that can be read."""
    path = local_path(place)
    if not path.is_file():
        raise Refusal("not an ordinary file" if path.exists() else "there is no such file")
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise Refusal(f"cannot be read: {error.strerror}") from error

    def read(count: int) -> bytes:
        try:
            return file.read(count) or b""
        except OSError as error:
            raise Refusal(f"cannot be read: {error.strerror}") from error

    return Body(0, path.stat().st_size, "", "a local file", read, file.close)
