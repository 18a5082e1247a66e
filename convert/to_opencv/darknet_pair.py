"""For OpenCV 4's own Darknet reader: the cfg without what that reader stumbles over, and the original weights.

The reader takes no inline comments, no section by its short name, and exactly as many anchors as `num` says. What it
lacks for good (sections, activations) it names itself when the pair is tried. Nothing of the network is changed.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.base.artifact import Artifact, FileRecord
from zoo.base.errors import ConversionError
from zoo.base.files import atomic_folder
from zoo.convert.to_opencv.installations import WITH_READERS, at_hand, of_major, run
from zoo.convert.versions import versions
from zoo.darknet import Network, read_network
from zoo.darknet.cfg import Section, c_int, c_list
from zoo.darknet.layers import Region, Yolo
from zoo.darknet.network import SECTIONS
from zoo.darknet.sections_net import NET

CFG, WEIGHTS = "model.cfg", "model.weights"
FULL = {alias: spec.name for spec in (NET, *SECTIONS) for alias in (spec.name, *spec.aliases)}


def darknet_to_classic(
    cfg: Path,
    weights: Path,
    out: Path,
    *,
    width: int | None = None,
    height: int | None = None,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Artifact:
    """Write the pair into `out`; returns its manifest. The model is the cfg, at `width` and `height` where given;
    the weights lie beside it.

    Raises ConversionError where OpenCV 4's reader cannot take the network or crashes, and leaves nothing behind then;
    MissingBackend where no OpenCV 4 is at hand.
    """
    network = read_network(cfg, weights=weights, width=width, height=height)
    opencv = of_major(WITH_READERS, at_hand())
    with atomic_folder(out) as folder:
        (folder / CFG).write_text("\n".join(_cleaned(network)), encoding="ascii")
        shutil.copyfile(weights, folder / WEIGHTS)
        net = network.net
        noise = np.random.default_rng(0).random((1, net.channels, net.height, net.width), np.float32)
        outputs = run(opencv, "Darknet", [folder / CFG, folder / WEIGHTS], {"": noise}).outputs
        _check(network, sum(len(array) for array in outputs.values() if array.ndim == 2), opencv.version)
        artifact = Artifact(
            folder=out,
            name=name or cfg.stem,
            format="opencv-classic",
            family="darknet",
            sources=tuple(FileRecord.of(path, role) for path, role in ((cfg, "cfg"), (weights, "weights"))),
            files=(FileRecord.of(folder / CFG, "model"), FileRecord.of(folder / WEIGHTS, "weights")),
            inputs=(),
            outputs=(),
            versions=versions(opencv=opencv.version),
            labels=labels,
            notes=(f"for cv2.dnn.readNetFromDarknet; ran in OpenCV {opencv.version}",),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def _cleaned(network: Network) -> Iterator[str]:
    """The cfg's lines, as every Darknet understands them and OpenCV as well."""
    size = {"width": network.net.width, "height": network.net.height}
    for section in network.cfg.sections:
        kind = FULL[section.type]
        yield f"[{kind}]"
        for option in section.options.values():
            own = size.get(option.key) if kind == NET.name else None
            yield f"{option.key}={own or _value(section, kind, option.key)}"
        yield ""


def _value(section: Section, kind: str, key: str) -> str:
    """The value without an inline comment. `num` is the number of anchors that there are: a yolo layer picks its own
    with `mask`, and a region layer uses the first `num`."""
    value = section.options[key].value.partition("#")[0]
    anchors, number = section.options.get("anchors"), section.options.get("num")
    if not anchors or not number:
        return value
    given, counted = c_list(anchors.value), c_int(number.value) or 1
    if (kind, key) == ("yolo", "num"):
        return str(max(counted, len(given) // 2))
    return ",".join(given[: 2 * counted]) if (kind, key) == ("region", "anchors") else value


def _check(network: Network, rows: int, version: str) -> None:
    """A reader that skipped a head would give fewer boxes."""
    maps = [head for head in network.heads if isinstance(head, Yolo | Region)]
    expected = sum(len(head.anchors) * head.output_shape[1] * head.output_shape[2] for head in maps)
    if network.heads and rows != expected:
        raise ConversionError(
            f"{network.path.name}: OpenCV {version} gives {rows} boxes, expected {expected}",
            hint="use the ONNX file: --to opencv --opencv 4",
        )
