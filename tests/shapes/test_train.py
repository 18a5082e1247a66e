"""The training learns, and what it writes is what Darknet's semantics make of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.base.errors import UsageError
from zoo.darknet import Network, read_network, read_weights
from zoo.shapes import CFG
from zoo.shapes.anchors import cluster
from zoo.shapes.draw import Scene, draw_scene
from zoo.shapes.loss import Truth, Weighting, ciou, iou, yolo_loss
from zoo.shapes.network import Trainable, as_detector, write_weights
from zoo.shapes.train import draw_pool, train, vary
from zoo.verify.reference.darknet import interpret
from zoo.verify.reference.decode import decode


@pytest.fixture(scope="module")
def network() -> Network:
    return read_network(CFG)


def short(folder: Path, batches: int) -> Network:
    """The network with a training of a few small batches, on smaller pictures."""
    text = CFG.read_text()
    for key, value in {"max_batches": batches, "batch": 4, "burn_in": 5, "width": 64, "height": 64}.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key}="))
        text = text.replace(f"{old}\n", f"{key}={value}\n", 1)
    path = folder / "short.cfg"
    path.write_text(text)
    return read_network(path)


def truth_of(scenes: list[Scene]) -> Truth:
    boxes, classes = torch.zeros(len(scenes), 8, 4), torch.full((len(scenes), 8), -1)
    for row, scene in enumerate(scenes):
        boxes[row, : len(scene.boxes)] = torch.from_numpy(scene.boxes)
        classes[row, : len(scene.classes)] = torch.from_numpy(scene.classes)
    return Truth(boxes, classes)


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    network = short(tmp_path, 60)
    pool = draw_pool(network, 4)
    images = torch.from_numpy(np.stack([scene.pixels for scene in pool]).transpose(0, 3, 1, 2) / np.float32(255))

    def loss(model: Trainable) -> float:
        with torch.no_grad():
            return float(yolo_loss(model, model(images), truth_of(pool), Weighting(0.7, 0.4, 2.0)))

    torch.manual_seed(1)
    before = loss(Trainable(network).eval())
    model, seen = train(network, pool, 1)
    assert seen == 60 * 4
    assert loss(model) < before / 2


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    network = short(tmp_path, 5)
    pool = draw_pool(network, 4)
    files = []
    for number, seed in enumerate((1, 1, 2)):
        write_weights(train(network, pool, seed)[0], tmp_path / f"{number}.weights", 20)
        files.append((tmp_path / f"{number}.weights").read_bytes())
    assert files[0] == files[1] != files[2]


def test_the_written_weights_mean_the_same_to_the_float64_interpreter(network: Network, tmp_path: Path) -> None:
    """The network as trained, and the file read back by rooms that share no code with it."""
    torch.manual_seed(0)
    model = Trainable(network).eval()
    for name, value in model.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")):
            torch.nn.init.uniform_(value, 0.2, 0.6)
    write_weights(model, tmp_path / "random.weights", 12345)
    weights = read_weights(tmp_path / "random.weights", network)
    assert (weights.header.major, weights.header.minor, weights.header.revision) == (0, 2, 5)
    assert weights.header.seen == 12345
    images = np.random.default_rng(0).uniform(size=(2, 3, 160, 160)).astype(np.float32)
    expected = decode(network, interpret(network, weights, images))
    for found, wanted in zip(as_detector(model)(images), expected, strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-4
    assert np.std(expected[1]) > 1e-3


def test_a_cfg_that_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.cfg"
    path.write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n[softmax]\n"
    )
    with pytest.raises(UsageError, match=r"other\.cfg:9.*\[softmax\]"):
        Trainable(read_network(path))(torch.zeros(1, 3, 8, 8))


def test_a_prediction_equal_to_the_truth_costs_nearly_nothing(network: Network) -> None:
    """Fill the maps with the inverse of the decoding, by hand, for one shape in the middle of its cell."""
    model = Trainable(network)
    scene = Scene(
        np.zeros((160, 160, 3), np.uint8), np.array([[8.5 / 20, 4.5 / 20, 24 / 160, 25 / 160]]), np.array([2])
    )
    maps = [torch.full((1, 3, head.output_shape[1], head.output_shape[2], 11), -20.0) for head in model.heads]
    for raw, head, place in ((maps[1], model.heads[1], (4, 8)), (maps[0], model.heads[0], (2, 4))):
        cells = 20 if raw is maps[1] else 10
        for number, anchor in enumerate(head.anchors):
            fraction = np.array([8.5, 4.5]) / 20 * cells % 1
            share = (fraction + (head.scale_x_y - 1) / 2) / head.scale_x_y
            row = raw[0, number, place[0], place[1]]
            row[:2] = torch.from_numpy(np.log(share / (1 - share)))
            row[2:4] = torch.tensor([math.log(24 / anchor[0]), math.log(25 / anchor[1])])
            row[4], row[5 + 2] = 20.0, 20.0
    loss = yolo_loss(model, maps, truth_of([scene]), Weighting(0.7, 0.4, 2.0))
    assert 0 <= float(loss) < 1e-4
    maps[1][0, 1, 4, 8, 5 + 2] = -20.0
    assert float(yolo_loss(model, maps, truth_of([scene]), Weighting(0.7, 0.4, 2.0))) > 1


@pytest.mark.parametrize(
    ("a", "b", "overlap", "complete"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1, 1),
        ((0, 0, 2, 2), (1, 0, 2, 2), 1 / 3, 1 / 3 - 1 / 13),
        ((0, 0, 2, 2), (4, 0, 2, 2), 0, -16 / 40),
        (
            (0, 0, 2, 2),
            (0, 0, 4, 1),
            2 / 6,
            2 / 6 - (v := 4 / math.pi**2 * (math.atan(4) - math.atan(1)) ** 2) ** 2 / (2 / 3 + v),
        ),
    ],
)
def test_overlaps_worked_out_by_hand(
    a: tuple[float, ...], b: tuple[float, ...], overlap: float, complete: float
) -> None:
    first, second = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    assert float(iou(first, second)) == pytest.approx(overlap, abs=1e-8)
    assert float(ciou(first, second)) == pytest.approx(complete, abs=1e-8)


def test_a_varied_picture_keeps_its_boxes() -> None:
    """Paint the boxes into an empty picture: after any variation they are where the varied boxes say."""
    random = np.random.default_rng(5)
    for seed in range(30):
        scene = draw_scene(seed)
        box = np.rint(scene.boxes[:1] * 80) * 2 / 160  # even pixels, so that corners fall on pixels
        pixels = np.zeros_like(scene.pixels)
        pixels[inside(box[0])] = 255
        varied, (moved,) = vary(random, Scene(pixels, box, scene.classes[:1]))
        expected = np.zeros((160, 160), np.float32)
        expected[inside(moved)] = 1
        assert all(np.array_equal(plane, expected) or np.array_equal(1 - plane, expected) for plane in varied)


def inside(box: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[slice, slice]:
    left, top = np.rint((box[:2] - box[2:] / 2) * 160).astype(int)
    right, bottom = np.rint((box[:2] + box[2:] / 2) * 160).astype(int)
    return slice(top, bottom), slice(left, right)


def test_variation_repeats_with_its_seed() -> None:
    one, two = (vary(np.random.default_rng(1), draw_scene(0)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_clustering_finds_well_separated_sizes() -> None:
    random = np.random.default_rng(0)
    wanted = np.array([[10, 20], [40, 40], [90, 60]], float)
    sizes = np.concatenate([size * random.uniform(0.95, 1.05, (50, 2)) for size in wanted])
    assert np.abs(cluster(sizes, 3) / wanted - 1).max() < 0.03


def test_heads_come_in_the_order_of_the_cfg(network: Network) -> None:
    outputs: list[Tensor] = Trainable(network)(torch.zeros(2, 3, 160, 160))
    assert [tuple(output.shape) for output in outputs] == [(2, 3, 10, 10, 11), (2, 3, 20, 20, 11)]
