"""Where a request may be led: redirects, proxies, TLS, and what is not told of it."""

from __future__ import annotations

import random

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, failure
from tests.fetch.server import CERTIFICATE, Script, content, raw, redirect, running
from zoo.base.errors import FetchError, UsageError

BODY = random.Random(1).randbytes(20_000)


def fails(fetching: Fetching, *urls: str) -> str:
    return failure(fetching, BODY, *urls)


def test_a_redirect_is_followed(served: Served, fetching: Fetching) -> None:
    served.script.on("/old", redirect("/m.weights"))
    served.script.on("/m.weights", content(BODY))
    assert fetching(a_card(a_file(BODY, served.url("/old")))).path("weights").read_bytes() == BODY


def test_a_redirect_loop_ends(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", redirect("/again"))
    served.script.on("/again", redirect("/m.weights"))
    assert "more than 10 redirects" in fails(fetching, served.url())
    assert len(served.script.requests) == 11
    assert fetching.has_nothing()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("file:///etc/passwd", "which is not http or https"),
        ("ftp://example.org/m.weights", "which is not http or https"),
        ("http://169.254.169.254/latest/meta-data", "a link-local address"),
        ("http://[fe80::1]/x", "a link-local address"),
        ("http://10.0.0.1/x", "a private address"),
        ("http://192.168.1.1/x", "a private address"),
        ("http://[fd00::1]/x", "a private address"),
        ("http://printer.local/x", "a private address"),
    ],
)
def test_a_redirect_to_where_it_must_not_lead(served: Served, fetching: Fetching, target: str, why: str) -> None:
    served.script.on("/m.weights", redirect(target))
    text = fails(fetching, served.url())
    assert f"redirects to {target}" in text and why in text
    assert fetching.has_nothing()


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/x", "http://localhost:1/x", "http://[::1]:1/x", "http://0.0.0.0/"]
)
def test_a_redirect_from_outside_into_this_machine(
    served: Served, fetching: Fetching, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server plays a proxy, so that a public host can be asked."""
    monkeypatch.setenv("http_proxy", served.base)
    served.script.on("http://models.example.org/m.weights", redirect(target))
    text = fails(fetching, "http://models.example.org/m.weights")
    assert "a loopback address (--allow-private would follow it)" in text
    assert len(served.script.requests) == 1


def test_such_a_redirect_is_followed_where_the_user_allows_it(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", served.base)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served.script.on("http://models.example.org/m.weights", redirect(served.url("/inside")))
    served.script.on("/inside", content(BODY))
    card = a_card(a_file(BODY, "http://models.example.org/m.weights"))
    assert fetching(card, allow_private=True).path("weights").read_bytes() == BODY


def test_a_redirect_from_https_down_to_http(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    served.script.on("/m.weights", content(BODY))
    script = Script()
    with running(script, tls=True) as base:
        script.on("/down", redirect(served.url()))
        script.on("/m.weights", content(BODY))
        text = fails(fetching, f"{base}/down")
        assert "from https down to http" in text
        assert fetching.has_nothing() and served.script.requests == []
        assert fetching(a_card(a_file(BODY, f"{base}/m.weights"))).path("weights").read_bytes() == BODY


def test_a_certificate_that_nobody_vouches_for(fetching: Fetching) -> None:
    script = Script()
    with running(script, tls=True) as base:
        text = fails(fetching, f"{base}/m.weights")
    assert "certificate or TLS is not accepted" in text and "self-signed certificate" in text
    assert script.requests == []


def test_https_is_asked_for_what_no_hash_vouches_for(fetching: Fetching) -> None:
    with pytest.raises(FetchError, match=r"https://nowhere\.invalid/m\.weights\n"):
        fetching(a_card(a_file(None, "http://nowhere.invalid/m.weights")))


def test_passwords_in_urls_are_not_told(served: Served, fetching: Fetching) -> None:
    with pytest.raises(FetchError) as caught:
        fetching(a_card(a_file(BODY, served.url().replace("http://", "http://me:secret@"))))
    assert "secret" not in str(caught.value)
    assert all("secret" not in event.url for event in fetching.events)


def test_the_proxy_of_the_environment_is_used(
    served: Served, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", served.base.replace("http://", "http://me:secret@"))
    served.script.on("http://models.example.org/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, "http://models.example.org/m.weights")))
    assert served.script.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("target", ["http://[bad/x", "//[/", "http:///x", "\\\\server\\share"])
def test_a_redirect_to_nowhere(served: Served, fetching: Fetching, target: str) -> None:
    served.script.on("/m.weights", redirect(target))
    served.script.on("/share", raw(404, {}))
    fails(fetching, served.url())
    assert fetching.has_nothing()


def test_a_mirror_that_is_no_url(fetching: Fetching) -> None:
    with pytest.raises(UsageError, match=r"the mirror 'http://\[bad' is neither a url nor a folder"):
        fetching(a_card(a_file(BODY)), mirrors=("http://[bad",))
