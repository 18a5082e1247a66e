"""An SSD as the text graph (.pbtxt) that OpenCV's TensorFlow reader takes beside a frozen graph, which has the weights.

The network's operators stay the source's own; the ends are layers of OpenCV: `PriorBox` for the anchors of a level,
`DetectionOutput` for the decoding of boxes and their suppression. It gives [1, 1, K, 7]: the picture's number, class
(the first is 1), score, xmin, ymin, xmax, ymax relative to the picture. The API clips boxes to the picture after the
suppression, which is left to the caller: OpenCV would clip before it, and suppress others. Nothing is read or run here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zoo.convert.from_tensorflow.graph import Node
from zoo.convert.to_opencv.ssd_graph import Ssd

OUTPUT = "detection_out"
KEPT = ("strides", "padding", "dilations", "ksize", "epsilon", "data_format")  # attributes that the reader reads
PLAIN = {"AddV2": "Add", "FusedBatchNormV2": "FusedBatchNorm", "FusedBatchNormV3": "FusedBatchNorm"}
CANDIDATES = (
    4  # of each class, times the detections kept: those that take part; with all of them it takes five times as long
)


def text_graph(ssd: Ssd, size: tuple[int, int]) -> str:
    """The text graph for a picture of `size`, (height, width), RGB from 0 to 255."""
    return "".join(f"node {{\n{line}}}\n" for line in (*_picture(ssd), *_network(ssd), *_heads(ssd, size)))


def _picture(ssd: Ssd) -> Iterator[str]:
    image = ssd.input.rpartition(":")[0]
    yield _node(image, "Placeholder", [], dtype="type: DT_UINT8")
    yield _constant("normalise/scale", ssd.scale.tolist())
    yield _constant("normalise/shift", ssd.shift.tolist())
    yield _node("normalise/scaled", "Mul", [image, "normalise/scale"])
    yield _node("normalise/shifted", "BiasAdd", ["normalise/scaled", "normalise/shift"])


def _network(ssd: Ssd) -> Iterator[str]:
    for node in ssd.network:
        inputs = [_plain(ssd, ref) for ref in node.inputs]
        yield _node(node.name, PLAIN.get(node.op, node.op), inputs, **_attributes(node))


def _plain(ssd: Ssd, ref: str) -> str:
    ref = ssd.graph.origin(ref)
    return "normalise/shifted" if ref == ssd.start else ref.removesuffix(":0")


def _attributes(node: Node) -> dict[str, str]:
    from google.protobuf import text_format  # type: ignore[import-untyped]

    return {key: text_format.MessageToString(node.attributes[key]) for key in KEPT if key in node.attributes}


def _heads(ssd: Ssd, size: tuple[int, int]) -> Iterator[str]:
    yield _constant("join/axis", [-1])
    parts = {"boxes": [level.boxes for level in ssd.levels], "scores": [level.classes for level in ssd.levels]}
    for kind, refs in parts.items():
        for number, ref in enumerate(refs):
            yield _node(f"{kind}/{number}", "Flatten", [ref.removesuffix(":0")])
        yield _node(kind, "ConcatV2", [*(f"{kind}/{number}" for number in range(len(refs))), "join/axis"])
    yield from _anchors(ssd, size)
    yield from _scores(ssd)
    yield _node(
        OUTPUT, "DetectionOutput", ["boxes", "scores/converted", "priors"],
        num_classes=f"i: {ssd.stage.classes + 1}",
        share_location="b: true",
        background_label_id="i: 0",
        code_type='s: "CENTER_SIZE"',
        loc_pred_transposed="b: true",
        confidence_threshold=f"f: {max(ssd.stage.score_threshold, 0):.9g}",
        nms_threshold=f"f: {ssd.stage.iou_threshold:.9g}",
        top_k=f"i: {CANDIDATES * ssd.stage.limit}",
        keep_top_k=f"i: {ssd.stage.limit}",
        clip="b: false",
    )  # fmt: skip


def _anchors(ssd: Ssd, size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    image = ssd.input.rpartition(":")[0]
    for number, level in enumerate(ssd.levels):
        yield _node(
            f"priors/{number}", "PriorBox", [level.boxes.removesuffix(":0"), image],
            flip="b: false",
            clip="b: false",
            width=_tensor([width * one for one in level.widths]),
            height=_tensor([height * one for one in level.heights]),
            variance=_tensor(ssd.variances),
        )  # fmt: skip
    yield _node("priors", "ConcatV2", [*(f"priors/{number}" for number in range(len(ssd.levels))), "join/axis"])


def _scores(ssd: Ssd) -> Iterator[str]:
    """What the classes' numbers are turned into: nothing, each by itself, or all of a box together."""
    if ssd.converter != "Softmax":
        yield _node("scores/converted", ssd.converter or "Identity", ["scores"])
        return
    yield _constant("scores/shape", [1, -1, ssd.stage.classes + 1])
    yield _node("scores/rows", "Reshape", ["scores", "scores/shape"])
    yield _node("scores/softmax", "Softmax", ["scores/rows"])
    yield _node("scores/converted", "Flatten", ["scores/softmax"])


def _node(name: str, op: str, inputs: Iterable[str], **attributes: str) -> str:
    lines = [f'name: "{name}"', f'op: "{op}"', *(f'input: "{one}"' for one in inputs)]
    lines += [f'attr {{ key: "{key}" value {{ {" ".join(text.split())} }} }}' for key, text in attributes.items()]
    return "".join(f"  {line}\n" for line in lines)


def _constant(name: str, values: Sequence[Any]) -> str:
    return _node(name, "Const", [], value=_tensor(values))


def _tensor(values: Sequence[Any]) -> str:
    whole = all(isinstance(value, int) for value in values)
    kind, field = ("DT_INT32", "int_val") if whole else ("DT_FLOAT", "float_val")
    entries = " ".join(f"{field}: {value}" if whole else f"{field}: {value:.9g}" for value in values)
    return f"tensor {{ dtype: {kind} tensor_shape {{ dim {{ size: {len(values)} }} }} {entries} }}"
