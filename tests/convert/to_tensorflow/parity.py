"""Parity of the TensorFlow writer with ONNX Runtime on real networks: every Darknet recording, every TF-zoo export.

    python -m tests.convert.to_tensorflow.parity                          all of them, SavedModel's module and .tflite
    python -m tests.convert.to_tensorflow.parity alexey_yolov3_96x96 s_ssd_mobilenet_v1 my.onnx --no-tflite

Both sides are float32 runs of the same graph in another order of summation. They may differ by `TOLERANCE`, that of the
Darknet recordings, relative to an output's largest value; or, in a network that amplifies rounding, by what ONNX
Runtime differs from itself where it optimises nothing. Detections after suppression are matched, not subtracted: a
difference in the last bit turns two of them round. Of a two-stage network the numbers behind CropAndResize are judged
by its detections alone: it gives zeros where a box passes the border by its last bit, and most of them end there (see
tests/goldens/test_tensorflow.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.conftest import DATA
from tests.goldens.cases import CASE_NAMES, load_case, make_weights
from tests.goldens.onnx_check import TOLERANCE
from zoo.base.errors import ConversionError
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_tensorflow import tensorflow_to_onnx
from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.onnx_graph.read import read_graph
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.module import GraphModule, module_of, picture_inputs
from zoo.convert.to_tensorflow.tflite import tflite_of

BATCHES = (1, 3)
MARGIN = 3.0  # times the noise: two runs differ from the truth by as much each, and the noise is one sample of it
SAME = {"detection_boxes": 1e-3, "detection_scores": 1e-3, "detection_masks": 1e-2}
SHARES = {"s_faster_rcnn_inception_v2": 0.9, "s_tf2_mask_rcnn_resnet50": 0.9}  # of detections; else all
BEHIND_CROPS = {
    "box_classifier_features",
    "class_predictions_with_background",
    "mask_predictions",
    "raw_detection_boxes",
    "raw_detection_scores",
    "refined_box_encodings",
}
ARCHIVES = DATA / "models" / "tf"
TENSORFLOW_NAMES = sorted(path.name.partition(".")[0] for path in ARCHIVES.glob("*.tar.xz"))
DETECTION = "detection_"  # the outputs of the Object Detection API that have an order of their own

Level: Any = onnxruntime.GraphOptimizationLevel
Array = NDArray[Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Parity:
    """`error` of the worst output, relative to its largest value, with the `noise` of ONNX Runtime there; `matched` of
    `detections`.
    """

    error: float = 0.0
    noise: float = 0.0
    matched: int = 0
    detections: int = 0

    @property
    def excess(self) -> float:
        """1 is the most that float32 explains."""
        return self.error / max(TOLERANCE, MARGIN * self.noise)

    def __str__(self) -> str:
        matched = f", {self.matched} of {self.detections} detections" if self.detections else ""
        return f"{self.error:.1e} (noise {self.noise:.1e}{matched})"


@dataclass(frozen=True)
class Verdict:
    """`by_case`: "batch 1" … and "tflite"; `transposes` of the module's graph; `refusal` of TFLite."""

    name: str
    by_case: dict[str, Parity]
    transposes: int
    refusal: str = ""

    @property
    def passed(self) -> bool:
        share = SHARES.get(self.name, 1.0)
        return bool(self.by_case) and all(
            parity.excess <= 1 and parity.matched >= share * parity.detections for parity in self.by_case.values()
        )

    def __str__(self) -> str:
        cases = ", ".join(f"{case} {parity}" for case, parity in self.by_case.items())
        refusal = f", no tflite: {self.refusal}" if self.refusal else ""
        return f"{'ok    ' if self.passed else 'FAILED'} {self.name}: {cases}, {self.transposes} transposes{refusal}"


def onnx_of(name: str, folder: Path) -> Path:
    """The ONNX file of a Darknet recording or of a TF-zoo export, written into `folder`; an ONNX file is itself."""
    if name.endswith(".onnx"):
        return Path(name)
    if name in TENSORFLOW_NAMES:
        with tarfile.open(ARCHIVES / f"{name}.tar.xz") as archive:
            archive.extractall(folder / "source", filter="data")
        return tensorflow_to_onnx(folder / "source", folder / "onnx").model
    case = load_case(name, DATA)
    options = DarknetOptions(dialect=case.dialect)
    return darknet_to_onnx(case.cfg, make_weights(case, folder), folder / "onnx", options).model


