"""Detections with OpenCV alone, from a folder that `zoo convert NAME --to opencv --out FOLDER` wrote.

    python detect.py FOLDER PICTURE

Needs opencv-python and numpy. Prints a line for each detection: class, score, and left, top, width, height in pixels.
`detect` is for models that give boxes and scores before suppression (output.kind is "candidates" in detector.json).
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def detect(folder, picture):
    """[(label, score, [left, top, width, height]), …] of a BGR picture, best first."""
    about = json.loads((folder / "detector.json").read_bytes())
    source, output, limits = about["input"], about["output"], about["thresholds"]
    engines = {"classic": "ENGINE_CLASSIC", "new": "ENGINE_NEW"}  # OpenCV 5 has two, OpenCV 4 has no choice
    chosen = [getattr(cv2.dnn, engines[about["engine"]])] if hasattr(cv2.dnn, "ENGINE_NEW") else []
    net = cv2.dnn.readNetFromONNX(str(folder / about["model"]), *chosen)
    square, shift, scale = fit(picture, source)
    blob = cv2.dnn.blobFromImage(square, source["scale"], mean=source["mean"], swapRB=bool(source["swapRB"]))
    net.setInput(blob)
    names = net.getUnconnectedOutLayersNames()  # OpenCV 4 puts "onnx_node!" before the names
    results = {name.split("!")[-1]: array[0] for name, array in zip(names, net.forward(names), strict=True)}
    boxes, scores = results[output["boxes"]], results[output["scores"]][:, output["background"] :]
    rows, classes = np.nonzero(scores > limits["score"])
    best, size = scores[rows, classes], [source["width"], source["height"]]
    places = (corners(boxes[rows], output["box_format"]) * [*size, *size] - [*shift, 0, 0]) / [*scale, *scale]
    kept = cv2.dnn.NMSBoxesBatched(places, best, classes, limits["score"], limits["nms"])
    return [(label(about, classes[i]), float(best[i]), places[i].round().astype(int).tolist()) for i in kept]


def fit(picture, source):
    """The picture in the network's size, stretched or letterboxed; where it begins there, and its scale (x, y)."""
    height, width = picture.shape[:2]
    size = (source["width"], source["height"])
    if source["resize"] == "stretch":
        return cv2.resize(picture, size), (0, 0), (size[0] / width, size[1] / height)
    scale = min(size[0] / width, size[1] / height)
    corner = source["place"] == "corner"
    whole = round if corner else int  # as TensorFlow's resizers do, as Darknet does
    inner = (whole(width * scale), whole(height * scale))
    free = (size[0] - inner[0], size[1] - inner[1])
    left, top = (0, 0) if corner else (free[0] // 2, free[1] // 2)
    edges = (top, free[1] - top, left, free[0] - left)
    square = cv2.copyMakeBorder(cv2.resize(picture, inner), *edges, cv2.BORDER_CONSTANT, value=source["pad"][::-1])
    return square, (left, top), (inner[0] / width, inner[1] / height)


def corners(boxes, box_format):
    """Relative left, top, width, height."""
    if box_format == "cxcywh":
        return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    top, left, bottom, right = boxes.T
    return np.stack([left, top, right - left, bottom - top], axis=1)


def label(about, number):
    """The class's name, or its number where the model came without names."""
    return about["labels"][number] if number < len(about["labels"]) else str(number)


if __name__ == "__main__":
    for name, score, box in detect(Path(sys.argv[1]), cv2.imread(sys.argv[2])):
        print(name, f"{score:.3f}", *box)
