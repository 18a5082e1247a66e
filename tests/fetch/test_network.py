"""Every way in which a server or the network between fails: what is told, and what is on disk afterwards."""

from __future__ import annotations

import dataclasses
import email.utils
import gzip
import hashlib
import random
import threading
import time
from typing import Any

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import QUICK, Fetching, a_card, a_file, failure, sha256
from tests.fetch.server import (
    chunked,
    content,
    cut,
    endless,
    only_with_agent,
    raw,
    stall,
    status,
)
from zoo.base.errors import FetchError
from zoo.catalog.cards import OtherContent

BODY = random.Random(1).randbytes(200_000)
OTHER = random.Random(2).randbytes(200_000)
KEY = f"sha256-{sha256(BODY)}"


def fails(fetching: Fetching, *urls: str, body: bytes | None = BODY, **more: Any) -> str:
    return failure(fetching, body, *urls, **more)


def test_a_file_comes_and_is_asked_for_once(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(BODY, served.url()))
    model = fetching(card)
    assert model.path("weights").read_bytes() == BODY
    assert model.folder == fetching.store.source_folder("model")
    assert model.files[0].sha256 == sha256(BODY)
    assert fetching(card) == model
    assert len(served.script.requests) == 1
    assert [event.kind for event in fetching.events if event.kind != "progress"] == ["start", "file", "done", "present"]
    assert fetching.parts() == {}


def test_a_user_agent_is_sent(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", only_with_agent(BODY))
    fetching(a_card(a_file(BODY, served.url())))
    request = served.script.requests[0]
    assert request.headers["user-agent"].startswith("detector-zoo/")
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers


@pytest.mark.parametrize("reset", [False, True])
def test_a_body_that_ends_early_is_continued(served: Served, fetching: Fetching, reset: bool) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000, reset=reset), content(BODY))
    model = fetching(a_card(a_file(BODY, served.url())))
    assert model.path("weights").read_bytes() == BODY
    assert served.script.requests[1].headers["range"] == "bytes=70000-"
    (retry,) = fetching.told("retry")
    assert retry.done == 70_000


def test_a_body_that_always_ends_early(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000))
    text = fails(fetching, served.url())
    assert "the connection was closed before the end (3 tries)" in text
    assert fetching.parts() == {
        f"{KEY}.part": 70_000,
        f"{KEY}.origin": len(f'{{"url": "{served.url()}", "validator": ""}}'),
    }
    assert not fetching.store.source_folder("model").exists()


def test_a_reset_at_every_try_keeps_what_came(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000, reset=True))
    text = fails(fetching, served.url())
    assert "the connection broke" in text and "(3 tries)" in text
    assert fetching.parts()[f"{KEY}.part"] == 70_000


