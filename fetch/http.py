"""Asking an HTTP server for a file, or for the rest of one: proxies, redirects, and what each answer means.

urllib3 does the protocol. This file adds what it leaves open: which redirects are followed, which answers are final
and which are worth another try, and what a partial answer must say to be believed. Bytes are taken as they were sent:
nothing is decompressed, because the hash is of the published file.
"""

from __future__ import annotations

import email.utils
import http.client
import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions as broken

from zoo.fetch.addresses import LINK_LOCAL, PUBLIC, zone_of
from zoo.fetch.failures import Hiccup, Refusal, Stale
from zoo.fetch.limits import Limits
from zoo.fetch.places import without_password

AGAIN_LATER = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Body:
    """An answer that gives bytes: they begin at offset `start`; `total` is the whole file's length, where told.

    `validator` identifies the content (a strong ETag, or its date); `notes` are for messages. `read(n)` gives up to
    n bytes, b"" at the end, and raises Hiccup where the connection fails.
    """

    start: int
    total: int | None
    validator: str
    notes: str
    read: Callable[[int], bytes]
    close: Callable[[], None]


class Web:
    """The connections of one fetch. Threads may share it."""

    def __init__(self, limits: Limits, *, allow_private: bool = False) -> None:
        self.limits = limits
        self.allow_private = allow_private
        self._timeout = urllib3.Timeout(connect=limits.connect_timeout, read=limits.read_timeout)
        self._agent = f"detector-zoo/{version('detector-zoo')} urllib3/{version('urllib3')}"
        self._pools: dict[str, urllib3.PoolManager] = {}

    def get(self, url: str, *, offset: int = 0, validator: str = "") -> Body | None:
        """Ask for the file from `offset` on; None where the server says that it has no more than that.

        With a `validator` the rest is asked for only if the content is still the same. Raises Refusal or Hiccup.
        """
        headers = {"User-Agent": self._agent, "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        if offset and validator:
            headers["If-Range"] = validator
        response = self._followed(url, headers)
        try:
            return self._body(response, offset)
        except BaseException:
            response.close()
            raise

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def _followed(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The first answer that is not a redirect."""
        here = url
        for _ in range(self.limits.redirects + 1):
            response = self._request(here, headers)
            target = response.headers.get("Location") if response.status in REDIRECTS else None
            if target is None:
                return response
            response.close()
            here = self._allowed(here, _joined(here, target))
        raise Refusal(f"more than {self.limits.redirects} redirects, the last to {without_password(here)}")

    def _allowed(self, source: str, target: str) -> str:
        """`target`, if a redirect may lead there from `source`: never to files, to plain http, or into a network."""
        shown = f"redirects to {without_password(target)}"
        old, new = urlsplit(source), urlsplit(target)
        if new.scheme not in ("http", "https") or not new.hostname:
            raise Refusal(f"{shown}, which is not http or https")
        if old.scheme == "https" and new.scheme == "http":
            raise Refusal(f"{shown}: from https down to http")
        direct = not _proxy_for(target)
        zone = zone_of(new.hostname, look_up=direct)
        same = zone == zone_of(old.hostname or "", look_up=direct) and zone != LINK_LOCAL
        if zone != PUBLIC and not same and not self.allow_private:
            raise Refusal(f"{shown}, a {zone} address (--allow-private would follow it)")
        return target

    def _request(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool(url).request(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )
        except broken.HTTPError as error:
            raise _failure(error) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The connections to use for `url`: direct, or through the proxy that the environment names."""
        proxy = _proxy_for(url)
        if proxy not in self._pools:
            self._pools[proxy] = _proxied(proxy) if proxy else urllib3.PoolManager(maxsize=8)
        return self._pools[proxy]

    def _body(self, response: urllib3.BaseHTTPResponse, offset: int) -> Body | None:
        headers = response.headers
        if response.status == 416 and offset:
            response.close()
            if _range_total(headers.get("Content-Range", "")) == offset:
                return None
            raise Stale("HTTP 416: the server has another length than what was begun")
        if response.status not in (200, 206):
            raise _bad_status(response)
        start, total = (0, _length(headers)) if response.status == 200 else _range(headers)
        kind, encoding = headers.get("Content-Type", ""), headers.get("Content-Encoding", "")
        return Body(
            start=start,
            total=total,
            validator=_validator(headers),
            notes=", ".join([f"HTTP {response.status}", *filter(None, (kind, encoding and f"encoded as {encoding}"))]),
            read=lambda count: _read(response, count),
            close=response.close,
        )


def _read(response: urllib3.BaseHTTPResponse, count: int) -> bytes:
    try:
        return response.read1(count, decode_content=False)
    except broken.HTTPError as error:
        raise _failure(error) from error


def _joined(source: str, target: str) -> str:
    try:
        return urljoin(source, target)
    except ValueError as error:
        raise Refusal(f"redirects to {target!r}, which is no url: {error}") from error


def _proxy_for(url: str) -> str:
    """The proxy that the environment (or the platform's settings) names for `url`; "" for a direct connection."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def _proxied(proxy: str) -> urllib3.ProxyManager:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    login = f"{parts.username}:{parts.password or ''}" if parts.username else None
    try:
        return urllib3.ProxyManager(address, maxsize=8, proxy_headers=urllib3.make_headers(proxy_basic_auth=login))
    except broken.HTTPError as error:
        raise Refusal(f"the proxy {without_password(address)} cannot be used: {error}") from error


def _length(headers: Any) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _range(headers: Any) -> tuple[int, int | None]:
    """Start and total of a 206 answer. Raises Stale where it does not say them."""
    match = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", headers.get("Content-Range", "").strip())
    if not match:
        raise Stale("HTTP 206 without a Content-Range that says where it begins")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _range_total(text: str) -> int | None:
    match = re.fullmatch(r"bytes \*/([0-9]{1,18})", text.strip())
    return int(match[1]) if match else None


def _validator(headers: Any) -> str:
    """What If-Range may be asked with: a strong ETag, else the date of the content."""
    tag = str(headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", ""))


def _bad_status(response: urllib3.BaseHTTPResponse) -> Exception:
    told = f"HTTP {response.status} {response.reason or ''}".strip()
    if response.status not in AGAIN_LATER:
        return Refusal(told)
    return Hiccup(told, _seconds(response.headers.get("Retry-After", "")))


def _seconds(text: str) -> float | None:
    """Retry-After in seconds: a number, or a date."""
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _failure(error: broken.HTTPError) -> Exception:
    """What a failed connection means: worth another try, or not."""
    cause = error.reason if isinstance(error, broken.MaxRetryError) and error.reason else error
    if isinstance(cause, broken.SSLError):
        return Refusal(f"the server's certificate or TLS is not accepted: {cause}")
    if isinstance(cause, broken.LocationValueError | broken.URLSchemeUnknown):
        return Refusal(f"not a url: {cause}")
    if isinstance(cause, broken.ReadTimeoutError):
        return Hiccup("no data came within the time limit (the server stalls)")
    if isinstance(cause, broken.ProxyError):
        return Hiccup(f"the proxy does not work: {cause.original_error}")
    if isinstance(cause, broken.NewConnectionError):
        return Hiccup(f"no connection to {cause.conn.host}: {str(cause).rpartition(': ')[2]}")
    if isinstance(cause, broken.ConnectTimeoutError):
        return Hiccup("no connection within the time limit")
    innermost = _innermost(cause)
    if isinstance(innermost, broken.IncompleteRead | http.client.IncompleteRead):
        return Hiccup("the connection was closed before the end")
    return Hiccup(f"the connection broke: {innermost or type(innermost).__name__}")


def _innermost(error: BaseException) -> BaseException:
    """The error at the bottom: urllib3 wraps the operating system's."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return error
