"""Darknet files → an artifact on disk: read, build, write, check, describe. Nothing is left behind on an error."""

from __future__ import annotations

import dataclasses
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import ConversionError
from zoo.base.files import atomic_folder
from zoo.convert.from_darknet.model import build
from zoo.convert.from_darknet.options import DarknetOptions
from zoo.convert.onnx_graph.build import Model
from zoo.convert.onnx_graph.write import write_model
from zoo.convert.versions import versions
from zoo.darknet import Network, read_network, read_weights
from zoo.darknet.layers import Region

MEANINGS = {
    "images": "RGB pictures, 0..1, fitted into the input as `detector.resize` says",
    "inputs": "input vectors",
    "boxes": "centre x, y, width, height relative to the network's input, in Darknet's order",
    "scores": "objectness · class probability",
    "detections": "x1, y1, x2, y2 (relative), score, class; best first, rows of zeros at the end",
    "probabilities": "class probabilities",
}


def darknet_to_onnx(
    cfg: Path,
    weights: Path,
    out: Path,
    options: DarknetOptions | None = None,
    *,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Artifact:
    """Convert, writing `out`/model.onnx and `out`/artifact.json (whole or not at all).

    `name` defaults to the cfg's. Raises ConversionError (exit code 4) where a file is not what it should be or the
    network cannot be expressed, UsageError (2) where the options do not fit together.
    """
    options = options or DarknetOptions()
    network = read_network(
        cfg,
        dialect=options.dialect,
        weights=weights,
        width=options.width,
        height=options.height,
        batch=options.batch,
    )
    if options.layers is not None:
        network = network.upto(options.layers)
    model = build(network, read_weights(weights, network), options)
    with ThreadPoolExecutor(2) as aside, atomic_folder(out) as folder:
        checked = aside.submit(check, model, network)
        sources = [aside.submit(FileRecord.of, path, role) for path, role in ((cfg, "cfg"), (weights, "weights"))]
        files = write_model(model, folder / "model.onnx")
        checked.result()
        artifact = Artifact(
            folder=folder,
            name=name or cfg.stem,
            format="onnx",
            family="darknet",
            sources=tuple(source.result() for source in sources),
            files=files,
            inputs=tuple(_spec(value) for value in model.inputs),
            outputs=tuple(_spec(value) for value in model.outputs),
            options={**dataclasses.asdict(options), "dialect": network.dialect},
            detector=_detector(network),
            versions=versions(onnx=onnx.__version__),
            labels=labels,
            notes=_notes(network, options),
        )
        artifact.write()
    return dataclasses.replace(artifact, folder=out)


def check(model: Model, network: Network) -> None:
    """Ask ONNX's checker, and ONNX Runtime where it is installed, whether they take the model.

    They look at the model with its big weights as inputs: every node, type and shape is there, and the weights, whose
    shapes are declared, need not be held in memory.
    """
    outline = model.outline()
    try:
        onnx.checker.check_model(outline, full_check=True)
        if importlib.util.find_spec("onnxruntime"):
            import onnxruntime

            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 3
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            onnxruntime.InferenceSession(outline.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ConversionError(
            f"{network.path.name}: the converted model is not valid: {error}", hint="this is a fault of zoo: report it"
        ) from error


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return TensorSpec(value.name, dtype, shape, _meaning(value.name))


def _meaning(name: str) -> str:
    if name in MEANINGS:
        return MEANINGS[name]
    if name.endswith("_next"):
        return "the state to feed back in the next call"
    if name.endswith(("_state", "_c", "_h")):
        return "the state of the last call, zeros at the start"
    return "what Darknet holds there"


def _detector(network: Network) -> dict[str, object]:
    if not network.heads:
        return {"resize": network.resize}
    head = network.heads[-1]  # Darknet takes the rules of suppression from the last one
    return {
        "resize": network.resize,
        "nms_kind": head.nms_kind,
        "beta_nms": head.beta_nms,
        "box_format": "cxcywh",
        "classes": head.classes,
    }


def _notes(network: Network, options: DarknetOptions) -> tuple[str, ...]:
    notes = [f"dialect {network.dialect}: {network.reason}", *network.warnings]
    if options.layers is not None:
        notes.append(f"the first {options.layers} layers only")
    if options.heads == "decoded" and any(isinstance(head, Region) and head.tree for head in network.heads):
        notes.append(
            "scores of a class hierarchy follow Darknet's choice of one class for each box at hierarchy threshold 0.5 "
            f"and objectness above {options.score_threshold:g}"
        )
    if options.nms and network.heads[-1].nms_kind in ("greedynms", "diounms"):
        notes.append("nms compares the best 1024 pairs of box and class, exactly as Darknet does")
    return tuple(notes)
