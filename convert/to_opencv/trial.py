"""A program of its own: `python trial.py READER FEEDS OUTPUTS ROUNDS FILE…` loads a model into OpenCV and runs it.

Any Python with OpenCV runs it, so it imports nothing of zoo. READER is `ONNX`, `Darknet` …, and
`ONNX:classic` for the classic engine where OpenCV has two. FEEDS (.npz) holds the inputs by name, "" where the reader
knows no names; the outputs of the last of ROUNDS runs go to OUTPUTS (.npz). The last line that it prints is JSON:
OpenCV's version and the milliseconds of each run, processor time on one thread: what else the machine does does not
count. It ends with 3 where OpenCV refuses, with a signal where it crashes.
"""

from __future__ import annotations

import json
import sys
import time

REFUSED = 3


def main(reader: str, feeds: str, outputs: str, rounds: str, *files: str) -> None:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    try:
        reader, _, engine = reader.partition(":")
        classic = [cv2.dnn.ENGINE_CLASSIC] if engine == "classic" and hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        net = getattr(cv2.dnn, f"readNetFrom{reader}")(*files, *classic)
        names = list(net.getUnconnectedOutLayersNames())
        with np.load(feeds) as given:
            for name in given.files:
                net.setInput(given[name], *([name] if name else []))
        times = []
        for _ in range(int(rounds)):
            began = time.process_time()
            results = net.forward(names)
            times.append(1000 * (time.process_time() - began))
    except (cv2.error, AttributeError) as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)
    np.savez(outputs, **{name.rpartition("!")[2]: array for name, array in zip(names, results, strict=True)})
    print(json.dumps({"version": cv2.__version__, "milliseconds": times}))


if __name__ == "__main__":
    main(*sys.argv[1:])
