"""The child process of a conversion: TensorFlow is loaded here and nowhere else.

    python -m zoo.convert.from_tensorflow.child REQUEST.json

reads the request, writes the model to `target`, and a report (or the error) to `report`. All that libraries print goes
to the parent's log file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.base import errors
from zoo.base.optional import require
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.source import find_source


class Stopwatch:
    """Seconds by stage, in the order in which the stages ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the request says; returns the report."""
    watch = Stopwatch()
    options = TensorFlowSourceOptions(**request["options"])
    with watch.stage("import"):
        purpose = "converting a TensorFlow model"
        versions = {name: str(require(name, purpose).__version__) for name in ("tensorflow", "tf2onnx")}
        from zoo.convert.from_tensorflow.fitting import fitting
        from zoo.convert.from_tensorflow.load import load
        from zoo.convert.from_tensorflow.rebuild import rebuild
        from zoo.convert.onnx_graph.write import write_model
    with watch.stage("load"):
        loaded = load(find_source(Path(request["source"])), options.signature)
    rebuilt = rebuild(loaded, options, request["name"], watch.stage)
    with watch.stage("fitting"):
        fitted = fitting(loaded) if options.pre == "image" else {}
    with watch.stage("write"):
        records = write_model(rebuilt.model, Path(request["target"]))
    return {
        "inputs": [asdict(spec) for spec in rebuilt.inputs],
        "outputs": [asdict(spec) for spec in rebuilt.outputs],
        "files": [asdict(record) for record in records],
        "notes": rebuilt.notes,
        "fitting": fitted,
        "suppression": rebuilt.suppression,
        "versions": versions,
        "seconds": watch.seconds,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main(path: Path) -> None:
    request = json.loads(path.read_text())
    try:
        report = convert(request)
    except errors.ZooError as error:
        kind = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
        report = {"error": kind.__name__, "message": error.message, "hint": error.hint}
    Path(request["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
