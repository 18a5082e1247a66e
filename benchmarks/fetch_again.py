"""How long `zoo fetch NAME` takes where everything is there, and that it asks nobody.

    python -m benchmarks.fetch_again --megabytes 256 --rounds 15

The target is under 0.3 s for one model, whatever its size, with no request. `python -c pass` and `zoo --help` are
timed beside it, in turn, so that a slow machine can be told from a slow fetch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fetch_throughput import CATALOG, write_random

ZOO = [sys.executable, "-c", "from zoo.cli.main import main; main()"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments.megabytes * 1_000_000, arguments.rounds), indent=2))


def measure(folder: Path, size: int, rounds: int) -> dict[str, object]:
    original = folder / "original"
    write_random(original, size)
    with original.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    (folder / "zoo.yaml").write_text(CATALOG.format(size=size, sha256=digest, url=original.as_uri()))
    fetch = [*ZOO, "fetch", "big", "--quiet"]
    run(fetch, folder)
    original.unlink()  # from now on there is nobody to ask
    commands = {"python": [sys.executable, "-c", "pass"], "help": [*ZOO, "--help"], "fetch": fetch}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(run(command, folder))
    return {
        "bytes": size,
        "rounds": rounds,
        **{f"{name}_median_s": round(statistics.median(times), 3) for name, times in seconds.items()},
        **{f"{name}_min_s": round(min(times), 3) for name, times in seconds.items()},
    }


def run(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    environment = {**os.environ, "ZOO_HOME": str(folder / "store")}
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
