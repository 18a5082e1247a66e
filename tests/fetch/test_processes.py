"""Several processes, interrupts and kills: at any moment the store holds the published bytes or nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, sha256
from tests.fetch.processes import start
from tests.fetch.server import Answer, Handler, content, stall
from tests.fetch.test_archives import FROZEN, GRAPH, NORMAL, packed
from zoo.catalog.cards import Card

BODY = random.Random(7).randbytes(4_000_000)
KILLS = 200


class Killer:
    """An answer that goes on where it was asked to, and kills who asked once a random number of bytes is on the disk.

    A random number of further bytes is on the way then.
    """

    def __init__(self, part: Path, seed: int, longest: int) -> None:
        self.part = part
        self.random = random.Random(seed)
        self.longest = longest
        self.victim = 0
        self.known = threading.Event()

    def __call__(self, handler: Handler) -> None:
        start = handler.offset()
        enough = start + self.random.randint(0, self.longest)
        stop = enough + self.random.randint(0, self.longest)
        fields = {"Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"} if start else {}
        handler.head(206 if start else 200, {**fields, "Content-Length": str(len(BODY) - start)})
        handler.wfile.write(BODY[start:stop])
        handler.wfile.flush()
        wait_for(lambda: enough == 0 or (self.part.exists() and self.part.stat().st_size >= enough))
        assert self.known.wait(10)
        os.kill(self.victim, signal.SIGKILL)
        handler.close_connection = True


def check_store(fetching: Fetching, body: bytes) -> int:
    """Whatever is there is right; returns the length of the part."""
    blobs = [path for path in (fetching.store.root / "blobs").rglob("*") if path.is_file()]
    assert all(sha256(path.read_bytes()) == path.name for path in blobs if not path.name.startswith("."))
    source = fetching.store.source_folder("model") / "m.weights"
    assert not source.exists() or source.read_bytes() == body
    part = fetching.store.part(f"sha256-{sha256(body)}")
    begun = part.read_bytes() if part.exists() else b""
    assert body.startswith(begun)
    return len(begun)


@pytest.mark.slow
def test_200_kills_at_random_bytes(served: Served, fetching: Fetching, tmp_path: Path) -> None:
    """Each time the next process goes on at the byte where the last one was killed."""
    card = a_card(a_file(BODY, served.url()))
    killer = Killer(fetching.store.part(f"sha256-{sha256(BODY)}"), seed=8, longest=9_000)
    served.script.on("/m.weights", killer)
    begun = [0]
    for _ in range(KILLS):
        killer.known.clear()
        process = start(tmp_path, card)
        killer.victim = process.pid or 0
        killer.known.set()
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
        begun.append(check_store(fetching, BODY))
    asked = [request.headers.get("range", "bytes=0-") for request in served.script.requests]
    assert asked == [f"bytes={offset}-" for offset in begun[:-1]]
    assert begun == sorted(begun) and begun[-1] > KILLS * 3_000
    served.script.on("/m.weights", content(BODY))
    assert fetching(card).path("weights").read_bytes() == BODY
    assert served.script.requests[-1].headers["range"] == f"bytes={begun[-1]}-"
    assert fetching.parts() == {}


def test_kills_at_random_times(served: Served, fetching: Fetching, tmp_path: Path) -> None:
    """Also between the last byte and the end: while hashing, renaming, unpacking, writing the record."""
    body = packed(*NORMAL)
    served.script.on("/m.tar.gz", content(body))
    archive = a_file(body, served.url("/m.tar.gz"), name="m.tar.gz", role="archive", members=FROZEN)
    card = a_card(archive)
    chance = random.Random(9)
    killed = 0
    while killed < 40:
        process = start(tmp_path, card)
        process.join(chance.random() * 0.06)
        process.kill()
        process.join(20)
        killed += process.exitcode == -signal.SIGKILL
        check_store(fetching, body)
        graph = fetching.store.source_folder("model") / "frozen_inference_graph.pb"
        assert not graph.exists() or graph.read_bytes() == GRAPH
        if process.exitcode == 0:
            fetching.store.record("model").unlink()  # and once more
    assert fetching(card).path("frozen_graph").read_bytes() == GRAPH


def slow(body: bytes, seconds: float) -> Answer:
    def answer(handler: Handler) -> None:
        time.sleep(seconds)
        content(body)(handler)

    return answer


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "unpinned"])
def test_16_processes_make_one_download(served: Served, fetching: Fetching, tmp_path: Path, pinned: bool) -> None:
    served.script.on("/m.weights", slow(BODY, 0.5))
    card = a_card(a_file(BODY if pinned else None, served.url()))
    processes = [start(tmp_path, card) for _ in range(16)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 16
    assert len(served.script.requests) == 1
    assert fetching(card).path("weights").read_bytes() == BODY
    assert not list((fetching.store.root / "locks").glob("*"))


def test_who_waits_goes_on_when_the_first_is_killed(served: Served, fetching: Fetching, tmp_path: Path) -> None:
    card = a_card(a_file(BODY, served.url()))
    served.script.on("/m.weights", stall(BODY, 100_000, 10), content(BODY))
    first = start(tmp_path, card)
    wait_for(lambda: check_store(fetching, BODY) == 100_000)
    second = threading.Thread(target=fetching, args=(card,))
    second.start()
    wait_for(lambda: bool(fetching.told("waiting")))
    first.kill()
    second.join(10)
    assert (fetching.store.source_folder("model") / "m.weights").read_bytes() == BODY
    assert served.script.requests[1].headers["range"] == "bytes=100000-"


def wait_for(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_an_interrupt_keeps_the_part_and_exits_with_130(served: Served, tmp_path: Path) -> None:
    """Ctrl-C on the command line, in the middle of a download, with a server that has stopped sending."""
    served.script.on("/m.weights", stall(BODY, 1_000_000, 60))
    catalog = tmp_path / "mine.yaml"
    catalog.write_text(one_model(a_card(a_file(BODY, served.url()))))
    # A runner in the background of a shell has SIGINT ignored, and so would its children.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [
        sys.executable,
        "-c",
        f"{listening}; from zoo.cli.main import main; main()",
        "fetch",
        "model",
        "--catalog",
        str(catalog),
    ]
    fetching = Fetching(tmp_path)
    process = subprocess.Popen(
        command, env={**os.environ, "ZOO_HOME": str(fetching.store.root)}, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: check_store(fetching, BODY) == 1_000_000, 30)
    process.send_signal(signal.SIGINT)
    try:
        _, told = process.communicate(timeout=30)  # it does not wait for the server, which would take 60 s
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert check_store(fetching, BODY) == 1_000_000
    served.script.on("/m.weights", content(BODY))
    fetching(a_card(a_file(BODY, served.url())))
    assert served.script.requests[-1].headers["range"] == "bytes=1000000-"


def one_model(card: Card) -> str:
    """A catalog file with one pinned card."""
    (file,) = card.files
    return (
        f"schema: 1\nmodels:\n  {card.name}:\n    family: darknet\n    task: detection\n    files:\n"
        f"      - role: {file.role}\n        name: {file.name}\n        urls: ['{file.urls[0]}']\n"
        f"        size: {file.size}\n        sha256: {file.hashes['sha256']}\n"
    )
