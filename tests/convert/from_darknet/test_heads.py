"""Heads: what Darknet holds (raw), boxes and scores (decoded), against the programs' loops in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.convert.from_darknet.running import Array, convert, execute, noise
from tests.darknet.toys import write_cfg
from zoo.base.errors import ConversionError, UsageError

F64 = NDArray[np.float64]
W, H, A, C = 3, 2, 2, 4  # cells, anchors, classes
ANCHORS = ((1.5, 2.0), (3.0, 1.25))
HEAD = f"anchors=1.5,2, 3,1.25\nclasses={C}\nnum={A}\n"
SAME = "[upsample]\nstride=1\n"


def sigmoid(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


def softmax(x: F64) -> F64:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    result: F64 = e / e.sum(axis=-1, keepdims=True)
    return result


def run(folder: Path, body: str, x: Array, dialect: str = "alexey", **options: Any) -> dict[str, Array]:
    _, c, h, w = x.shape
    return execute(convert(write_cfg(folder, body, w=w, h=h, c=c), dialect, **options)[0], {"images": x})


def maps(entries: int) -> tuple[Array, F64]:
    """A batch of two inputs, and the same as [N, A, entries, H, W] in float64."""
    x = noise(2, A * entries, H, W)
    return x, x.astype(np.float64).reshape(2, A, entries, H, W)


def places(anchor_major: bool = False) -> Iterator[tuple[int, int, int]]:
    """(anchor, row, column) in the order in which the program walks its boxes."""
    if anchor_major:
        yield from ((a, i, j) for a in range(A) for i in range(H) for j in range(W))
    else:
        yield from ((a, i, j) for i in range(H) for j in range(W) for a in range(A))


def close(found: Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("scale", [1.0, 1.2])
@pytest.mark.parametrize("new_coords", [False, True])
def test_yolo(tmp_path: Path, scale: float, new_coords: bool) -> None:
    x, v = maps(5 + C)
    body = f"{SAME}[yolo]\n{HEAD}scale_x_y={scale}\nnew_coords={int(new_coords)}\n"
    held = v.copy()
    if not new_coords:
        held[:, :, :2], held[:, :, 4:] = sigmoid(v[:, :, :2]), sigmoid(v[:, :, 4:])
    held[:, :, :2] = held[:, :, :2] * scale - (scale - 1) / 2
    close(run(tmp_path, body, x, heads="raw")["001_yolo"], held.reshape(x.shape))
    boxes, scores = [], []
    for a, i, j in places():
        e = held[:, a, :, i, j]
        size = (2 * e[:, 2:4]) ** 2 if new_coords else np.exp(e[:, 2:4])
        side = size * np.asarray(ANCHORS[a]) / (W, H)  # the net's size is the map's here
        boxes.append([(j + e[:, 0]) / W, (i + e[:, 1]) / H, side[:, 0], side[:, 1]])
        scores.append(e[:, 4:5] * e[:, 5:])
    decoded = run(tmp_path, body, x)
    close(decoded["boxes"], np.transpose(boxes, (2, 0, 1)))
    close(decoded["scores"], np.transpose(scores, (1, 0, 2)))
    dynamic = run(tmp_path, body, x, dynamic_size=True)
    close(dynamic["boxes"], decoded["boxes"])
    close(dynamic["scores"], decoded["scores"])


@pytest.mark.parametrize("point", ["center", "left_top", "right_bottom"])
def test_gaussian_yolo(tmp_path: Path, point: str) -> None:
    x, v = maps(9 + C)
    body = f"{SAME}[Gaussian_yolo]\n{HEAD}scale_x_y=1.1\nyolo_point={point}\n"
    held = sigmoid(v)
    held[:, :, [4, 6]] = v[:, :, [4, 6]]
    held[:, :, [0, 2]] = held[:, :, [0, 2]] * 1.1 - 0.05
    close(run(tmp_path, body, x, heads="raw")["001_Gaussian_yolo"], held.reshape(x.shape))
    boxes, scores = [], []
    for a, i, j in places():
        e = held[:, a, :, i, j]
        w, h = np.exp(e[:, 4]) * ANCHORS[a][0] / W, np.exp(e[:, 6]) * ANCHORS[a][1] / H
        sign = {"center": 0, "left_top": 0.5, "right_bottom": -0.5}[point]
        boxes.append([(j + e[:, 0]) / W + sign * w, (i + e[:, 2]) / H + sign * h, w, h])
        trust = 1 - e[:, [1, 3, 5, 7]].mean(axis=1, keepdims=True)
        scores.append(e[:, 8:9] * e[:, 9:] * trust)
    decoded = run(tmp_path, body, x)
    close(decoded["boxes"], np.transpose(boxes, (2, 0, 1)))
    close(decoded["scores"], np.transpose(scores, (1, 0, 2)))


@pytest.mark.parametrize("dialect", ["alexey", "pj"])
@pytest.mark.parametrize("with_softmax", [True, False])
def test_region(tmp_path: Path, dialect: str, with_softmax: bool) -> None:
    x, v = maps(5 + C)
    body = f"{SAME}[region]\n{HEAD}softmax={int(with_softmax)}\n"
    turned = v.transpose(0, 3, 4, 1, 2)  # N, H, W, A, entries
    xy, classes = sigmoid(turned[..., :2]), turned[..., 5:]
    if with_softmax:
        classes = softmax(classes)
    elif dialect == "pj":
        classes = sigmoid(classes)
    objectness = sigmoid(turned[..., 4:5])
    held = np.concatenate([turned[..., :2] if dialect == "alexey" else xy, turned[..., 2:4], objectness, classes], -1)
    expected = held if dialect == "alexey" else held.transpose(0, 3, 4, 1, 2)
    close(run(tmp_path, body, x, dialect, heads="raw")["001_region"], expected.reshape(x.shape))
    boxes, scores = [], []
    for a, i, j in places(anchor_major=dialect == "pj"):
        side = np.exp(turned[:, i, j, a, 2:4]) * np.asarray(ANCHORS[a]) / (W, H)
        boxes.append([(j + xy[:, i, j, a, 0]) / W, (i + xy[:, i, j, a, 1]) / H, side[:, 0], side[:, 1]])
        scores.append(objectness[:, i, j, a] * classes[:, i, j, a])
    decoded = run(tmp_path, body, x, dialect)
    close(decoded["boxes"], np.transpose(boxes, (2, 0, 1)))
    close(decoded["scores"], np.transpose(scores, (1, 0, 2)))


PARENTS = (-1, -1, 0, 0)
GROUPS = ((0, 2), (2, 4))


def hierarchy(values: F64) -> F64:
    """Softmax for each group of siblings of the last axis."""
    return np.concatenate([softmax(values[..., a:b]) for a, b in GROUPS], axis=-1)


@pytest.mark.parametrize("dialect", ["alexey", "pj"])
def test_region_with_a_hierarchy(tmp_path: Path, dialect: str) -> None:
    (tmp_path / "x.tree").write_text("".join(f"n{i} {p}\n" for i, p in enumerate(PARENTS)))
    x = noise(2, A * 9, H, W, seed=5) * 4
    v = x.astype(np.float64).reshape(2, A, 9, H, W)
    decoded = run(tmp_path, f"{SAME}[region]\n{HEAD}softmax=1\ntree=x.tree\n", x, dialect, score_threshold=0.3)
    kinds = set()
    for n in range(2):
        for number, (a, i, j) in enumerate(places(anchor_major=dialect == "pj")):
            objectness = sigmoid(v[n, a, 4, i, j])
            p = hierarchy(v[n, a, 5:, i, j])
            for child, parent in enumerate(PARENTS):  # hierarchy_predictions
                p[child] *= p[parent] if parent >= 0 else 1
            expected = np.zeros(C)
            if dialect == "alexey":
                found = [child for child in range(C) if p[child] > 0.5]
                if found and objectness > 0.3:
                    expected[found[-1]] = p[found[-1]]
                kinds.add(found[-1] if found else -1)
            else:
                chosen = _walk(p)
                expected[chosen] = objectness
                kinds.add(chosen)
            assert np.abs(decoded["scores"][n, number] - expected).max() < 1e-5
    assert len(kinds) >= 3  # the inputs reach different depths


def _walk(p: F64) -> int:
    """hierarchy_top_prediction with threshold 0.5, as pjreddie's program walks it."""
    total, group, parent = 1.0, GROUPS[0], -1
    while True:
        best = max(range(*group), key=lambda child: p[child])
        if total * p[best] > 0.5:
            total *= p[best]
            if best != 0:  # only class 0 has children
                return best
            group, parent = GROUPS[1], best
        else:
            return best if parent < 0 else parent


