"""How a model of the Object Detection API scales pictures, by its `pipeline.config`: for targets of one size.

`facts` are those of `text_protos.read_pipeline`, as the manifest keeps them in `detector`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def open_size(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that a source with an input of any size scales pictures to; None where it does not say.

    A resizer that keeps the aspect gives the square of its smaller side. One that pads to a square as well leaves what
    is as high as its smaller side and as wide as its larger one as it is: so does every picture that is wider than high
    become, but for the padding.
    """
    resizer = facts.get("resizer", {})
    if "height" in resizer and "width" in resizer:
        return int(resizer["height"]), int(resizer["width"])
    side = resizer.get("min_dimension")
    return (int(side), int(resizer.get("max_dimension", side) if pads(resizer) else side)) if side else None


def size_note(file: str, size: tuple[int, int], facts: Mapping[str, Any]) -> str:
    """For the manifest of what was written for `open_size`."""
    note = f"{file} takes pictures of {size[0]} × {size[1]} (height × width), the size that pipeline.config names"
    resizer = facts.get("resizer", {})
    if "min_dimension" in resizer and not pads(resizer):
        note += "; its source keeps the shape of pictures: others are stretched, so give --width and --height of yours"
    elif pads(resizer) and size[0] < size[1]:
        note += (
            f"; what is higher than wide its source shows larger: for that give --width {size[0]} --height {size[1]}"
        )
    return note


def fitting_note(facts: Mapping[str, Any]) -> str:
    """For the manifest of what was written for a source that pads, where nobody told how; else ""."""
    if "place" in facts or not pads(facts.get("resizer", {})):
        return ""
    return (
        "its source fills pictures up, and the manifest of the ONNX file does not tell how: detector.json says "
        "stretch; if an older zoo wrote that file, convert the ONNX file again"
    )


def corrected(fitting: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """`fitting` as the source showed it. One whose resizer pads, and that was stretched, takes only squares, in which
    there is nothing to fill up: then the program puts the picture into the corner. The colour around it is not known.
    """
    if fitting.get("resize") == "stretch" and pads(facts.get("resizer", {})):
        return {**fitting, "resize": "letterbox", "place": "corner"}
    return dict(fitting)


def pads(resizer: Mapping[str, Any]) -> bool:
    """Whether it fills pictures up to a square."""
    return str(resizer.get("pad_to_max_dimension")) == "true"
