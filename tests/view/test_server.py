"""The API as a client and as an attacker meets it: every route, every limit, and nothing from outside."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.view.serving import serving
from zoo.base.errors import UsageError
from zoo.catalog import Store
from zoo.pipeline.verify import verify_model
from zoo.shapes import SAMPLE
from zoo.verify import Options
from zoo.view.openapi import describe
from zoo.view.server import LIMIT, PAGES, ViewServer

PICTURE = {"Content-Type": "image/png"}
DETECT = "/v1/detect?model=shapes-tiny"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[ViewServer]:
    with serving(store, {"mine": "mine.onnx"}) as server:
        yield server


class Client:
    """Requests, with the status, the headers and the JSON of the answer."""

    def __init__(self, server: ViewServer) -> None:
        self.port = server.server_port
        self.headers: dict[str, str] = {}

    def raw(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        self.status, self.headers = answer.status, dict(answer.getheaders())
        content = answer.read()
        connection.close()
        return content

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        content = self.raw(method, path, body, headers)
        assert self.headers["Content-Type"] == "application/json", content[:200]
        return json.loads(content)

    def refused(self, *arguments: Any) -> tuple[int, str]:
        """The status and the message of an error, whose form is checked."""
        error = self.ask(*arguments)["error"]
        assert set(error) == {"status", "message", "hint"}
        assert error["status"] == self.status
        return self.status, error["message"]


@pytest.fixture
def client(server: ViewServer) -> Client:
    return Client(server)


def test_it_listens_on_this_machine_only(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith("http://127.0.0.1:")


def test_models_are_listed_those_that_are_here_first(client: Client) -> None:
    models = client.ask("GET", "/v1/models")
    assert [one["name"] for one in models[:2]] == ["mine", "shapes-tiny"]
    assert [one["here"] for one in models] == sorted((one["here"] for one in models), reverse=True)
    assert len({one["name"] for one in models}) == len(models) > 100


def test_detections_of_several_formats(client: Client) -> None:
    found = client.ask("POST", f"{DETECT}&formats=onnx,opencv&threshold=0.5", SAMPLE.read_bytes(), PICTURE)
    with Image.open(SAMPLE) as picture:
        assert found["picture"] == {"width": picture.width, "height": picture.height}
    assert (found["threshold"], found["iou"]) == (0.5, 0.45)
    first, second = found["results"]
    assert (first["format"], second["format"]) == ("onnx", "opencv")
    assert first["same"] and second["same"]
    assert second["finding"] == "the same detections"
    assert len(first["detections"]) == len(second["detections"]) > 2
    for one in first["detections"]:
        assert one["score"] > 0.5
        assert not one["differs"]
        left, top, width, height = one["box"]
        assert -0.1 < left < 1 and -0.1 < top < 1 and 0 < width < 1 and 0 < height < 1
    assert {one["label"] for one in first["detections"]} <= {"circle", "square", "triangle", "cross", "star", "ring"}
    assert all(0 < value < 60 for value in first["seconds"].values())


def test_verdicts_come_from_the_manifest(client: Client, store: Store) -> None:
    assert client.ask("GET", "/v1/models/yolov3/verdicts") == []
    verify_model("shapes-tiny", options=Options(speed="none", threads=1), store=store)
    (verdict,) = client.ask("GET", "/v1/models/shapes-tiny/verdicts")
    assert (verdict["format"], verdict["verdict"], verdict["device"]) == ("onnx", "pass", "cpu")
    (result,) = client.ask("POST", DETECT, SAMPLE.read_bytes(), PICTURE)["results"]
    assert [one["verdict"] for one in result["verdicts"]] == ["pass"]


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


JPEG = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), "JPEG")
SMALL = encoded(Image.new("RGB", (40, 30)), "PNG")
BAD = {
    "no picture": (DETECT, b"hello " * 50, PICTURE, 422, "expected a picture"),
    "nothing": (DETECT, b"", PICTURE, 422, "expected a picture"),
    "half a picture": (DETECT, JPEG[: len(JPEG) // 2], PICTURE, 422, "cannot read the picture"),
    "too many pixels": (DETECT, encoded(Image.new("1", (20000, 6000)), "PNG"), PICTURE, 422, "100000000 pixels"),
    "another type": (DETECT, SMALL, {"Content-Type": "text/plain"}, 415, "text/plain"),
    "a form": (DETECT, SMALL, {"Content-Type": "application/x-www-form-urlencoded"}, 415, "form"),
    "no model": ("/v1/detect", SMALL, PICTURE, 400, "model is missing"),
    "an unknown model": ("/v1/detect?model=nothing", SMALL, PICTURE, 404, "no model is called 'nothing'"),
    "a path as a model": ("/v1/detect?model=../../etc/passwd", SMALL, PICTURE, 404, "no model is called"),
    "a file as a model": (f"/v1/detect?model={__file__}", SMALL, PICTURE, 404, "no model is called"),
    "a model that is not here": ("/v1/detect?model=yolov3", SMALL, PICTURE, 409, "yolov3"),
    "an unknown format": (f"{DETECT}&formats=caffe", SMALL, PICTURE, 400, "unknown format 'caffe'"),
    "no format": (f"{DETECT}&formats=,", SMALL, PICTURE, 400, "formats is empty"),
    "a wrong threshold": (f"{DETECT}&threshold=2", SMALL, PICTURE, 400, "between 0 and 1"),
    "a threshold that is no number": (f"{DETECT}&threshold=a", SMALL, PICTURE, 400, "must be a number"),
    "not a number": (f"{DETECT}&iou=nan", SMALL, PICTURE, 400, "between 0 and 1"),
    "an unknown parameter": (f"{DETECT}&device=cuda", SMALL, PICTURE, 400, "'device' is not known"),
    "a parameter twice": (f"{DETECT}&model=yolov3", SMALL, PICTURE, 400, "given twice"),
    "the wrong place": ("/v1/models", SMALL, PICTURE, 405, "nothing is taken here"),
    "nowhere": ("/v2/detect", SMALL, PICTURE, 404, "nothing is taken here"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_a_clear_4xx(case: str, client: Client) -> None:
    path, body, headers, status, message = BAD[case]
    found = client.refused("POST", path, body, headers)
    assert found[0] == status
    assert message in found[1]


def test_what_is_too_long_is_refused_before_it_is_read(client: Client) -> None:
    for length in (str(LIMIT + 1), "9" * 40):
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            head = f"POST {DETECT} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            answer = connection.makefile("rb").read()  # the server closes: not a byte of the body was sent
        assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "length", ["", "Content-Length: -1\r\n", "Content-Length: +5\r\n", "Transfer-Encoding: chunked\r\n"]
)
def test_a_body_without_a_length_is_refused(length: str, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        head = f"POST {DETECT} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}{length}\r\n".encode())
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Host": "example.org"},
        {"Host": "127.0.0.1:1"},
        {"Host": "localhost"},
    ],
)
def test_pages_and_names_of_others_are_refused(headers: dict[str, str], client: Client) -> None:
    assert client.refused("GET", "/v1/models", None, headers)[0] == 403
    assert client.refused("POST", DETECT, SMALL, {**PICTURE, **headers})[0] == 403


def test_the_own_origin_is_taken(client: Client) -> None:
    client.ask("GET", "/v1/models", None, {"Origin": f"http://localhost:{client.port}"})
    assert client.status == 200


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_the_headers_that_protect_it(path: str, client: Client) -> None:
    content = client.raw("GET", path)
    assert client.status == 200
    assert content
    assert client.headers["Content-Type"] == PAGES[path][1]
    policy = client.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert client.headers["X-Content-Type-Options"] == "nosniff"
    assert client.raw("HEAD", path) == b""


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../zoo.yaml", "/static/index.html", "/%2e%2e/zoo.yaml", "/v1/models/..%2f..%2fx/verdicts",
     "/v1/models//verdicts", "/v1/models/%00/verdicts"],
)  # fmt: skip
def test_what_is_not_in_the_tables_is_not_found(path: str, client: Client) -> None:
    assert client.refused("GET", path)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused_in_json(method: str, client: Client) -> None:
    assert client.refused(method, "/v1/models")[0] == 501


def test_the_description_names_every_route_and_its_answers(client: Client) -> None:
    document = client.ask("GET", "/v1/openapi.json")
    assert document == describe(LIMIT)
    assert set(document["paths"]) == {"/v1/models", "/v1/models/{name}/verdicts", "/v1/detect"}
    told = set(document["paths"]["/v1/detect"]["post"]["responses"])
    assert {str(status) for path, *_, status, _ in BAD.values() if path.startswith("/v1/detect")} <= told


def test_detections_are_as_the_description_says(client: Client) -> None:
    document = describe(LIMIT)
    found = client.ask("POST", DETECT, SAMPLE.read_bytes(), PICTURE)
    schema = {"$ref": "#/components/schemas/Detected", "components": document["components"]}
    jsonschema.validate(found, schema)
    jsonschema.validate(client.ask("GET", "/v1/models"), {
        "type": "array", "items": {"$ref": "#/components/schemas/Model"}, "components": document["components"]
    })  # fmt: skip


def test_a_taken_port_is_a_usage_error(server: ViewServer) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        ViewServer(server.library, server.server_port)


def test_requests_beyond_the_limit_are_told_to_come_again(server: ViewServer, client: Client) -> None:
    taken = 0
    while server.slots.acquire(blocking=False):
        taken += 1
    try:
        assert client.refused("GET", "/v1/models")[0] == 503
    finally:
        for _ in range(taken):
            server.slots.release()


def test_the_package_brings_every_page() -> None:
    for name, _ in PAGES.values():
        assert (resources.files("zoo.view") / "static" / name).is_file()
