"""Time and memory of ONNX → model.py and model.safetensors, side by side with copying the weights on the same disk.

    python -m benchmarks.torch_conversion --models yolov3 --rounds 7

Networks, weights and rounds are those of darknet_conversion. `conversion` is the .onnx file to the two written files,
`with_manifest` adds what an artifact needs (hashes of the source and of the weights), `from_darknet` is cfg and weights
to the PyTorch artifact, by way of ONNX. `peak_mb` is the most that a process grew above the same one without a
conversion; the weights that it reads are mapped, and count. Targets: at most 3 times the copy; at most 1.3 times the
weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.darknet_conversion import child, make, ratio, timed
from zoo.convert.from_darknet import darknet_to_onnx
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.convert.to_torch.module import header_of
from zoo.convert.to_torch.safetensors import serialize
from zoo.convert.to_torch.source import write_source
from zoo.convert.to_torch.writer import write_program

OPTIONS = TorchOptions(export=False)
CHILD = """\
import sys
from pathlib import Path
import onnx.reference, torch  # what the conversion imports, so that it is not counted
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
if len(sys.argv) > 1:
    onnx_to_torch(Path(sys.argv[1]), Path(sys.argv[2]), TorchOptions(export=False))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["yolov3"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            print(json.dumps({model: measure(model, Path(folder), arguments.rounds)}, indent=2), flush=True)


def measure(model: str, folder: Path, rounds: int) -> dict[str, float]:
    cfg, weights = make(model, folder)
    hub = darknet_to_onnx(cfg, weights, folder / "onnx")
    ways: dict[str, Callable[[], object]] = {
        "copy": lambda: shutil.copyfile(weights, folder / "copy"),
        "conversion": lambda: convert(hub.model, folder / "plain"),
        "with_manifest": lambda: onnx_to_torch(hub.model, folder / "artifact", OPTIONS),
        "from_darknet": lambda: from_darknet(cfg, weights, folder / "both"),
    }
    seconds = timed(ways, rounds)
    empty, _ = child(CHILD)
    peak, process = child(CHILD, str(hub.model), str(folder / "child"))
    megabytes = weights.stat().st_size / 1e6
    return {
        "weights_mb": round(megabytes, 1),
        **{f"{name}_seconds": round(statistics.median(values), 3) for name, values in seconds.items()},
        **{f"{name}_to_copy": round(ratio(seconds[name], seconds["copy"]), 2) for name in list(ways)[1:]},
        "process_seconds": round(process, 2),
        "peak_mb": round(peak - empty, 1),
        "peak_to_weights": round((peak - empty) / megabytes, 2),
    }


def convert(path: Path, folder: Path) -> None:
    """The conversion itself: one .onnx file → model.py and model.safetensors."""
    folder.mkdir(exist_ok=True)
    graph = simplified(read_graph(path))
    program = write_program(graph)
    (folder / "model.py").write_text(write_source(program, header_of(graph)), encoding="utf-8")
    with (folder / "model.safetensors").open("wb") as file:
        file.writelines(serialize(program.state()))


def from_darknet(cfg: Path, weights: Path, folder: Path) -> None:
    hub = darknet_to_onnx(cfg, weights, folder)
    onnx_to_torch(hub.model, folder, OPTIONS, parent=hub)


if __name__ == "__main__":
    main()
