"""Where files come from besides the catalog's urls: mirrors, this machine, zoo itself; and the lock file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, sha256
from tests.fetch.server import content
from zoo.base.errors import FetchError, UsageError
from zoo.catalog import Card, CardFile, load_catalog
from zoo.catalog.lock import LockFile
from zoo.fetch import fetch

BODY = random.Random(4).randbytes(50_000)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("place", ["m.weights", "model/m.weights", "nowhere.invalid/models/m.weights"])
def test_a_folder_as_mirror(fetching: Fetching, mirror: Path, place: str) -> None:
    (mirror / place).parent.mkdir(parents=True, exist_ok=True)
    (mirror / place).write_bytes(BODY)
    card = a_card(a_file(BODY, "https://nowhere.invalid/models/m.weights"))
    assert fetching(card, mirrors=(str(mirror),), offline=True).path("weights").read_bytes() == BODY


def test_a_server_as_mirror_is_asked_first(served: Served, fetching: Fetching) -> None:
    served.script.on("/mirror/m.weights", content(BODY))
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url())), mirrors=(served.url("/mirror/"),))
    assert [request.path for request in served.script.requests] == ["/mirror/m.weights"]


def test_mirrors_of_the_environment(fetching: Fetching, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mirror / "m.weights").write_bytes(BODY)
    monkeypatch.setenv("ZOO_MIRROR", f"/nowhere {mirror.as_uri()}")
    assert fetching(a_card(a_file(BODY))).path("weights").read_bytes() == BODY


def test_a_mirror_is_no_authority(served: Served, fetching: Fetching, mirror: Path) -> None:
    (mirror / "m.weights").write_bytes(BODY[::-1])
    served.script.on("/m.weights", content(BODY))
    model = fetching(a_card(a_file(BODY, served.url())), mirrors=(str(mirror),))
    assert model.path("weights").read_bytes() == BODY
    assert "another content" in fetching.told("refused")[0].message


def test_files_that_zoo_ships(fetching: Fetching) -> None:
    """Any file of the package will do: here the catalog's own reader."""
    import zoo.catalog.load as shipped

    body = Path(shipped.__file__).read_bytes()
    card = a_card(a_file(body, "package:catalog/load.py", name="load.py"))
    assert fetching(card, offline=True).path("weights").read_bytes() == body


def test_all_yolo_fastest_models_from_a_mirror(data: Path, fetching: Fetching) -> None:
    """The real hashes of the catalog against the real files."""
    catalog = load_catalog()
    cards = [catalog[name] for name in catalog if name.startswith("yolo-fastest")]
    assert len(cards) == 5
    fetching(*cards, mirrors=(str(data / "models" / "darknet"),), offline=True)
    for card in cards:
        model = fetching(card, offline=True)
        assert model.path("weights").name == f"{card.name}.weights"
        assert model.path("cfg").name == f"{card.name}.cfg"


def test_fetch_takes_a_name(data: Path) -> None:
    model = fetch("yolo-fastest", mirror=str(data / "models" / "darknet"), offline=True)
    assert model.card.name == "yolo-fastest"
    assert model.has("names") and not model.has("archive")
    with pytest.raises(FetchError, match="yolo-fastest has no 'archive'; it has: weights, cfg, names"):
        model.path("archive")
    with pytest.raises(UsageError, match="did you mean yolo-fastest"):
        fetch("yolo-fastes")


def unpinned(served: Served) -> Card:
    served.script.on("/m.weights", content(BODY))
    return a_card(a_file(None, served.url()))


def test_the_first_fetch_of_an_unpinned_file_is_locked(served: Served, fetching: Fetching) -> None:
    card = unpinned(served)
    fetching(card)
    locked = json.loads(fetching.lock_file.path.read_text())
    entry = {"sha256": sha256(BODY), "size": len(BODY), "url": served.url()}
    assert locked == {"schema": 1, "models": {"model": {"m.weights": entry}}}
    assert fetching.told("locked")
    fetching(card)
    assert len(served.script.requests) == 1


def test_a_path_of_this_machine_is_not_locked(fetching: Fetching, mirror: Path) -> None:
    (mirror / "m.weights").write_bytes(BODY)
    fetching(a_card(a_file(None)), mirrors=(str(mirror),))
    entry = fetching.lock_file.get("model", "m.weights")
    assert entry is not None and (entry.sha256, entry.url) == (sha256(BODY), "")


def test_later_fetches_must_match_the_lock(served: Served, fetching: Fetching, tmp_path: Path) -> None:
    card = unpinned(served)
    fetching(card)
    served.script.on("/m.weights", content(BODY[::-1]))
    colleague = Fetching(tmp_path / "colleague")
    colleague.lock_file = fetching.lock_file
    with pytest.raises(FetchError) as caught:
        colleague(card)
    assert f"another content: {len(BODY)} bytes with sha256 {sha256(BODY[::-1])}" in str(caught.value)
    assert f"expected: sha256 {sha256(BODY)}, {len(BODY)} bytes" in str(caught.value)
    assert colleague.has_nothing()


def test_what_is_there_must_match_the_lock(served: Served, fetching: Fetching) -> None:
    """The lock file came from a colleague who got other bytes: ours are not what the project means."""
    card = unpinned(served)
    fetching(card)
    other = BODY[::-1]
    fetching.lock_file.path.write_text(fetching.lock_file.path.read_text().replace(sha256(BODY), sha256(other)))
    served.script.on("/m.weights", content(other))
    assert fetching(card).path("weights").read_bytes() == other


def test_require_hashes_refuses_what_is_not_locked(served: Served, fetching: Fetching) -> None:
    card = unpinned(served)
    with pytest.raises(
        FetchError, match=r"model: m\.weights was published without a hash, and .*zoo\.lock has no"
    ) as caught:
        fetching(card, require_hashes=True)
    assert caught.value.exit_code == 3
    assert served.script.requests == []
    fetching(card)
    fetching(card, require_hashes=True)


def test_require_hashes_takes_what_is_pinned(served: Served, fetching: Fetching) -> None:
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url())), require_hashes=True)
    assert not fetching.lock_file.path.exists()


def test_a_lock_file_that_cannot_be_written(served: Served, fetching: Fetching, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="cannot record what was fetched") as caught:
        fetching(unpinned(served), lock_file=LockFile(tmp_path / "file" / "zoo.lock"))
    assert "--lock FILE" in caught.value.hint


def test_files_with_the_same_name_are_told_apart_by_model(served: Served, fetching: Fetching) -> None:
    """Two unpinned files are never taken for each other."""
    served.script.on("/a", content(BODY))
    served.script.on("/b", content(BODY[::-1]))
    one = a_card(CardFile("weights", "m.weights", (served.url("/a"),)), name="one")
    two = a_card(CardFile("weights", "m.weights", (served.url("/b"),)), name="two")
    fetching(one, two)
    assert fetching(one).path("weights").read_bytes() == BODY
    assert fetching(two).path("weights").read_bytes() == BODY[::-1]
