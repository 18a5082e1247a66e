"""Judges a converted Darknet network against the recording of Darknet itself: raw heads, boxes and scores.

Tolerance: both sides are float32 runs of the same mathematics in another order of summation, so they may differ by
what such a run differs from float64, each. On real weights a recording is up to 9.4e-6 of the largest value (or of 1)
away from our float64 interpreter, ONNX Runtime 3e-6; over all cases the two are up to 1.1e-5 apart. `TOLERANCE` is
about twice that, for another machine's order of summation.

Four recordings are poor, and say so (`caution`); each is judged by what it can prove:

- relu6 gave 0 in the recorded program: the model must equal the recording once its relu6 gives 0 as well;
- binary convolutions: the recorded program reads outside its weights (binarize_weights gets the size of the whole
  kernel for each filter), and its builds disagree: the float64 interpreter, written apart from the converter, judges;
- NaN in class scores (a hierarchy divided by temperature 0): everything but the classes, where finite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.convert.to_torch.parity import Runtime
from tests.goldens.cases import Case
from zoo.convert.from_darknet import DarknetOptions, darknet_to_onnx
from zoo.convert.from_darknet.model import build
from zoo.darknet import read_network, read_weights
from zoo.darknet.layers import Detection, Region
from zoo.verify.reference.darknet import interpret

TOLERANCE = 2e-5
THRESHOLD = 0.25  # of the recorded candidates

Array = NDArray[np.float32]


def check_onnx(case: Case, weights: Path, folder: Path) -> Runtime:
    """Convert `case` with `weights` into `folder`, run it, and assert that it gives what was recorded.

    Returns ONNX Runtime on the converted model: that of a detector gives boxes, scores and the raw heads.
    """
    is_detector = case.candidates is not None
    options = DarknetOptions(heads="decoded" if is_detector else "raw", dialect=case.dialect)
    model = darknet_to_onnx(case.cfg, weights, folder / "onnx", options).model
    if is_detector:
        append_raw_heads(model, case, weights)
    runtime = Runtime(model)
    is_silent = any("relu6" in caution for caution in case.caution)
    outputs = _run(Runtime(_silenced(model)) if is_silent else runtime, case)
    binary = any("binary" in caution for caution in case.caution)
    _judge_raw(case, outputs, _interpreted(case, weights) if binary else case.outputs)
    if is_detector:
        _judge_boxes(case, outputs["boxes"][0], outputs["scores"][0])
    return runtime


def append_raw_heads(path: Path, case: Case, weights: Path) -> None:
    """Let the decoded model in the file `path` give what `heads="raw"` gives, too, so that it is loaded only once.

    What of the raw model the decoded one lacks is appended to its file: protobuf merges a message that comes twice.
    """
    network = read_network(case.cfg, dialect=case.dialect)
    tensors = read_weights(weights, network)
    kinds: tuple[Literal["raw", "decoded"], ...] = ("raw", "decoded")
    raw, decoded = (build(network, tensors, DarknetOptions(heads=kind, dialect=case.dialect)) for kind in kinds)
    there = {node.SerializeToString() for node in decoded.nodes}
    known = {constant.name for constant in decoded.constants}
    names = {blob.name for blob in decoded.blobs}
    nodes = tuple(node for node in raw.nodes if node.SerializeToString() not in there)
    constants = tuple(constant for constant in raw.constants if constant.name not in known)
    blobs = tuple(blob for blob in raw.blobs if blob.name not in names)
    rest = dataclasses.replace(raw, nodes=nodes, constants=constants, blobs=blobs, inputs=())
    with path.open("ab") as file:
        file.write(onnx.ModelProto(graph=rest.proto().graph).SerializeToString())


def _run(runtime: Runtime, case: Case) -> dict[str, Array]:
    """One picture, or the steps of a sequence with the states fed back; the outputs of the last step."""
    first, *states = runtime.inputs
    feeds = [np.zeros((1, *state.shape[1:]), np.float32) for state in states]
    outputs: dict[str, Array] = {}
    for step in [case.input] if case.input.ndim == 3 else case.input:
        found = runtime.run([step.reshape(1, *first.shape[1:]), *feeds])
        outputs = dict(zip(runtime.names, found, strict=True))
        feeds = [outputs[f"{state.name}_next"] for state in states]
    return outputs


def _silenced(path: Path) -> Path:
    """The model with every clip(x, 0, 6) giving 0, as the recorded program did."""
    model = onnx.load(path)
    six = {t.name for t in model.graph.initializer if t.dims == [] and onnx.numpy_helper.to_array(t) == 6}
    zero = onnx.numpy_helper.from_array(np.array(0, np.float32), "silenced")
    model.graph.initializer.append(zero)
    for node in model.graph.node:
        if node.op_type == "Clip" and node.input[2] in six:
            node.input[1] = node.input[2] = "silenced"
    onnx.save(model, path.with_name("silenced.onnx"))
    return path.with_name("silenced.onnx")


def _interpreted(case: Case, weights: Path) -> dict[str, Array]:
    network = read_network(case.cfg, dialect=case.dialect)
    outputs = interpret(network, read_weights(weights, network), case.input[None])
    return {name: value[0].astype(np.float32) for name, value in outputs.items()}


def _judge_raw(case: Case, outputs: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, recorded in expected.items():
        found = outputs[name][0]
        assert found.size == recorded.size, f"{case.name} {name}: {found.shape} for {recorded.shape}"
        assert np.isfinite(found).all(), f"{case.name} {name}: not finite"
        error = _difference(*_comparable(case, name, found.reshape(recorded.shape), recorded))
        assert error <= TOLERANCE, f"{case.name} {name}: {error:.3g} of the largest value"


def _comparable(case: Case, name: str, found: Array, recorded: Array) -> tuple[Array, Array]:
    """What of an output can be judged: all of it, or the finite box entries where the classes are NaN."""
    if np.isfinite(recorded).all():
        return found, recorded
    assert any("NaN" in caution for caution in case.caution), f"{case.name} {name}: NaN was recorded"
    layer = read_network(case.cfg, dialect=case.dialect).layers[int(name[:3])]
    assert isinstance(layer, Region)
    entries = [array.reshape(len(layer.anchors), 5 + layer.classes, -1)[:, :5] for array in (found, recorded)]
    finite = np.isfinite(entries[1])
    assert finite.mean() > 0.6, "too little of the recording is left to judge"
    return entries[0][finite], entries[1][finite]


def _difference(found: Array, recorded: Array) -> float:
    wide = recorded.astype(np.float64)
    return float(np.abs(found - wide).max() / max(1.0, np.abs(wide).max()))


def _judge_boxes(case: Case, boxes: Array, scores: Array) -> None:
    """The (box, class) pairs above the threshold, in Darknet's own order.

    A score within the tolerance of the threshold may be on either side; everything else must be there once.
    """
    recorded = case.candidates
    assert recorded is not None
    if not len(recorded) or any("binary" in caution or "NaN" in caution for caution in case.caution):
        return
    picked, classes = np.nonzero(scores > THRESHOLD)
    rows = np.concatenate([boxes[picked], scores[picked, classes][:, None], classes[:, None]], axis=1)
    expected = recorded[:, [0, 1, 2, 3, 6, 5]].astype(np.float64)
    if case.letterbox:
        rows[:, :4] = _off_letterbox(case, rows[:, :4])
    network = read_network(case.cfg, dialect=case.dialect)
    if isinstance(network.heads[0], Detection):  # recorded in pixels of the input
        expected[:, :4] /= np.tile([network.net.width, network.net.height], 2)
    total = case.record["dets"][0]
    clear = [(np.abs(side[:, 4] - THRESHOLD) > TOLERANCE * max(1, side[:, 4].max())) for side in (rows, expected)]
    assert abs(len(rows) - total) <= (~clear[0]).sum(), f"{case.name}: {len(rows)} candidates, recorded {total}"
    rows, expected = rows[clear[0]], expected[clear[1]]
    count = min(len(rows), len(expected))
    assert np.array_equal(rows[:count, 5], expected[:count, 5]), f"{case.name}: classes in another order"
    # exp() of a box's size turns its absolute error into a relative one, largest where the boxes are.
    scale = np.maximum(1, np.abs(expected[:count, :5]))
    error = float((np.abs(rows[:count, :5] - expected[:count, :5]) / scale).max())
    assert error <= 5 * TOLERANCE, f"{case.name}: boxes or scores differ by {error:.3g}"


def _off_letterbox(case: Case, boxes: Array) -> NDArray[np.float64]:
    """Boxes relative to the network's input → relative to the picture (correct_yolo_boxes)."""
    from PIL import Image

    assert case.image is not None
    with Image.open(case.image) as picture:
        w, h = picture.size
    net_h, net_w = case.input.shape[1:]
    new_w, new_h = (net_w, h * net_w // w) if net_w / w < net_h / h else (w * net_h // h, net_h)
    ratio, shift = np.array([new_w / net_w, new_h / net_h]), np.array([net_w - new_w, net_h - new_h]) / 2
    centre = (boxes[:, :2] - shift / (net_w, net_h)) / ratio
    return np.concatenate([centre, boxes[:, 2:] / ratio], axis=1)
