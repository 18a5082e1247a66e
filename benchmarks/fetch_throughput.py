"""Throughput and memory of a fetch, side by side with curl: same server on this machine, same file system.

    python benchmarks/fetch_throughput.py --megabytes 256 --rounds 7

Each round runs curl and `zoo fetch` (which also hashes) one after the other, in alternating
order. Reported are medians, the ratio of throughputs round by round, and the peak memory of the fetching process.
The target is a ratio of at least 0.8 and a peak below 80 MB for any size.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CATALOG = """\
schema: 1
models:
  big:
    family: darknet
    task: detection
    files:
      - {{role: weights, name: big.weights, size: {size}, sha256: {sha256}, urls: ["{url}"]}}
"""
# The fetch alone, timed inside its process; the peak of its memory is read from outside.
FETCH = """\
import sys, time
import zoo.fetch.bring  # not a part of the throughput
from zoo.catalog import Store, load_catalog
from zoo.fetch import fetch
catalog = load_catalog([sys.argv[1]])
began = time.perf_counter()
fetch("big", catalog=catalog, store=Store(sys.argv[2]))
print(time.perf_counter() - began)
"""
SERVER = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *arguments): pass
    def do_GET(self):
        with open(sys.argv[1], "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            done = 0
            while done < size:
                done += os.sendfile(self.connection.fileno(), file.fileno(), done, size - done)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the file system to measure (default: that of temporary files)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(measure(Path(folder), arguments.megabytes * 1_000_000, arguments.rounds), indent=2))


def measure(folder: Path, size: int, rounds: int) -> dict[str, object]:
    original = folder / "original"
    write_random(original, size)
    with serving(original) as url:
        catalog = folder / "catalog.yaml"
        digest = hashlib.file_digest(original.open("rb"), "sha256").hexdigest()
        catalog.write_text(CATALOG.format(size=size, sha256=digest, url=url))
        curl(url, folder)
        zoo(catalog, folder)  # both once, so that all is in the page cache
        runs = []
        for index in range(rounds):
            if index % 2:
                other, one = zoo(catalog, folder), curl(url, folder)
            else:
                one, other = curl(url, folder), zoo(catalog, folder)
            runs.append((one, other))
    ratios = [one / other[0] for one, other in runs]
    return {
        "bytes": size,
        "rounds": rounds,
        "curl_mb_per_s": round(size / 1e6 / statistics.median(one for one, _ in runs), 1),
        "zoo_mb_per_s": round(size / 1e6 / statistics.median(other[0] for _, other in runs), 1),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "zoo_peak_mb": round(max(other[1] for _, other in runs) / 1e6, 1),
    }


def write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))


@contextmanager
def serving(path: Path) -> Iterator[str]:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/big.weights"
    finally:
        server.kill()
        server.wait()


def curl(url: str, folder: Path) -> float:
    """Seconds of the whole program."""
    target = folder / "by-curl"
    target.unlink(missing_ok=True)
    began = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", str(target), url], check=True)
    return time.perf_counter() - began


def zoo(catalog: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the fetch, and the peak memory of its process in bytes."""
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(catalog), str(store)], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    seconds = float(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the fetch failed")
    return seconds, used.ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