def verdict(name: str, model: Path, batches: Sequence[int] = BATCHES, *, tflite: bool = True) -> Verdict:
    """Judge the ONNX file `model`: the module with pictures N, H, W, C, and the .tflite at batch 1."""
    runs = [session(model, level) for level in (Level.ORT_ENABLE_ALL, Level.ORT_DISABLE_ALL)]
    graph = read_graph(model)
    module = module_of(graph, "nhwc")
    names = [value.name for value in graph.outputs]
    given = {batch: {value.name: example(value, batch) for value in runs[0].get_inputs()} for batch in (1, *batches)}
    expected, other = (
        {batch: dict(zip(names, run.run(names, feeds), strict=True)) for batch, feeds in given.items()} for run in runs
    )
    noise = {key: max(distance(expected[batch][key], other[batch][key]) for batch in given) for key in judged(names)}
    by_case = {}
    for batch in batches:
        found = (tensor.numpy() for tensor in module(*channels_last(graph, given[batch])))
        by_case[f"batch {batch}"] = compare(expected[batch], dict(zip(names, found, strict=True)), noise)
    refusal = ""
    if tflite:
        try:
            by_case["tflite"] = compare(expected[1], interpreted(graph, given[1]), noise)
        except ConversionError as error:
            refusal = error.message
    return Verdict(name, by_case, transposes(module), refusal)


def judged(names: Sequence[str]) -> list[str]:
    """The outputs that are compared element by element."""
    skipped = BEHIND_CROPS if "proposal_boxes" in names else set()
    is_detector = f"{DETECTION}boxes" in names
    return [name for name in names if name not in skipped and not (is_detector and name.startswith(DETECTION))]


def session(model: Path, level: Any) -> Any:
    settings: Any = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level, settings.graph_optimization_level = 1, 3, level
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def example(value: Any, batch: int) -> Array:
    """Numbers for an input of a session: noise in 0..1, or a picture of noise where it takes bytes."""
    sizes = [size if isinstance(size, int) else batch if axis == 0 else 320 for axis, size in enumerate(value.shape)]
    numbers = np.random.default_rng(batch).random(sizes, np.float32)
    return (numbers * 255).astype(np.uint8) if "uint8" in value.type else numbers


def channels_last(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """The inputs in order, as the module with layout nhwc takes them."""
    pictures = picture_inputs(graph)
    return [array.transpose(0, 2, 3, 1) if name in pictures else array for name, array in feeds.items()]


def interpreted(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of the .tflite of a graph at the sizes of `feeds`. Raises ConversionError."""
    sized = tuple(dataclasses.replace(value, shape=feeds[value.name].shape) for value in graph.inputs)
    fixed = dataclasses.replace(graph, inputs=sized)
    given = [f"in{place}" for place in range(len(fixed.inputs))]
    taken = [f"out{place}" for place in range(len(fixed.outputs))]
    content = tflite_of(module_of(fixed, "nhwc"), given, taken)
    with quietly():
        runner = tf.lite.Interpreter(model_content=content).get_signature_runner("serving_default")
        found = runner(**dict(zip(given, channels_last(graph, feeds), strict=True)))
    return {value.name: found[name] for value, name in zip(graph.outputs, taken, strict=True)}


def transposes(module: GraphModule) -> int:
    """How many Transposes the graph keeps, those of its functions included."""
    definition = module.concrete.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return sum(node.op == "Transpose" for node in nodes)


def compare(expected: Outputs, found: Outputs, noise: Mapping[str, float]) -> Parity:
    """Judge `found`; `noise` is that of each output that is compared element by element."""
    errors = (Parity(distance(expected[name], found[name]), noise[name]) for name in noise)
    worst = max(errors, key=lambda parity: parity.excess, default=Parity())
    if f"{DETECTION}boxes" not in expected:
        return worst
    counts = expected["num_detections"].astype(int)
    floor = MARGIN * max(noise.values())
    matched = sum(_matched(expected, found, image, count, floor) for image, count in enumerate(counts))
    return dataclasses.replace(worst, matched=matched, detections=int(counts.sum()))


def distance(expected: Array, found: Array) -> float:
    """The largest difference, relative to the largest value."""
    assert expected.shape == found.shape, f"{found.shape} for {expected.shape}"
    assert np.array_equal(np.isfinite(expected), np.isfinite(found))
    wide = np.nan_to_num(expected.astype(np.float64))
    differences = np.abs(np.nan_to_num(found.astype(np.float64)) - wide)
    return float(differences.max() / (np.abs(wide).max() or 1.0)) if expected.size else 0.0


def _matched(expected: Outputs, found: Outputs, image: int, count: int, floor: float) -> int:
    """How many of an image's first `count` detections are there: same class, box, score (and mask)."""
    right = 0
    for row in range(count):
        same = found["detection_classes"][image] == expected["detection_classes"][image, row]
        for key, bound in SAME.items():
            if key in expected:
                difference = np.abs(found[key][image] - expected[key][image, row])
                same &= difference.reshape(len(same), -1).max(axis=1) < max(bound, floor)
        right += bool(same.any())
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="recordings, exports or ONNX files; default: all")
    parser.add_argument("--no-tflite", action="store_true")
    arguments = parser.parse_args()
    failed = 0
    for name in arguments.names or [*CASE_NAMES, *TENSORFLOW_NAMES]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                result = verdict(Path(name).stem, onnx_of(name, Path(folder)), tflite=not arguments.no_tflite)
                failed += not result.passed
                print(result, flush=True)
            except (ConversionError, AssertionError) as error:
                failed += 1
                print(f"FAILED {name}: {error}", flush=True)
        gc.collect()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
