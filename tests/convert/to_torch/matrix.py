"""Every detector of the test data through the PyTorch writer: parity, export, and a run without zoo; writes the table.

    python -m tests.convert.to_torch.matrix                            all of them, into docs/torch.md
    python -m tests.convert.to_torch.matrix --missing                  those without figures in the table
    python -m tests.convert.to_torch.matrix alexey_yolov3_96x96 s_tf2_efficientdet

Darknet networks have generated weights and end with suppression (`--nms`). Each is judged at batch 1 and 3, as module
and as .pt2, and the .pt2 runs in a process that can import neither zoo nor model.py. Rows of models that are not asked
for stay as they are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.conftest import DATA, ROOT
from tests.convert.to_torch.parity import OPEN_SIZE, Array, Parity, Runtime, compare, feeds, torch_run
from tests.goldens.cases import CASE_NAMES, load_case, make_weights
from zoo.base.artifact import Artifact
from zoo.base.errors import ZooError
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_tensorflow import tensorflow_to_onnx
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.convert.to_torch.module import module_from_file

PAGE = ROOT / "docs" / "torch.md"
BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"
ARCHIVES = DATA / "models" / "tf"
BATCHES = (1, 3)
FRESH = """
import sys, numpy as np
sys.modules["zoo"] = None
import torch
torch.set_num_threads(1)
model = torch.export.load("model.pt2").module()
for name in sys.argv[1:]:
    with np.load(name + ".npz") as given, torch.inference_mode():
        outputs = model(*(torch.from_numpy(given[key]) for key in given.files))
    np.savez(name + "_out.npz", *(output.numpy() for output in outputs))
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `fixed` says which sizes of the .pt2 are not open, or why there is no .pt2."""

    name: str
    module: dict[int, Parity]
    exported: dict[int, Parity]
    fixed: str

    def __str__(self) -> str:
        cells = [self.name, *(_cell(self.module.get(batch)) for batch in BATCHES)]
        cells += [*(_cell(self.exported.get(batch)) for batch in BATCHES), self.fixed]
        return "| " + " | ".join(cells) + " |"


def _cell(parity: Parity | None) -> str:
    if parity is None:
        return "–"
    error = f"{parity.error:.1e} ({parity.in_noise:.1f}×)" if parity.error else ""
    matched = f"{parity.matched} of {parity.detections}" if parity.detections else ""
    return ", ".join(filter(None, (error, matched))) or "equal"


def detectors() -> list[str]:
    """The recordings of Darknet's detectors, one of each network, and the TensorFlow archives."""
    seen: set[bytes] = set()
    names = []
    for name in CASE_NAMES:
        case = load_case(name, DATA)
        if case.candidates is not None and case.cfg.read_bytes() not in seen:
            seen.add(case.cfg.read_bytes())
            names.append(name)
    return names + sorted(path.name.partition(".")[0] for path in ARCHIVES.glob("s_*.tar.xz"))


def hub_of(name: str, folder: Path) -> Artifact:
    """The ONNX model of a detector, suppression included."""
    if name in CASE_NAMES:
        case = load_case(name, DATA)
        weights = make_weights(case, folder)
        hub = darknet_to_onnx(case.cfg, weights, folder / "onnx", DarknetOptions(nms=True, dialect=case.dialect))
        if weights.is_relative_to(folder):
            weights.unlink()
        return hub
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as tar:
        tar.extractall(folder / "source", filter="data")
    return tensorflow_to_onnx(folder / "source", folder / "onnx")


def examine(name: str, folder: Path) -> Row:
    hub = hub_of(name, folder)
    artifact = onnx_to_torch(hub.model, folder / "torch", TorchOptions(size=OPEN_SIZE), parent=hub)
    runtime = Runtime(hub.model)
    given = {batch: feeds(runtime.inputs, batch, DATA) for batch in _batches(runtime.inputs)}
    run = torch_run(module_from_file(artifact.folder / "model.py", "model.safetensors"))
    found = {batch: run(arrays) for batch, arrays in given.items()}
    exported = fresh_run(artifact.folder, given) if artifact.model.suffix == ".pt2" else {}
    judged, judged_exported = (
        {batch: compare(runtime, given[batch], outputs[batch], two_stage="rcnn" in name) for batch in outputs}
        for outputs in (found, exported)
    )
    return Row(name, judged, judged_exported, "; ".join(artifact.notes))


def _batches(inputs: list[object]) -> tuple[int, ...]:
    first = inputs[0].shape[0]  # type: ignore[attr-defined]
    return (first,) if isinstance(first, int) else BATCHES


def fresh_run(folder: Path, given: dict[int, list[Array]]) -> dict[int, list[Array]]:
    """What model.pt2 gives in a process of its own, in a folder where nothing else lies."""
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "model.pt2").symlink_to(folder / "model.pt2")
        for batch, arrays in given.items():
            np.savez(Path(empty) / f"{batch}.npz", *arrays)
        command = [sys.executable, "-c", FRESH, *map(str, given)]
        ran = subprocess.run(command, cwd=empty, capture_output=True, text=True)
        if ran.returncode:
            raise ZooError(f"model.pt2 does not run: {ran.stderr.strip().splitlines()[-1]}")
        results = {}
        for batch in given:
            with np.load(Path(empty) / f"{batch}_out.npz") as outputs:
                results[batch] = [outputs[key] for key in outputs.files]
        return results


def read_rows(text: str) -> dict[str, str]:
    """The lines of the table in the page `text`, by name, without its two lines of titles."""
    lines = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return {line.split()[1]: line for line in lines}


def write_row(page: Path, name: str, row: str) -> None:
    """Put `row` into the table of `page`, in the order of the names."""
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    table, tail = rest.split(END)
    titles = table.strip().splitlines()[:2]
    body = [line for _, line in sorted({**read_rows(text), name: row}.items())]
    page.write_text("\n".join([f"{head}{BEGIN}", *titles, *body, f"{END}{tail}"]), encoding="utf-8")


def missing() -> list[str]:
    """The detectors without a row, or with one that only says why there are no figures."""
    rows = read_rows(PAGE.read_text(encoding="utf-8"))
    return [name for name in detectors() if "| – | – | – | – |" in rows.get(name, "| – | – | – | – |")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="models of the test data; default: all")
    parser.add_argument("--missing", action="store_true", help="only those without figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names or (missing() if arguments.missing else detectors()):
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = str(examine(name, Path(folder)))
            except (ZooError, AssertionError) as error:
                row = f"| {name} | – | – | – | – | {' '.join(str(error).split())[:200].replace('|', '/')} |"
        print(row, flush=True)
        write_row(PAGE, name, row)


if __name__ == "__main__":
    main()
