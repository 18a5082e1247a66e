"""Time and memory of ONNX → SavedModel, without and with a .tflite, each in a process of its own.

    python -m benchmarks.tensorflow_conversion --models yolov3

Networks and weights are those of darknet_conversion. `seconds` and `peak_mb` are what a process took more than the same
one that only imports TensorFlow, `import_seconds`; the weights that it reads are mapped, and count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.darknet_conversion import child, make
from zoo.convert.from_darknet import darknet_to_onnx

CHILD = """\
import sys
from pathlib import Path
import onnx.reference  # what the conversion imports, so that it is not counted
from zoo.convert.to_tensorflow import TensorFlowOptions, onnx_to_tensorflow
if len(sys.argv) > 1:
    onnx_to_tensorflow(Path(sys.argv[1]), Path(sys.argv[2]), TensorFlowOptions(tflite=sys.argv[3] == "tflite"))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["yolov3"])
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({model: measure(model, Path(folder))}, indent=2), flush=True)


def measure(model: str, folder: Path) -> dict[str, float]:
    cfg, weights = make(model, folder)
    hub = darknet_to_onnx(cfg, weights, folder / "onnx")
    megabytes = weights.stat().st_size / 1e6
    child(CHILD)  # once, so that the disk's cache holds TensorFlow
    empty, start = child(CHILD)
    found = {"weights_mb": round(megabytes, 1), "import_seconds": round(start, 2)}
    for way in ("saved_model", "tflite"):
        peak, seconds = child(CHILD, str(hub.model), str(folder / way), way)
        found[f"{way}_seconds"] = round(seconds - start, 2)
        found[f"{way}_peak_mb"] = round(peak - empty, 1)
        found[f"{way}_peak_to_weights"] = round((peak - empty) / megabytes, 2)
    return found


if __name__ == "__main__":
    main()
