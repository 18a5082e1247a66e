"""The HTTP server of `zoo view`: on 127.0.0.1, for pages of its own only, with bounded requests and JSON errors.

A request names models by their names, which are looked up in a table, and files of the page by a table too: nothing
that is sent ever becomes a path. A page of another site cannot use the API: its Origin and, where it plays with DNS,
its Host are refused, and pictures need a content type that a browser asks permission for.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from zoo.base.errors import FetchError, MissingBackend, UsageError, ZooError
from zoo.shapes import SAMPLE
from zoo.view.library import BadPicture, Library, UnknownModel
from zoo.view.openapi import PICTURES, describe
from zoo.vision.contract import Rule

LIMIT = 32 * 1024 * 1024  # bytes of a picture
AT_A_TIME = 16  # requests; more are told to come again
PATIENCE = 30  # seconds without a byte from the client
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Address → the page's file in the package, and its type.
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/api": ("api.html", "text/html; charset=utf-8"),
    "/api.js": ("api.js", "text/javascript; charset=utf-8"),
}
# Error → HTTP status; the first that fits.
STATUS: tuple[tuple[type[ZooError], int], ...] = (
    (UnknownModel, 404),
    (BadPicture, 422),
    (UsageError, 400),
    (FetchError, 409),
    (MissingBackend, 501),
    (ZooError, 500),
)


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint


class ViewServer(ThreadingHTTPServer):
    """The server; `url` is where the page is. Port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, library: Library, port: int) -> None:
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}", hint="give another --port") from error
        self.library = library
        self.slots = threading.BoundedSemaphore(AT_A_TIME)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "zoo", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a method, a request line, a header) is JSON too."""
        self.close_connection = True
        self._send_error(code, message or "this request is not understood", explain or "")

    def log_message(self, format: str, *args: object) -> None:
        """The terminal is no place for an access log."""

    def _answer(self, work: Callable[[str], None]) -> None:
        if not self.server.slots.acquire(blocking=False):
            self.close_connection = True
            self._send_error(503, "too many requests at a time", "try again in a moment")
            return
        try:
            self._check_caller()
            work(urlsplit(self.path).path)
        except Refused as error:
            self._send_error(error.status, error.message, error.hint)
        except ZooError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            self._send_error(status, error.message, error.hint)
        except OSError:  # the client has gone, or is too slow
            raise
        except Exception:
            self.close_connection = True
            self._send_error(500, "this is an error of zoo itself", "the terminal of zoo view shows where")
            raise
        finally:
            self.server.slots.release()

    def _check_caller(self) -> None:
        """Only this server's own names, and only its own pages."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        own = {f"http://{name}" for name in self.server.hosts}
        if host not in self.server.hosts or (origin is not None and origin not in own):
            self.close_connection = True
            raise Refused(403, "this server answers its own page only", f"open {self.server.url}")

    def _get(self, path: str) -> None:
        if path in PAGES:
            name, kind = PAGES[path]
            self._send(200, kind, (resources.files("zoo.view") / "static" / name).read_bytes())
        elif path == "/sample.png":
            self._send(200, "image/png", SAMPLE.read_bytes())
        elif path == "/v1/openapi.json":
            self._send_json(200, describe(LIMIT))
        elif path == "/v1/models":
            self._send_json(200, self.server.library.models())
        elif path.startswith("/v1/models/") and path.endswith("/verdicts"):
            name = unquote(path.removeprefix("/v1/models/").removesuffix("/verdicts"))
            self._send_json(200, self.server.library.verdicts(name))
        elif path == "/v1/detect":
            raise Refused(405, "pictures are sent by POST", "see /api")
        else:
            raise Refused(404, "there is nothing at this address", "see /api")

    def _post(self, path: str) -> None:
        if path != "/v1/detect":
            self.close_connection = True  # the body is not read
            raise Refused(405 if path in PAGES or path.startswith("/v1/") else 404, "nothing is taken here", "see /api")
        content = self._body()
        asked = self._asked()
        rule = Rule(_number(asked, "threshold", 0.25), _number(asked, "iou", 0.45))
        formats = tuple(dict.fromkeys(word.strip() for word in asked.get("formats", "onnx").split(",") if word.strip()))
        if not asked.get("model") or not formats:
            raise Refused(400, "the parameter model is missing" if formats else "the parameter formats is empty")
        self._send_json(200, self.server.library.detect(asked["model"], formats, rule, content))

    def _asked(self) -> dict[str, str]:
        """The query's parameters; each at most once."""
        found = parse_qs(urlsplit(self.path).query, max_num_fields=16)
        for name, values in found.items():
            if len(values) > 1 or name not in ("model", "formats", "threshold", "iou"):
                raise Refused(400, f"the parameter {name!r} is " + ("given twice" if len(values) > 1 else "not known"))
        return {name: values[0] for name, values in found.items()}

    def _body(self) -> bytes:
        self.close_connection = True  # until the body has been read whole
        kind = self.headers.get_content_type()
        if kind not in PICTURES and not kind.startswith("image/"):
            raise Refused(415, f"expected a picture, found the content type {kind}", f"send {', '.join(PICTURES)}")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            raise Refused(411, "the length of the picture is missing", "send a Content-Length")
        if len(length) > 12 or int(length) > LIMIT:
            raise Refused(413, f"a picture of {length} bytes is too large", f"at most {LIMIT} bytes are taken")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise Refused(400, f"the body ended after {len(content)} of {length} bytes")
        self.close_connection = False
        return content

    def _send_error(self, status: int, message: str, hint: str) -> None:
        self._send_json(status, {"error": {"status": status, "message": message, "hint": hint}})

    def _send_json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _number(asked: dict[str, str], name: str, default: float) -> float:
    try:
        return float(asked[name]) if name in asked else default
    except ValueError:
        raise Refused(400, f"the parameter {name} must be a number, not {asked[name]!r}") from None