def test_progress_makes_patient(served: Served, fetching: Fetching) -> None:
    """More failures than tries, but each brings a little further."""
    served.script.on("/m.weights", *(cut(BODY, at) for at in range(20_000, 200_000, 20_000)), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 10


def test_a_stall_ends_by_the_time_limit(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", stall(BODY, 50_000, 1.0), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert "stalls" in fetching.told("retry")[0].message
    assert served.script.requests[1].headers["range"] == "bytes=50000-"


def test_a_stall_without_end(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", stall(BODY, 50_000, 1.0))
    text = fails(fetching, served.url())
    assert "no data came within the time limit (the server stalls) (3 tries)" in text
    assert fetching.parts()[f"{KEY}.part"] == 50_000


def test_a_server_that_ignores_range(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000), content(BODY, ranges=False))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert len(served.script.requests) == 2


def test_a_206_from_another_start_is_not_believed(served: Served, fetching: Fetching) -> None:
    elsewhere = raw(206, {"Content-Range": f"bytes 60000-{len(BODY) - 1}/{len(BODY)}"}, BODY[60_000:])
    served.script.on("/m.weights", cut(BODY, 70_000), elsewhere, content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert "continued at byte 60000, which was not asked for" in fetching.told("retry")[1].message
    assert "range" not in served.script.requests[2].headers


def test_a_206_that_does_not_say_where_it_begins(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000), raw(206, {}, BODY[70_000:]), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert "without a Content-Range" in fetching.told("retry")[1].message


def test_416_because_the_part_is_whole(served: Served, fetching: Fetching) -> None:
    """Without a known size the server has to say that nothing is missing."""
    card = a_card(a_file(BODY, served.url(), size=None))
    part = fetching.store.part(KEY)
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    served.script.on("/m.weights", content(BODY))
    assert fetching(card).path("weights").read_bytes() == BODY
    assert [request.headers["range"] for request in served.script.requests] == [f"bytes={len(BODY)}-"]


def test_a_whole_part_of_known_size_needs_no_request(served: Served, fetching: Fetching) -> None:
    part = fetching.store.part(KEY)
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    fetching(a_card(a_file(BODY, served.url())), offline=True)
    assert served.script.requests == []


def test_416_because_the_part_is_too_long(served: Served, fetching: Fetching) -> None:
    part = fetching.store.part(KEY)
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + OTHER)
    served.script.on("/m.weights", content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY


def test_content_that_changed_meanwhile_is_begun_again(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(OTHER, 70_000, etag='"old"'), content(BODY, etag='"new"'))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert served.script.requests[1].headers["if-range"] == '"old"'


def test_changed_content_is_found_by_its_date_too(served: Served, fetching: Fetching) -> None:
    first = raw(200, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Content-Length": str(len(OTHER))}, OTHER[:9])
    served.script.on("/m.weights", first, content(BODY, modified="Tue, 02 Jan 2024 00:00:00 GMT"))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert served.script.requests[1].headers["if-range"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_pieces_that_do_not_fit_are_thrown_away(served: Served, fetching: Fetching) -> None:
    """A server without validators whose content changed: the hash tells, and the file comes from the beginning."""
    served.script.on("/m.weights", cut(OTHER, 70_000), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert "did not fit" in fetching.told("retry")[1].message
    assert "range" not in served.script.requests[2].headers


def test_an_unpinned_file_is_only_continued_with_a_validator(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(OTHER, 70_000), content(BODY))
    assert fetching(a_card(a_file(None, served.url()))).path("weights").read_bytes() == BODY
    assert "range" not in served.script.requests[1].headers


def test_an_unpinned_file_is_continued_with_one(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", cut(BODY, 70_000, etag='"a"'), content(BODY, etag='"a"'))
    assert fetching(a_card(a_file(None, served.url()))).path("weights").read_bytes() == BODY
    assert served.script.requests[1].headers["range"] == "bytes=70000-"
    assert served.script.requests[1].headers["if-range"] == '"a"'


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (b"<!DOCTYPE html><html><body>Sign in to this network</body></html>", "an HTML page"),
        (b"\xef\xbb\xbf\n <html lang='en'>quota exceeded</html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a git-lfs pointer"),
        (b'{"message": "Not Found"}', "a JSON error message"),
    ],
)
@pytest.mark.parametrize("body", [BODY, None], ids=["pinned", "unpinned"])
def test_a_page_instead_of_the_file(
    served: Served, fetching: Fetching, page: bytes, name: str, body: bytes | None
) -> None:
    served.script.on("/m.weights", raw(200, {"Content-Type": "text/html"}, page))
    text = fails(fetching, served.url(), body=body)
    assert f"{name}" in text and "instead of the file (HTTP 200, text/html)" in text
    assert fetching.has_nothing()
    assert not fetching.lock_file.path.exists()
    assert len(served.script.requests) == 1


def test_an_empty_file_is_no_file(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", raw(200, {}))
    assert "an empty file" in fails(fetching, served.url(), body=None)
    assert fetching.has_nothing()


@pytest.mark.parametrize("code", [401, 403, 404, 410, 451])
def test_a_refusal_goes_to_the_next_place_at_once(served: Served, fetching: Fetching, code: int) -> None:
    served.script.on("/gone", status(code))
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url("/gone"), served.url())))
    assert [request.path for request in served.script.requests] == ["/gone", "/m.weights"]
    assert f"HTTP {code}" in fetching.told("refused")[0].message
    assert not fetching.told("retry")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(served: Served, fetching: Fetching, code: int) -> None:
    served.script.on("/m.weights", status(code), status(code), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY
    assert [f"HTTP {code}" in event.message for event in fetching.told("retry")] == [True, True]


def test_a_server_in_trouble_for_long(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", status(503))
    assert "HTTP 503 Service Unavailable (3 tries)" in fails(fetching, served.url())
    assert len(served.script.requests) == 3
    assert fetching.has_nothing()


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_to(served: Served, fetching: Fetching, form: str) -> None:
    when = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
    served.script.on("/m.weights", status(429, Retry_After=when), content(BODY))
    began = time.monotonic()
    fetching(a_card(a_file(BODY, served.url())), limits=dataclasses.replace(QUICK, longest_wait=3.0))
    assert time.monotonic() - began >= 0.9


def test_a_long_retry_after_is_left_for_the_next_place(served: Served, fetching: Fetching) -> None:
    served.script.on("/busy", status(503, Retry_After="3600"))
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url("/busy"), served.url())))
    assert "it asks to wait 3600 s" in fetching.told("refused")[0].message


@pytest.mark.parametrize("nonsense", ["soon", "-5", "Mon, 99 Foo 2024", "9" * 40])
def test_a_retry_after_that_says_nothing(served: Served, fetching: Fetching, nonsense: str) -> None:
    served.script.on("/m.weights", status(503, Retry_After=nonsense), content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY


def test_a_content_range_beyond_all_numbers(served: Served, fetching: Fetching) -> None:
    giant = raw(206, {"Content-Range": f"bytes {'9' * 6000}-1/2"}, BODY)
    served.script.on("/m.weights", cut(BODY, 70_000), giant, content(BODY))
    assert fetching(a_card(a_file(BODY, served.url()))).path("weights").read_bytes() == BODY


def test_chunks_without_a_length(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", chunked(BODY))
    assert fetching(a_card(a_file(None, served.url()))).path("weights").read_bytes() == BODY


def test_chunks_that_end_early(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", chunked(BODY, complete=False))
    text = fails(fetching, served.url(), body=None)
    assert "(3 tries)" in text
    assert not fetching.store.source_folder("model").exists()
    assert not fetching.lock_file.path.exists()


def test_complete_chunks_of_too_few_bytes(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", chunked(BODY[:-1]))
    text = fails(fetching, served.url())
    assert "the answer ended after 199999 of 200000 bytes (3 tries)" in text


def test_a_tar_gz_that_is_called_gzip_encoded_is_kept_as_it_is(served: Served, fetching: Fetching) -> None:
    packed = gzip.compress(BODY)
    served.script.on("/m.weights", content(packed, Content_Encoding="gzip", Content_Type="application/x-tar"))
    assert fetching(a_card(a_file(packed, served.url()))).path("weights").read_bytes() == packed


def test_a_server_that_compresses_on_its_own(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(gzip.compress(BODY), Content_Encoding="gzip"))
    text = fails(fetching, served.url())
    assert "another size" in text and "encoded as gzip" in text
    assert fetching.has_nothing()


@pytest.mark.parametrize("answer", [content(BODY + b"x"), chunked(BODY + b"x")], ids=["announced", "chunked"])
def test_a_body_that_is_too_long(served: Served, fetching: Fetching, answer: object) -> None:
    served.script.on("/m.weights", answer)  # type: ignore[arg-type]
    text = fails(fetching, served.url())
    assert "another size: 200001 bytes instead of 200000" in text or "more than the 200000 bytes" in text
    assert fetching.has_nothing()


def test_an_endless_body(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", endless())
    text = fails(fetching, served.url(), body=None, limits=dataclasses.replace(QUICK, largest=1 << 20))
    assert "more than the 1048576 bytes that it may have" in text
    assert fetching.has_nothing()


def test_an_announced_giant_is_not_begun(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", raw(200, {"Content-Length": str(1 << 50)}, BODY))
    assert "more than is believed of a model" in fails(fetching, served.url(), body=None)
    assert fetching.has_nothing()


def test_an_unknown_host(fetching: Fetching) -> None:
    text = fails(fetching, "http://nowhere.invalid/m.weights")
    assert "no connection to nowhere.invalid" in text


def test_a_closed_port(fetching: Fetching) -> None:
    assert "no connection to 127.0.0.1" in fails(fetching, "http://127.0.0.1:9/m.weights")


def test_the_first_mirror_wrong_the_second_right(served: Served, fetching: Fetching) -> None:
    served.script.on("/wrong", content(OTHER))
    served.script.on("/m.weights", content(BODY))
    model = fetching(a_card(a_file(BODY, served.url("/wrong"), served.url())))
    assert model.path("weights").read_bytes() == BODY
    assert f"another content: 200000 bytes with sha256 {sha256(OTHER)}" in fetching.told("refused")[0].message
    assert fetching.parts() == {}


def test_all_mirrors_wrong(served: Served, fetching: Fetching) -> None:
    served.script.on("/a", content(OTHER))
    served.script.on("/b", content(OTHER[::-1]))
    text = fails(fetching, served.url("/a"), served.url("/b"))
    assert sha256(OTHER) in text and sha256(OTHER[::-1]) in text
    assert fetching.has_nothing()


def test_a_known_other_content_is_called_by_its_name(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(OTHER))
    file = a_file(BODY, served.url(), others=(OtherContent(sha256(OTHER), "the build of 2019"),))
    with pytest.raises(FetchError, match=r"sha256 \w+ \(the build of 2019\)"):
        fetching(a_card(file))


@pytest.mark.parametrize("algorithm", ["sha512", "sha384", "sha1", "md5"])
def test_any_published_hash_is_a_judge(served: Served, fetching: Fetching, algorithm: str) -> None:
    digest = hashlib.new(algorithm, BODY).hexdigest()
    served.script.on("/wrong", content(OTHER))
    served.script.on("/m.weights", content(BODY))
    card = a_card(a_file(None, served.url("/wrong"), served.url(), hashes={algorithm: digest}))
    model = fetching(card)
    assert model.path("weights").read_bytes() == BODY
    assert not fetching.lock_file.path.exists()
    assert f"{algorithm} {hashlib.new(algorithm, OTHER).hexdigest()}" in fetching.told("refused")[0].message
    # Another model with the same file finds it by that hash.
    again = dataclasses.replace(card, name="again")
    assert fetching(again).path("weights").read_bytes() == BODY
    assert len(served.script.seen("/m.weights")) == 1


def test_files_of_a_model_come_in_parallel(served: Served, fetching: Fetching) -> None:
    """Two files that each wait for the other to be asked for."""
    both = threading.Barrier(2, timeout=5)

    def together(handler: object) -> None:
        both.wait()
        content(BODY)(handler)  # type: ignore[arg-type]

    served.script.on("/a", together)
    served.script.on("/b", together)
    files = (a_file(BODY[:], served.url("/a"), name="a"), a_file(None, served.url("/b"), name="b", role="cfg"))
    fetching(a_card(*files), jobs=2, limits=dataclasses.replace(QUICK, read_timeout=6.0))


def test_one_content_for_several_models_comes_once(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    cards = [a_card(a_file(BODY, served.url()), name=name) for name in ("one", "two", "three")]
    fetching(*cards)
    assert len(served.script.requests) == 1
    paths = [fetching.store.source_folder(name) / "m.weights" for name in ("one", "two", "three")]
    assert len({path.stat().st_ino for path in paths}) == 1


def test_one_failure_does_not_keep_the_others_back(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    good = a_card(a_file(BODY, served.url()), name="good")
    bad = a_card(a_file(OTHER, served.url("/gone")), name="bad")
    with pytest.raises(FetchError, match=r"bad: m\.weights could not be fetched"):
        fetching(bad, good)
    assert (fetching.store.source_folder("good") / "m.weights").read_bytes() == BODY
    assert [event.model for event in fetching.told("failed")] == ["bad"]
