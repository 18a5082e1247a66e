"""OpenCV 5 with our file against OpenCV 4's own Darknet reader: the same network, weights and machine, interleaved.

    ZOO_OPENCV_PYTHON=.venv-opencv4/bin/python python -m benchmarks.opencv_latency --models yolov3 yolov4 --rounds 15

Two processes are held open, one for each OpenCV; each round runs both once, in alternating order. A ratio is the median
of the rounds' ratios, new to old, with the interval that holds 95 % of 2000 resampled medians: of the time that passes,
and of processor time, which other work on the machine disturbs less. Needs the test data
(ZOO_TEST_DATA) for cfgs and for the tool that makes weights of the real size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.darknet_conversion import make
from zoo.convert.from_darknet import darknet_to_onnx
from zoo.convert.to_opencv import onnx_to_opencv
from zoo.convert.to_opencv.artifact import DETECTOR
from zoo.convert.to_opencv.installations import OpenCV, at_hand, of_major

RESAMPLED = 2000
# Loads the files with the reader, then runs once for each line of its input and answers with the milliseconds
# that passed, and those of the processors.
CHILD = """\
import sys, time, cv2, numpy as np
reader, engine, threads, size, *files = sys.argv[1:]
cv2.setNumThreads(int(threads))
classic = [cv2.dnn.ENGINE_CLASSIC] if engine == "classic" and hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
net = getattr(cv2.dnn, "readNetFrom" + reader)(*files, *classic)
names = net.getUnconnectedOutLayersNames()
blob = np.random.default_rng(0).random((1, 3, int(size), int(size)), np.float32)
for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    net.setInput(blob)
    net.forward(names)
    print(1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used), flush=True)
"""


class Side:
    """One OpenCV with one model, in a process that is held open."""

    def __init__(self, opencv: OpenCV, reader: str, engine: str, threads: int, size: int, *files: Path) -> None:
        command = [opencv.python, "-c", CHILD, reader, engine, str(threads), str(size), *map(str, files)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self) -> tuple[float, ...]:
        """Milliseconds of one inference: passed, and of the processors."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write("run\n")
        self._child.stdin.flush()
        return tuple(float(word) for word in self._child.stdout.readline().split())

    def close(self) -> None:
        self._child.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["yolov3", "yolov4"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            json.dump({model: measure(model, Path(folder), arguments.rounds, arguments.threads)}, sys.stdout)
            print(flush=True)


def measure(model: str, folder: Path, rounds: int, threads: int) -> dict[str, object]:
    cfg, weights = make(model, folder)
    hub = darknet_to_onnx(cfg, weights, folder / "hub")
    ours = onnx_to_opencv(hub.model, folder / "opencv", parent=hub)
    size = int(ours.inputs[0].shape[3])
    new, old = (of_major(major, at_hand()) for major in (5, 4))
    engine = json.loads((ours.folder / DETECTOR).read_text())["engine"]
    sides = (
        Side(new, "ONNX", engine, threads, size, ours.model),
        Side(old, "Darknet", engine, threads, size, cfg, weights),
    )
    for side in sides * 2:
        side.run()
    times: list[list[tuple[float, ...]]] = [[], []]
    for number in range(rounds):
        for position in (0, 1) if number % 2 else (1, 0):
            times[position].append(sides[position].run())
    for side in sides:
        side.close()
    of_new, of_old = (np.array(side).T for side in times)  # the two clocks, each with all rounds
    return {
        "new": f"OpenCV {new.version}, ONNX, {engine} engine",
        "old": f"OpenCV {old.version}, Darknet reader",
        "threads": threads,
        "passed": _compared(of_new[0], of_old[0]),
        "processor": _compared(of_new[1], of_old[1]),
    }


def _compared(new: NDArray[np.float64], old: NDArray[np.float64]) -> dict[str, object]:
    ratios = new / old
    medians = np.median(np.random.default_rng(0).choice(ratios, (RESAMPLED, len(ratios))), axis=1)
    return {
        "new_ms": round(float(np.median(new)), 1),
        "old_ms": round(float(np.median(old)), 1),
        "ratio": round(float(np.median(ratios)), 3),
        "interval": [round(float(value), 3) for value in np.quantile(medians, [0.025, 0.975])],
    }


if __name__ == "__main__":
    main()
