"""Trains shapes-tiny on drawn pictures: `python -m zoo.shapes.train --out FOLDER` (needs PyTorch).

The recipe (batches, learning rate, loss) stands in the cfg. The same seed on the same machine and versions gives the
same weights; zoo.shapes.evaluate then judges them on other pictures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.base.optional import require
from zoo.darknet import Network, read_network
from zoo.shapes import CFG, WEIGHTS
from zoo.shapes.draw import MOST_SHAPES, Scene, draw_scene
from zoo.shapes.evaluate import evaluate, print_precision

if TYPE_CHECKING:
    from zoo.shapes.network import Trainable

PICTURES = 10_000  # drawn once; each is turned, mirrored and recoloured anew every time it is shown
THREADS = 1  # on a busy machine several wait for one another; and the sums, so the weights, keep their order
REPORT = 100  # batches from one line of progress to the next

# Images [N, 3, H, W] in 0..1, boxes [N, M, 4] and classes [N, M], as `loss.Truth` has them.
Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def train(network: Network, pool: Sequence[Scene], seed: int) -> tuple[Trainable, int]:
    """Train a network from nothing; returns it, ready to evaluate, and how many pictures it was shown."""
    torch = require("torch", "training shapes-tiny")
    from zoo.shapes.loss import Truth, Weighting, yolo_loss
    from zoo.shapes.network import Trainable

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    recipe = _numbers(network, 0, ("batch", "max_batches", "burn_in", "learning_rate", "decay"))
    weighting = Weighting(**_numbers(network, network.heads[0].index + 1, [field.name for field in fields(Weighting)]))
    steps, batch = int(recipe["max_batches"]), int(recipe["batch"])
    model = Trainable(network)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=recipe["decay"])
    start = time.monotonic()
    for step, (images, boxes, classes) in enumerate(_batches(pool, batch, steps, seed)):
        optimizer.param_groups[0]["lr"] = _learning_rate(recipe, step)
        outputs = model(torch.from_numpy(images).contiguous(memory_format=torch.channels_last))
        loss = yolo_loss(model, outputs, Truth(torch.from_numpy(boxes), torch.from_numpy(classes)), weighting)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step % REPORT == REPORT - 1:
            seconds = time.monotonic() - start
            print(f"batch {step + 1} of {steps}   loss {loss.item():.3f}   {seconds:.0f} s", flush=True)
    return model.eval(), steps * batch


def draw_pool(network: Network, pictures: int) -> list[Scene]:
    """The pictures of the seeds 0, 1, 2, … in the size of the network's input."""
    return [draw_scene(seed, network.net.width, network.net.height) for seed in range(pictures)]


def _numbers(network: Network, section: int, keys: Sequence[str]) -> dict[str, float]:
    """Keys of a section of the cfg (0 is [net]) that steer the training, and so are in no layer."""
    options = network.cfg.sections[section].options
    return {key: float(options[key].value) for key in keys}


def _learning_rate(recipe: dict[str, float], step: int) -> float:
    """Darknet's policy "sgdr" of one cycle: up over `burn_in` batches, then down along a cosine."""
    ramp = min(1.0, (step + 1) / recipe["burn_in"])
    return recipe["learning_rate"] * ramp * (1 + math.cos(math.pi * step / recipe["max_batches"])) / 2


def _batches(pool: Sequence[Scene], batch: int, steps: int, seed: int) -> Iterator[Batch]:
    random = np.random.Generator(np.random.PCG64(seed))
    order = _endless_order(random, len(pool))
    height, width, _ = pool[0].pixels.shape
    for _ in range(steps):
        images = np.empty((batch, 3, height, width), np.float32)
        boxes = np.zeros((batch, MOST_SHAPES, 4), np.float32)
        classes = np.full((batch, MOST_SHAPES), -1, np.int64)
        for row in range(batch):
            scene = pool[next(order)]
            images[row], boxes[row, : len(scene.boxes)] = vary(random, scene)
            classes[row, : len(scene.classes)] = scene.classes
        yield images, boxes, classes


def _endless_order(random: np.random.Generator, count: int) -> Iterator[int]:
    while True:
        yield from random.permutation(count).tolist()


def vary(random: np.random.Generator, scene: Scene) -> tuple[NDArray[Any], NDArray[Any]]:
    """The picture [3, H, W] in 0..1 and its boxes, mirrored, transposed and recoloured at random.

    Every label stays true under these: no shape changes its name when it is turned or has another colour.
    """
    pixels, boxes = scene.pixels.transpose(2, 0, 1), scene.boxes
    mirror_x, mirror_y, transpose, negative = random.integers(0, 2, 4).astype(bool)
    if mirror_x:
        pixels, boxes = pixels[:, :, ::-1], np.abs(boxes - [1, 0, 0, 0])
    if mirror_y:
        pixels, boxes = pixels[:, ::-1], np.abs(boxes - [0, 1, 0, 0])
    if transpose:
        pixels, boxes = pixels.transpose(0, 2, 1), boxes[:, [1, 0, 3, 2]]
    if negative:
        pixels = 255 - pixels
    return pixels[random.permutation(3)] / np.float32(255), boxes


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Train shapes-tiny and write {WEIGHTS.name}.")
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {WEIGHTS.name}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cfg", type=Path, default=CFG)
    arguments = parser.parse_args()
    require("torch", "training shapes-tiny")
    from zoo.shapes.network import as_detector, write_weights

    network = read_network(arguments.cfg)
    model, seen = train(network, draw_pool(network, PICTURES), arguments.seed)
    write_weights(model, arguments.out / WEIGHTS.name, seen)
    print_precision(evaluate(as_detector(model)))


if __name__ == "__main__":
    main()
