"""`zoo convert`: a model of the catalog, or the user's own files, to one or several formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError
from zoo.cli.options import complete_formats, json_option, say, split, verbose_option
from zoo.cli.sources import Chosen, source_options

if TYPE_CHECKING:
    from zoo.base.artifact import Artifact
    from zoo.pipeline.formats import Options

DARKNET = ("heads", "nms", "keep_batch_norm", "dynamic_size", "dialect")
TENSORFLOW = ("pre", "post")
SIZES = ("batch", "width", "height")


@click.command("convert")
@source_options
@click.option("--to", multiple=True, default=("onnx",), show_default=True, shell_complete=complete_formats,
              help="Format to write: onnx, torch, tf, tflite, opencv, opencv-classic (for OpenCV 4's own Darknet and "
                   "TensorFlow readers); several with commas.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to; else the store.")
@click.option("--batch", type=click.IntRange(min=1), help="Fix the batch; else it is open.")
@click.option("--width", type=click.IntRange(min=1), help="Input width in pixels, instead of the source's.")
@click.option("--height", type=click.IntRange(min=1), help="Input height in pixels, instead of the source's.")
@click.option("--heads", type=click.Choice(["decoded", "raw"]), default="decoded", show_default=True,
              help="Darknet: boxes and scores, or the layers' own outputs, named NNN_type.")  # fmt: skip
@click.option("--nms", is_flag=True, help="Darknet: append non-maximum suppression, an output `detections`.")
@click.option("--keep-batch-norm", is_flag=True, help="Darknet: keep batch normalisation apart from convolutions.")
@click.option("--dynamic-size", is_flag=True, help="Darknet: leave height and width open where the network permits.")
@click.option("--dialect", type=click.Choice(["auto", "alexey", "pj"]), default="auto", show_default=True,
              help="Darknet: whose program the network was made for.")  # fmt: skip
@click.option("--pre", type=click.Choice(["image", "raw"]), default="image", show_default=True,
              help="TensorFlow: take pictures of any size, or what the network itself takes.")  # fmt: skip
@click.option("--post", type=click.Choice(["detections", "raw"]), default="detections", show_default=True,
              help="TensorFlow: give detections, or boxes and scores before suppression.")  # fmt: skip
@click.option("--layout", type=click.Choice(["nhwc", "nchw"]), default="nhwc", show_default=True,
              help="Of a picture input, to tf.")  # fmt: skip
@click.option("--constants", is_flag=True,
              help="To tf: weights as constants; faster on a CPU, but not to be fine-tuned.")  # fmt: skip
@click.option("--tflite", is_flag=True, help="To tf: write a .tflite too, as --to tflite does.")
@click.option("--fp16", is_flag=True, help="To tflite: float16 weights.")
@click.option("--calibrate", multiple=True, type=click.Path(path_type=Path), metavar="PICTURE|FOLDER",
              help="To tflite: int8, whose ranges come from these pictures.")  # fmt: skip
@click.option("--no-pt2", is_flag=True, help="To torch: write model.py and its weights, but no model.pt2.")
@click.option("--pt2-size", nargs=2, type=click.IntRange(min=1), metavar="HEIGHT WIDTH",
              help="To torch: the size of a model.pt2 whose sizes cannot stay open; else 480 640.")  # fmt: skip
@click.option("--opencv", type=click.Choice(["5", "4"]), default="5", show_default=True,
              help="To opencv: the major version that the file is for.")  # fmt: skip
@json_option
@verbose_option
def command(chosen: Chosen, to: tuple[str, ...], out: Path | None, as_json: bool, **told: Any) -> None:
    """Convert models of the catalog (fetched where missing), a Darknet cfg with weights, a TensorFlow or ONNX file.

    Prints the path of each model file written.

    \b
    Examples:
      zoo convert yolov3 --to onnx
      zoo convert yolov4-tiny --to onnx,torch,tf --out converted
      zoo convert --cfg my.cfg --weights my.weights --to onnx --out converted
      zoo convert --graph frozen_inference_graph.pb --to onnx --out converted
    """
    from zoo.pipeline.convert import check_formats, convert

    to = split(to)
    if not to:
        raise UsageError("--to names no format")
    check_formats(to)
    options = _options(**told)
    sources = chosen.find()
    artifacts = [
        artifact
        for source in sources
        for artifact in convert(source, to, out=out / source.name if out and len(sources) > 1 else out, options=options)
    ]
    for line in [json.dumps([_described(one) for one in artifacts], indent=2)] if as_json else _paths(artifacts):
        say(line)


def _options(
    layout: str,
    constants: bool,
    tflite: bool,
    fp16: bool,
    calibrate: tuple[Path, ...],
    no_pt2: bool,
    pt2_size: tuple[int, int] | None,
    opencv: str,
    **told: Any,
) -> Options:
    """The options of the command line, each at the converter that it is for."""
    from zoo.convert.from_darknet import DarknetOptions
    from zoo.convert.from_tensorflow import TensorFlowSourceOptions
    from zoo.pipeline.formats import Options

    sizes = {key: told[key] for key in SIZES}
    writer = {"layout": layout, "constants": constants, "tflite": tflite, "fp16": fp16, "calibrate": calibrate}
    default = {"layout": "nhwc", "constants": False, "tflite": False, "fp16": False, "calibrate": ()}
    return Options(
        DarknetOptions(**{key: told[key] for key in DARKNET}, **sizes),
        TensorFlowSourceOptions(**{key: told[key] for key in TENSORFLOW}, **sizes),
        {
            "tf": {key: value for key, value in writer.items() if value != default[key]},
            "torch": ({"export": False} if no_pt2 else {}) | ({"size": pt2_size} if pt2_size else {}),
            "opencv": {key: size for key, size in sizes.items() if size} | ({"opencv": 4} if opencv == "4" else {}),
        },
    )


def _described(artifact: Artifact) -> dict[str, Any]:
    from zoo.base.artifact import MANIFEST

    return {"path": str(artifact.model), **json.loads((artifact.folder / MANIFEST).read_bytes())}


def _paths(artifacts: list[Artifact]) -> list[str]:
    return [str(artifact.model) for artifact in artifacts]
