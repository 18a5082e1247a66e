"""The pipeline of `zoo detect` on video against the loop that one writes by hand: read, detect, draw, write, again.

    python -m benchmarks.video_pipeline                        ratios on the videos of the test data (ZOO_TEST_DATA)
    python -m benchmarks.video_pipeline --memory 1000          resident memory over 1,000 frames

Both do the same work with the same functions and write the same video; inference has one thread in both, so that the
other processors are free for the rest. The order alternates from round to round; reported are the frames a second of
each round and the median of the ratios. The decoder's own threads are left to OpenCV in both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.conftest import DATA
from zoo.base.artifact import Artifact
from zoo.catalog import Store
from zoo.detect.saving import Wanted
from zoo.detect.sources import Frame, Source, find_sources, read_frames
from zoo.detect.video import VideoFile, open_video
from zoo.detect.watch import Looking, Team, watch
from zoo.pipeline.detect import Workers, detect_all, open_teams
from zoo.pipeline.models import find_models
from zoo.verify.runtimes.protocol import host_memory
from zoo.vision.contract import Rule

MODELS = DATA / "models" / "darknet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(MODELS / "yolo-fastest-1.1.cfg"))
    parser.add_argument("--names", type=Path, default=MODELS / "coco.names")
    parser.add_argument("--videos", nargs="+", default=[str(DATA / "models" / "video")])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, help="of each video")
    parser.add_argument("--memory", type=int, metavar="FRAMES", help="measure memory over so many frames instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        (artifact,) = find_models(arguments.model, names=arguments.names, store=store)
        workers = Workers(per_device=arguments.workers, threads=arguments.threads, inference_threads=1)
        with open_teams([artifact], Rule(), workers) as teams:
            for source in find_sources(arguments.videos):
                if arguments.memory:
                    memory(teams, source, arguments.memory, arguments.threads)
                else:
                    compare(artifact, teams, source, Path(folder), arguments)


def compare(artifact: Artifact, teams: list[Team], source: Source, folder: Path, arguments: argparse.Namespace) -> None:
    rounds: list[tuple[float, float]] = []
    for number in range(arguments.rounds + 1):  # the first is the warm-up
        loop, pipeline = 0.0, 0.0
        for way in ("loop", "pipeline") if number % 2 else ("pipeline", "loop"):
            if way == "loop":
                loop = by_hand(teams[0], source, folder / "loop.mp4", arguments.frames)
            else:
                start = time.perf_counter()
                wanted = Wanted(folder / "pipeline")
                done = detect_all(teams, [source], wanted=wanted, threads=arguments.threads, limit=arguments.frames)
                pipeline = done.frames / (time.perf_counter() - start)
        if number:
            rounds.append((loop, pipeline))
    result = {
        "model": artifact.name,
        "video": source.name,
        "loop_fps": [round(loop, 1) for loop, _ in rounds],
        "pipeline_fps": [round(pipeline, 1) for _, pipeline in rounds],
        "ratio": round(statistics.median(pipeline / loop for loop, pipeline in rounds), 2),
    }
    print(json.dumps(result), flush=True)


def by_hand(team: Team, source: Source, target: Path, limit: int | None) -> float:
    """Frames a second of the loop."""
    start, frames = time.perf_counter(), 0
    look = Looking(team)
    writer: VideoFile | None = None
    with open_video(source.path) as video:
        for number, pixels in enumerate(itertools.islice(video.frames(), limit)):
            picture = look(Frame(source, number, pixels)).picture
            assert picture is not None
            writer = writer or VideoFile(target, video.rate)
            writer.write(picture)
            frames += 1
    if writer:
        writer.finish()
    return frames / (time.perf_counter() - start)


def memory(teams: list[Team], source: Source, count: int, threads: int) -> None:
    """Print the resident memory after every hundred frames of the video, played again and again."""
    with closing(watch(teams, itertools.islice(again(source), count), threads=threads)) as sights:
        for number, _ in enumerate(sights, 1):
            if number % 100 == 0:
                resident = round(host_memory() / 1e6)
                print(json.dumps({"video": source.name, "frames": number, "resident_mb": resident}), flush=True)


def again(source: Source) -> Iterator[Frame]:
    while True:
        yield from read_frames([source])


if __name__ == "__main__":
    main()
