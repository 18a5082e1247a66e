"""Pictures for files of one size: TensorFlow's own resize, letterboxes in a corner, boxes back to the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.vision.contract import Rule, detection_outputs, picture_input
from zoo.vision.fitting import fitting_of, resize
from zoo.vision.preprocess import Placement

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
CORNER = {"resize": "letterbox", "place": "corner", "pad": [10.0, 20.5, 30.0], "coordinates": "asymmetric"}
RULES: dict[str, dict[str, bool]] = {
    "asymmetric": {},
    "half_pixel": {"half_pixel_centers": True},
    "align_corners": {"align_corners": True},
}


@pytest.mark.parametrize("coordinates", RULES)
@pytest.mark.parametrize("size", [(17, 23), (90, 61), (40, 60), (1, 1)])
def test_it_is_tensorflow_s_resize(coordinates: str, size: tuple[int, int]) -> None:
    height, width = size
    (wanted,) = tf.raw_ops.ResizeBilinear(images=PIXELS[None].astype(np.float32), size=size, **RULES[coordinates])
    np.testing.assert_allclose(resize(PIXELS, width, height, coordinates), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_letterbox_in_the_corner(dtype: str) -> None:
    taken = picture_input([TensorSpec("image", dtype, (1, 32, 32, 3))], CORNER | {"white": 255})
    (tensor,), placement = taken.fill(PIXELS)
    assert tensor.dtype == dtype
    assert placement == Placement(32, 32, 32, 21, corner=True)
    inside = resize(PIXELS, 32, 21, "asymmetric")
    assert (tensor[:21] == (np.rint(inside) if dtype == "uint8" else inside)).all()
    assert (tensor[21:] == np.array([10, 20.5 if dtype == "float32" else 20, 30])).all()


def test_boxes_come_back_from_the_corner() -> None:
    boxes = np.array([[0.5, 0.25, 1.0, 0.5], [0.5, 0.125, 0.5, 0.25]])
    back = Placement(32, 32, 32, 16, corner=True).undo(boxes)
    np.testing.assert_allclose(back, [[0.5, 0.5, 1, 1], [0.5, 0.25, 0.5, 0.5]])


def test_detections_are_clipped_to_the_picture_not_to_the_input() -> None:
    """The lower half of the input is filled up; a box that reaches into it ends with the picture, as in the source."""
    placement = Placement(32, 32, 32, 16, corner=True)
    corners = np.array([[[0.25, 0.0, 0.75, 0.5]]], np.float32)
    rule = {"classes": 1, "score": 0.1, "iou": 0.6, "limit_per_class": 2, "limit": 3, "clips": "after"}
    outputs: dict[str, dict[str, Any]] = {
        "raw": {"raw_detection_boxes": corners, "raw_detection_scores": np.ones((1, 1, 1), np.float32)},
        "detection": {
            "detection_boxes": corners,
            "detection_scores": np.ones((1, 1), np.float32),
            "detection_classes": np.ones((1, 1), np.float32),
        },
    }
    for given in outputs.values():
        found = detection_outputs(given, {"suppression": rule}).read(given, placement, Rule())
        np.testing.assert_allclose(found.boxes, [[0.25, 0.75, 0.5, 0.5]])


def test_darknet_has_rules_of_its_own() -> None:
    assert fitting_of({"resize": "letterbox", "nms_kind": "greedynms"}) is None


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown rule to resize by: 'cubic'"):
        fitting_of({"coordinates": "cubic"})
    with pytest.raises(UsageError, match=r"unknown rule to resize by: \['half_pixel'\]"):
        fitting_of({"coordinates": ["half_pixel"]})


@pytest.mark.parametrize("pad", [[1, 2], [0, 0, "a"], 7, None, [[0], 0, 0], [0, 0, 10**400], [0, 0, float("nan")]])
def test_a_colour_that_is_none_is_refused(pad: Any) -> None:
    with pytest.raises(UsageError, match="a colour that is none"):
        fitting_of({**CORNER, "pad": pad})


def test_where_no_colour_is_told_it_is_grey() -> None:
    fitting = fitting_of({"resize": "letterbox", "place": "corner"})
    assert fitting
    assert fitting.pad == (127.5, 127.5, 127.5)


def test_a_picture_of_which_nothing_would_be_left_is_refused() -> None:
    fitting = fitting_of(CORNER)
    assert fitting
    with pytest.raises(UsageError, match="1 × 200 cannot be letterboxed into 32 × 32"):
        fitting(np.zeros((200, 1, 3), np.uint8), 32, 32)
