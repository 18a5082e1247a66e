"""What the inputs and outputs of the Object Detection API mean, for the manifest."""

from __future__ import annotations

RAW_INPUT = "images"
INPUT_MEANING = "RGB pictures, 0..255; all of a batch have one size, and are resized and normalised inside"
RAW_MEANING = "pictures resized and normalised as the source does it (N, H, W, C)"

MEANINGS = {
    "num_detections": "number of detections of each image; the rows after them are zero",
    "detection_boxes": "ymin, xmin, ymax, xmax relative to the image, 0..1, best first",
    "detection_scores": "probability, 0..1, falling",
    "detection_classes": "number of the class; the first is 1",
    "detection_masks": "probability of each cell of a grid over the detection's box",
    "detection_multiclass_scores": "scores of all classes for each detection",
    "detection_anchor_indices": "the anchor each detection comes from",
    "detection_keypoints": "y, x of each keypoint relative to the image, 0..1",
    "detection_keypoint_scores": "probability of each keypoint, 0..1",
    "detection_boxes_strided": "ymin, xmin, ymax, xmax in cells of the output grid",
    "raw_detection_boxes": "decoded boxes before suppression, ymin, xmin, ymax, xmax",
    "raw_detection_scores": "scores of all classes before suppression",
}


def meaning_of(name: str) -> str:
    return MEANINGS.get(name, "an inner result that the source gives as well")
