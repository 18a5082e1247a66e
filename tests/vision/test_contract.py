"""What stands around a detector: inputs filled by the model's own rule, outputs of every kind read as detections."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.vision.contract import Rule, detection_outputs, picture_input
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Placement, preprocess

WHOLE = Placement(100, 100, 100, 100)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def spec(*shape: int | str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("images", dtype, shape)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_fixed_float_input_is_filled_as_darknet_does(fit: str) -> None:
    taken = picture_input([spec("n", 3, 32, 48)], {"resize": fit})
    tensor, placement = taken.fill(PIXELS)
    wanted, place = preprocess(PIXELS.transpose(2, 0, 1), 48, 32, "letterbox" if fit == "letterbox" else "stretch")
    assert (tensor == wanted).all()
    assert placement == place
    last, _ = picture_input([spec("n", 32, 48, 3)], {"resize": fit}).fill(PIXELS)
    assert (last.transpose(0, 3, 1, 2) == wanted).all()


def test_bytes_of_any_size_go_in_as_they_are() -> None:
    tensor, placement = picture_input([spec("n", "h", "w", 3, dtype="uint8")], {}).fill(PIXELS)
    assert (tensor[0] == PIXELS).all()
    assert placement == Placement(60, 40, 60, 40)


def test_bytes_of_a_fixed_size_are_resized() -> None:
    tensor, _ = picture_input([spec(1, 20, 30, 3, dtype="uint8")], {}).fill(PIXELS)
    floats, _ = preprocess(PIXELS.transpose(2, 0, 1), 30, 20, "stretch")
    assert tensor.dtype == np.uint8
    assert (tensor[0].transpose(2, 0, 1) == np.rint(floats[0] * 255)).all()


def test_a_filling_that_bytes_cannot_hold_is_the_nearest_that_they_can() -> None:
    """A source that fills up behind its normalisation may take what no picture has."""
    told = {"resize": "letterbox", "place": "corner", "pad": [-63.75, 300.0, 20.5], "coordinates": "asymmetric"}
    tensor, _ = picture_input([spec(1, 8, 8, 3, dtype="uint8")], told).fill(PIXELS)
    assert tensor[0, -1, -1].tolist() == [0, 255, 20]


def test_a_model_that_takes_no_picture_is_refused() -> None:
    for inputs in ([], [spec(1, 3)], [spec(1, 3, 2, 2), spec(1, 3, 2, 2)]):
        with pytest.raises(UsageError, match="only input is a picture"):
            picture_input(inputs, {})


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_wrong_threshold_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        Rule(threshold=value)
    with pytest.raises(UsageError, match="between 0 and 1"):
        Rule(iou=value)


def test_boxes_and_scores_are_suppressed_on_the_picture() -> None:
    boxes = np.array([[[0.5, 0.5, 0.4, 0.4], [0.51, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1]]], np.float32)
    scores = np.array([[[0.9, 0], [0.8, 0], [0, 0.7]]], np.float32)
    reading = detection_outputs(["scores", "boxes"], {"nms_kind": "default"})
    found = reading.read({"boxes": boxes, "scores": scores}, WHOLE, Rule())
    assert found.classes.tolist() == [0, 1]
    assert not reading.suppresses_itself
    assert len(reading.read({"boxes": boxes, "scores": scores}, WHOLE, Rule(iou=1.0))) == 3


def test_rows_of_corners() -> None:
    rows = np.array([[[0.1, 0.2, 0.3, 0.6, 0.5, 1], [0, 0, 1, 1, 0.9, 0], [0, 0, 0, 0, 0, 0]]], np.float32)
    found = detection_outputs(["detections"], {}).read({"detections": rows}, WHOLE, Rule())
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.boxes[1] == pytest.approx([0.2, 0.4, 0.2, 0.4])
    assert found.classes.tolist() == [0, 1]


def test_tensorflow_detections() -> None:
    outputs = {
        "detection_boxes": np.array([[[0.1, 0.2, 0.5, 0.4], [0, 0, 1, 1], [0, 0, 0, 0]]], np.float32),
        "detection_scores": np.array([[0.6, 0.9, 0.99]], np.float32),
        "detection_classes": np.array([[3, 1, 1]], np.float32),
        "detection_masks": np.zeros((1, 3, 5, 5), np.float32),
        "num_detections": np.array([2], np.float32),
    }
    reading = detection_outputs(outputs, {"first_class": 1})
    found = reading.read(outputs, WHOLE, Rule())
    assert found.classes.tolist() == [0, 2]
    assert found.boxes[1] == pytest.approx([0.3, 0.3, 0.2, 0.4])
    assert found.masks is not None and found.masks.shape == (2, 5, 5)
    assert reading.suppresses_itself


def test_floats_up_to_255_are_the_bytes() -> None:
    tensor, _ = picture_input([spec(1, 3, 40, 60)], {"white": 255}).fill(PIXELS)
    assert tensor.dtype == np.float32
    assert (tensor[0].transpose(1, 2, 0) == PIXELS).all()
    smaller, _ = picture_input([spec(1, 3, 20, 30)], {"white": 255}).fill(PIXELS)
    rounded, _ = picture_input([spec(1, 20, 30, 3, dtype="uint8")], {}).fill(PIXELS)
    assert (np.rint(smaller.transpose(0, 2, 3, 1)) == rounded).all()


RULE = {"classes": 2, "score": 0.1, "iou": 0.6, "limit_per_class": 2, "limit": 3, "clips": "after"}
# Two boxes of one thing, one that reaches over the edge, one outside of the picture, and one of another class.
CORNERS = [[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.8, 0.8, 1.2, 1.2], [1.1, 0, 1.3, 0.2], [0.1, 0.1, 0.5, 0.5]]
SCORES = [[0, 0.9, 0.05], [0, 0.8, 0], [0, 0.7, 0], [0, 0, 0.95], [0, 0, 0.5]]


def raw(**rule: object) -> Detections:
    outputs = {
        "raw_detection_boxes": np.array([CORNERS], np.float32),
        "raw_detection_scores": np.array([SCORES], np.float32),
    }
    reading = detection_outputs(outputs, {"suppression": {**RULE, **rule}})
    return reading.read(outputs, WHOLE, Rule(threshold=0.25))


def test_candidates_of_tensorflow_are_suppressed_as_the_source_does() -> None:
    found = raw()
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.5])  # 0.95 has no area inside of the picture
    assert found.classes.tolist() == [0, 0, 1]
    assert found.boxes[1] == pytest.approx([0.9, 0.9, 0.2, 0.2])


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        ({"iou": 0.99}, [0.9, 0.8, 0.5]),  # the second of the class is at its limit
        ({"limit": 1}, [0.9]),
        ({"score": 0.6}, [0.9, 0.7]),
        ({"clips": "never"}, [0.95, 0.9, 0.7]),
        ({"clips": "before"}, [0.9, 0.7, 0.5]),
    ],
)
def test_the_rule_is_that_of_the_manifest(rule: dict[str, object], scores: list[float]) -> None:
    assert raw(**rule).scores.tolist() == pytest.approx(scores)


def test_candidates_without_a_rule_are_no_detections() -> None:
    """An older zoo wrote no rule."""
    with pytest.raises(UsageError, match=r"no artifact\.json says how its source suppresses them") as caught:
        detection_outputs(["raw_detection_boxes", "raw_detection_scores"], {})
    assert "convert it again if an older zoo wrote it" in caught.value.hint


def test_a_classifier_is_no_detector() -> None:
    with pytest.raises(UsageError, match="gives probabilities: no detections"):
        detection_outputs(["probabilities"], {})
