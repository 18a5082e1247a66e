"""A scripted HTTP server on this machine: for each path a list of answers, given one after the other.

The last answer of a path is repeated. Every request is recorded. Answers do what real servers, proxies and
captive portals do wrong.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")
Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]  # names in lower case


@dataclass
class Script:
    """What the server does, and what it saw."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def on(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def seen(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


class Handler(BaseHTTPRequestHandler):
    """Looks up the answer. `protocol_version` 1.1, so that a length or chunks end an answer, or the closing does."""

    protocol_version = "HTTP/1.1"
    script: Script

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.requests.append(Request(self.path, headers))
        answers = self.script.answers.get(self.path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `script.requests`."""

    def head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def offset(self) -> int:
        """The first byte that a Range header asks for, else 0."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else 0


@contextmanager
def running(script: Script, *, tls: bool = False) -> Iterator[str]:
    """Serve the script in threads; yields the base url."""
    handler = type("ScriptedHandler", (Handler,), {"script": script})
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' * tls}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what the tests are about."""


def content(body: bytes, *, etag: str = "", modified: str = "", ranges: bool = True, **headers: str) -> Answer:
    """A server as it should be: Range, If-Range, validators, 416."""
    given = {"ETag": etag, "Last-Modified": modified, **headers}
    fields = {name.replace("_", "-"): value for name, value in given.items() if value}

    def answer(handler: Handler) -> None:
        start = handler.offset() if ranges else 0
        condition = handler.headers.get("If-Range")
        if condition and condition not in (etag, modified):
            start = 0
        if start and start >= len(body):
            handler.head(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
            return
        partial = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.head(206 if start else 200, {**fields, **partial, "Content-Length": str(len(body) - start)})
        handler.wfile.write(body[start:])

    return answer


def cut(body: bytes, at: int, *, etag: str = "", reset: bool = False) -> Answer:
    """Announce the rest of the body, but close (or reset) the connection after byte `at` of the whole."""

    def answer(handler: Handler) -> None:
        start = handler.offset()
        fields = {"ETag": etag} if etag else {}
        if start:
            fields["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.head(206 if start else 200, {**fields, "Content-Length": str(len(body) - start)})
        handler.wfile.write(body[start:at])
        handler.wfile.flush()
        handler.close_connection = True
        if reset:
            time.sleep(0.05)  # the client reads what came first
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    return answer


def stall(body: bytes, at: int, seconds: float) -> Answer:
    """Send up to byte `at`, then nothing for a while."""

    def answer(handler: Handler) -> None:
        start = handler.offset()
        fields = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.head(206 if start else 200, {**fields, "Content-Length": str(len(body) - start)})
        handler.wfile.write(body[start:at])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def raw(code: int, headers: dict[str, str], body: bytes = b"") -> Answer:
    """Exactly this answer, whatever was asked."""

    def answer(handler: Handler) -> None:
        handler.head(code, {"Content-Length": str(len(body)), **headers})
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    return raw(code, {name.replace("_", "-"): value for name, value in headers.items()})


def redirect(target: str) -> Answer:
    return raw(302, {"Location": target})


def chunked(body: bytes, pieces: int = 4, *, complete: bool = True) -> Answer:
    """A body in chunks, without a length; `complete=False` leaves out the last, empty chunk."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        size = -(-len(body) // pieces)
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n" if complete else b"")
        handler.close_connection = True

    return answer


def endless() -> Answer:
    """Chunks for as long as anybody reads."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        piece = os.urandom(64 << 10)
        while True:
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    return answer


def only_with_agent(body: bytes) -> Answer:
    """403 for clients that do not say who they are."""

    def answer(handler: Handler) -> None:
        agent = handler.headers.get("User-Agent", "")
        (content(body) if agent and not agent.startswith("Python") else status(403))(handler)

    return answer