def test_raw_region_with_a_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "x.tree").write_text("".join(f"n{i} {p}\n" for i, p in enumerate(PARENTS)))
    x, v = maps(5 + C)
    body = f"{SAME}[region]\n{HEAD}tree=x.tree\n"
    classes = hierarchy(v[:, :, 5:].transpose(0, 1, 3, 4, 2))
    pj = run(tmp_path, body, x, "pj", heads="raw")["001_region"].reshape(v.shape)
    assert np.abs(pj[:, :, 5:] - classes.transpose(0, 1, 4, 2, 3)).max() < 1e-6
    alexey = run(tmp_path, body, x, "alexey", heads="raw")["001_region"].reshape(2, H, W, A, 9)
    assert np.abs(alexey[..., 5:] - classes.transpose(0, 2, 3, 1, 4)).max() < 1e-6


@pytest.mark.parametrize(("options", "power"), [("", 1), ("sqrt=1\nsoftmax=1\n", 2)])
def test_detection(tmp_path: Path, options: str, power: int) -> None:
    side, num = 2, 3
    cells = side * side
    x = noise(2, cells * (C + 5 * num), 1, 1)
    v = x.astype(np.float64).reshape(2, -1)
    body = f"[detection]\nclasses={C}\ncoords=4\nnum={num}\nside={side}\n{options}"
    classes = v[:, : cells * C].reshape(2, cells, C)
    classes = softmax(classes) if "softmax" in options else classes
    held = np.concatenate([classes.reshape(2, -1), v[:, cells * C :]], axis=1)
    close(run(tmp_path, body, x, heads="raw")["000_detection"], held)
    objectness = v[:, cells * C : cells * (C + num)].reshape(2, cells, num)
    b = v[:, cells * (C + num) :].reshape(2, cells, num, 4)
    boxes, scores = [], []
    for cell in range(cells):
        for n in range(num):
            centre = [(b[:, cell, n, 0] + cell % side) / side, (b[:, cell, n, 1] + cell // side) / side]
            boxes.append([*centre, b[:, cell, n, 2] ** power, b[:, cell, n, 3] ** power])
            scores.append(objectness[:, cell, n, None] * classes[:, cell])
    decoded = run(tmp_path, body, x)
    close(decoded["boxes"], np.transpose(boxes, (2, 0, 1)))
    close(decoded["scores"], np.transpose(scores, (1, 0, 2)))


def test_several_heads_follow_each_other(tmp_path: Path) -> None:
    x, _ = maps(5 + C)
    first, second = f"[yolo]\n{HEAD}", f"[route]\nlayers=0\n[yolo]\n{HEAD}scale_x_y=1.1\n"
    both = run(tmp_path, f"{SAME}{first}{second}", x)
    alone = [run(tmp_path, f"{SAME}{part}", x) for part in (first, second)]
    for name in ("boxes", "scores"):
        close(both[name], np.concatenate([part[name] for part in alone], axis=1))


def test_heads_of_two_kinds_are_joined(tmp_path: Path) -> None:
    x = noise(1, A * 9, H, W)
    body = f"{SAME}[yolo]\n{HEAD}[route]\nlayers=0\n[yolo]\nnew_coords=1\n{HEAD}"
    assert run(tmp_path, body, x)["boxes"].shape == (1, 2 * A * H * W, 4)


def test_heads_with_other_classes_are_refused(tmp_path: Path) -> None:
    x, _ = maps(5 + C)
    other = "[route]\nlayers=0\n[yolo]\nclasses=13\nnum=1\nanchors=1,1\n"
    with pytest.raises(ConversionError, match="classes=13: expected as many as in the first head, 4"):
        run(tmp_path, f"{SAME}[yolo]\n{HEAD}{other}", x)


def test_a_fixed_size_layer_refuses_a_dynamic_size(tmp_path: Path) -> None:
    x, _ = maps(5 + C)
    body = "[crop]\ncrop_width=3\ncrop_height=2\n"
    with pytest.raises(ConversionError, match=r"layer 0 \[crop\]: needs a fixed height and width"):
        run(tmp_path, f"{body}[yolo]\n{HEAD}", x, dynamic_size=True)


def test_a_dynamic_size_takes_other_sizes(tmp_path: Path) -> None:
    body = f"[convolutional]\nfilters=18\nsize=3\npad=1\nactivation=mish\n[maxpool]\nstride=2\n[yolo]\n{HEAD}"
    model, _ = convert(write_cfg(tmp_path, body, w=8, h=6), dynamic_size=True)
    fixed, _ = convert(write_cfg(tmp_path, body, w=10, h=4))
    x = noise(1, 3, 4, 10)
    found, expected = execute(model, {"images": x}), execute(fixed, {"images": x})
    for name in ("boxes", "scores"):
        close(found[name], expected[name])


def test_nms_needs_a_detector(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nms needs a detector"):
        run(tmp_path, "[avgpool]\n", noise(1, 3, 2, 2), nms=True)
