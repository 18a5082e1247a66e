"""Real networks through the writer: the numbers of ONNX Runtime, few Transposes, a .tflite that agrees.

A spread of the Darknet recordings and TF-zoo exports; `python -m tests.convert.to_tensorflow.parity` judges all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.convert.to_tensorflow.parity import Verdict, onnx_of, verdict
from tests.goldens.exports import Exports

# What each one brings: residuals, mish, squeeze-and-excite, swish, sam and 3D reorg, reorg and region, grouped and
# new_coords heads, recurrent states, a hierarchy, local and connected layers, contrastive heads, depthwise on pictures.
DARKNET = (
    "alexey_efficientnet_b0_96x96",
    "alexey_yolov3_96x96",
    "alexey_yolov4_96x96",
    "alexey_yolov4-tiny_contrastive_96x96",
    "alexey_yolov7-tiny_96x96",
    "alexey_tiny_96x96",
    "pj_gru_native",
    "pj_yolov2-tiny_96x96",
    "real_yolo-fastest-1.1_dog",
)
WITHOUT_TFLITE = {"alexey_yolov3_96x96", "alexey_yolov4_96x96"}  # minutes of the whole suite; the script judges them
TRANSPOSES = {"alexey_yolov3_96x96": 3, "alexey_yolov4_96x96": 3, "s_ssd_mobilenet_v1": 9}


def judged(name: str, model: Path) -> Verdict:
    result = verdict(name, model, tflite=name not in WITHOUT_TFLITE)
    assert result.passed, result
    assert result.transposes <= TRANSPOSES.get(name, 3), result
    return result


@pytest.mark.parametrize("name", DARKNET)
def test_darknet(name: str, data: Path, tmp_path: Path) -> None:
    result = judged(name, onnx_of(name, tmp_path))
    assert not result.refusal


@pytest.mark.parametrize("name", ["s_ssd_mobilenet_v1"])
def test_tensorflow_zoo(name: str, exported: Exports) -> None:
    judged(name, exported.onnx(name).model)
