"""What a converter might get wrong about a network that its random weights saturate: an EfficientDet whose boxes are
exp of 50 and whose scores are 0 or 1 on three of five samples, and a Mask R-CNN whose first stage suppresses at ties.

They bound what `zoo.verify.conditioning` lets pass. What is wrong with the EfficientDet's `detection_` outputs alone is
in neither table: TensorFlow's own runs share fewer than half of its detections, so that proves nothing, and says so.
"""

from __future__ import annotations

import numpy as np

from tests.mutations.darknet_kinds import before
from tests.mutations.kinds import Mutation, after
from tests.mutations.tensorflow_kinds import ERRORS, FLOOR, largest_off, on_convolution, rolled

CALL = "StatefulPartitionedCall/StatefulPartitionedCall"
BACKBONE = f"{CALL}/EfficientDet-D0/model_1"
STEM = f"{BACKBONE}/stem_conv2d/Conv2D"
DECODE = f"{CALL}/Postprocessor/Decode"
FIRST, LATER = f"{CALL}/model/conv1_conv/Conv2D", f"{CALL}/model/conv3_block3_3_conv/Conv2D"
RAW = "raw_detection_boxes"
BOXES, CLASSES = 12276, 6  # of the EfficientDet
PROPOSALS = 64  # of the Mask R-CNN
LARGER = np.array(1.05, np.float32)
NEIGHBOURS = np.arange(BOXES)
NEIGHBOURS[[6000, 6001]] = 6001, 6000

# What is done, words of the explanation. No layer is asked for: the noise of most hides a fault that began before them.
EFFICIENTDET: dict[str, tuple[Mutation, str]] = {
    "efficientdet: boxes of the wrong size": (before(f"{DECODE}/Exp:0", "Mul", LARGER), RAW),
    "efficientdet: boxes scaled": (after(RAW, ("Mul", [LARGER])), RAW),
    "efficientdet: two anchors exchanged": (after(RAW, ("Gather", [NEIGHBOURS]), axis=1), RAW),
    "efficientdet: boxes as x, y, x, y": (after(RAW, ("Gather", [np.array([1, 0, 3, 2])]), axis=2), RAW),
    "efficientdet: classes offset by one": (
        after("raw_detection_scores", ("Gather", [np.roll(np.arange(CLASSES), 1)]), axis=2), "than a constant"
    ),
    "efficientdet: a weight off by a tenth": (on_convolution(STEM, 1, largest_off), FLOOR),
    "efficientdet: channels exchanged": (on_convolution(STEM, 1, rolled), FLOOR),
    "efficientdet: more detections than rows": (
        after("num_detections", ("Add", [np.array(300, np.float32)])), "of 100 rows"
    ),
}  # fmt: skip

MASK_RCNN: dict[str, tuple[Mutation, str]] = {
    "mask rcnn: proposals scaled": (after(RAW, ("Mul", [LARGER])), RAW),
    "mask rcnn: proposals of another order": (
        after(RAW, ("Gather", [np.roll(np.arange(PROPOSALS), 1)]), axis=1), RAW
    ),
    "mask rcnn: classes offset by one": (after("detection_classes", ("Add", [np.array(1, np.float32)])), ERRORS),
    "mask rcnn: boxes scaled": (after("detection_boxes", ("Mul", [LARGER])), "detections"),
    "mask rcnn: masks transposed": (
        before("result/detection_masks:0", "Transpose", perm=[0, 1, 3, 2]), "detection_masks"
    ),
    "mask rcnn: a weight off by a tenth": (on_convolution(LATER, 1, largest_off), "output"),
    "mask rcnn: channels exchanged": (on_convolution(FIRST, 1, rolled), ""),
}  # fmt: skip
