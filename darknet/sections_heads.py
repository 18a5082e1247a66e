"""The sections that give detections: yolo, Gaussian_yolo, region, detection. Keys and how to build each."""

from __future__ import annotations

from typing import Any, TypeVar

from zoo.darknet.keys import ALEXEY, COUNT, INTEGER, INTEGERS, NUMBER, NUMBERS, SWITCH, TEXT, Key, choice, refused
from zoo.darknet.layers import Detection, GaussianYolo, Head, Layer, Region, Yolo, size_of
from zoo.darknet.place import Place, Spec

MAX_ANCHORS = 1 << 12
H = TypeVar("H", bound=Head)


def _mask(place: Place) -> tuple[int, ...]:
    """The anchors in use, by number."""
    total = place["num"]
    if total > MAX_ANCHORS:
        raise place.error(f"num={total}: expected at most {MAX_ANCHORS}", "num")
    mask: tuple[int, ...] = tuple(range(total)) if place["mask"] is None else place["mask"]
    known = max(total, len(place["anchors"] or ()) // 2)
    wrong = [number for number in mask if not 0 <= number < known]
    if wrong or not mask:
        raise place.error(f"mask: expected anchors from 0 to {known - 1}, found {wrong[:9]}", "mask")
    if max(mask) >= total:
        place.warn(
            "mask", f"uses anchor {max(mask)}, but num={total}: Darknet reads beyond its table, zoo the cfg's list"
        )
    return mask


def _anchors(place: Place, used: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """(width, height) of the used anchors; what `anchors=` does not give is 0.5, as in the program."""
    numbers = place["anchors"] or ()
    if place["anchors"] and len(numbers) < 2 * max(used) + 2:
        place.warn("anchors", f"gives {len(numbers)} numbers, {2 * max(used) + 2} are used: the rest is 0.5")
    padded = (*numbers, *(0.5,) * (2 * max(used) + 2 - len(numbers)))
    return tuple((padded[2 * number], padded[2 * number + 1]) for number in used)


def _head(place: Place, kind: type[H], per_anchor: int, used: tuple[int, ...], **fields: Any) -> H:
    """A head over a map whose channels are `per_anchor` for each anchor."""
    c, h, w = place.image()
    if c != per_anchor * len(used):
        raise place.error(
            f"expected {per_anchor * len(used)} channels ({len(used)} anchors × {per_anchor}), found {c}",
            hint=f"set filters={per_anchor * len(used)} in the layer before, or correct classes and mask",
        )
    shape = (c, h, w)
    return place.make(kind, shape, classes=place["classes"], anchors=_anchors(place, used), **fields)


def _nms(place: Place) -> dict[str, Any]:
    if place.dialect == "pj":
        return {"nms_kind": "default", "beta_nms": 0.6}
    return {"nms_kind": place["nms_kind"], "beta_nms": place["beta_nms"]}


def _yolo(place: Place) -> Layer:
    alexey = place.dialect == "alexey"
    return _head(
        place,
        Yolo,
        5 + place["classes"],
        _mask(place),
        scale_x_y=place["scale_x_y"] if alexey else 1.0,
        new_coords=bool(alexey and place["new_coords"]),
        **_nms(place),
    )


def _gaussian(place: Place) -> Layer:
    fields = {"scale_x_y": place["scale_x_y"], "yolo_point": place["yolo_point"], **_nms(place)}
    return _head(place, GaussianYolo, 9 + place["classes"], _mask(place), **fields)


def _region(place: Place) -> Layer:
    if place["num"] > MAX_ANCHORS:
        raise place.error(f"num={place['num']}: expected at most {MAX_ANCHORS}", "num")
    return _head(
        place,
        Region,
        place["coords"] + 1 + place["classes"],
        tuple(range(place["num"])),
        nms_kind="default",
        beta_nms=0.6,
        coords=place["coords"],
        softmax=bool(place["softmax"]),
        background=False,
        classfix=place["classfix"] if place.dialect == "alexey" else 0,
        tree=place.tree(place["classes"]),
    )


def _detection(place: Place) -> Layer:
    side, num, classes = place["side"], place["num"], place["classes"]
    expected = side * side * (5 * num + classes)
    if size_of(place.shape) != expected:
        raise place.error(f"expected {expected} inputs (side² · (5 · num + classes)), found {size_of(place.shape)}")
    return place.make(
        Detection,
        (expected, 1, 1),
        flat=True,
        classes=classes,
        anchors=(),
        nms_kind="default",
        beta_nms=0.6,
        side=side,
        num=num,
        softmax=bool(place["softmax"]),
        sqrt=bool(place["sqrt"]),
    )


_YOLO_KEYS = (
    Key("classes", COUNT, 20),
    Key("num", COUNT, 1),
    Key("mask", INTEGERS),
    Key("anchors", NUMBERS),
    Key("scale_x_y", NUMBER, 1.0, ALEXEY),
    Key("beta_nms", NUMBER, 0.6, ALEXEY),
)
_YOLO_TRAINING = ("ignore_thresh", "jitter", "map", "max", "random", "truth_thresh")
_ALEXEY_TRAINING = (
    "cls_normalizer",
    "counters_per_class",
    "delta_normalizer",
    "iou_loss",
    "iou_normalizer",
    "iou_thresh",
    "iou_thresh_kind",
    "label_smooth_eps",
    "max_delta",
    "obj_normalizer",
    "objectness_smooth",
    "resize",
)

HEADS = (
    Spec(
        "yolo",
        _yolo,
        (
            *_YOLO_KEYS,
            Key("new_coords", SWITCH, 0, ALEXEY),
            Key("nms_kind", choice("default", "greedynms", "diounms"), "default", ALEXEY),
        ),
        training=_YOLO_TRAINING,
        training_alexey=(
            *_ALEXEY_TRAINING,
            "dets_for_show",
            "dets_for_track",
            "embedding_layer",
            "focal_loss",
            "show_details",
            "sim_thresh",
            "track_ciou_norm",
            "track_history_size",
        ),
        unread=("beta1", "uc_normalizer"),
    ),
    Spec(
        "Gaussian_yolo",
        _gaussian,
        (
            *_YOLO_KEYS,
            Key("nms_kind", choice("default", "greedynms", "diounms", "cornersnms"), "default", ALEXEY),
            Key("yolo_point", choice("center", "left_top", "right_bottom"), "center", ALEXEY),
        ),
        training=_YOLO_TRAINING,
        training_alexey=(*_ALEXEY_TRAINING, "uc_normalizer"),
        dialects=ALEXEY,
    ),
    Spec(
        "region",
        _region,
        (
            Key("classes", COUNT, 20),
            Key("num", COUNT, 1),
            Key("coords", COUNT, 4, only=(4,), reason="a box has four numbers; more were for masks"),
            Key("anchors", NUMBERS),
            Key("softmax", SWITCH, 0),
            Key("tree", TEXT),
            Key("classfix", INTEGER, 0, ALEXEY),
            refused("background", "the layout of the classes would change"),
        ),
        training=(
            "absolute",
            "bias_match",
            "class_scale",
            "coord_scale",
            "jitter",
            "log",
            "map",
            "mask_scale",
            "max",
            "noobject_scale",
            "object_scale",
            "random",
            "rescore",
            "sqrt",
            "thresh",
        ),
        training_alexey=("focal_loss", "resize"),
        training_pj=("classfix",),
    ),
    Spec(
        "detection",
        _detection,
        (
            Key("classes", COUNT, 1),
            Key("coords", COUNT, 1, only=(4,), reason="a box has four numbers"),
            Key("num", COUNT, 1),
            Key("side", COUNT, 7),
            Key("softmax", SWITCH, 0),
            Key("sqrt", SWITCH, 0),
        ),
        training=(
            "class_scale",
            "coord_scale",
            "forced",
            "jitter",
            "max",
            "noobject_scale",
            "object_scale",
            "random",
            "reorg",
            "rescore",
        ),
        training_alexey=("resize",),
    ),
)
