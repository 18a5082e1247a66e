"""A Darknet cfg as a PyTorch network that can be trained, and its weights as a Darknet file.

Only what the cfg of shapes-tiny needs. This is for training: to run or to convert a detector, zoo has other rooms.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zoo.base.errors import UsageError
from zoo.base.files import atomic_file
from zoo.darknet.layers import Convolutional, Layer, Pool, Route, Shortcut, Upsample, Yolo
from zoo.darknet.network import Network
from zoo.shapes.evaluate import Detector

VERSION = (0, 2, 5)  # what AlexeyAB's program writes into the header: `seen` has 64 bits
LEAKY_SLOPE = 0.1


class Trainable(nn.Module):
    """The network of a cfg; `heads` are its yolo layers."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.heads = [layer for layer in network.layers if isinstance(layer, Yolo)]
        self.convolutions = nn.ModuleDict(
            {str(layer.index): _convolution(layer) for layer in network.layers if isinstance(layer, Convolutional)}
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """float32 [N, 3, H, W] in 0..1 → for each head what enters it, [N, anchors, h, w, 5 + classes]."""
        outputs: list[Tensor] = []
        for layer in self.network.layers:
            inputs = [images if source < 0 else outputs[source] for source in layer.sources]
            outputs.append(self._run(layer, inputs))
        return [_by_anchor(outputs[head.index], head) for head in self.heads]

    def _run(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        match layer:
            case Convolutional():
                result: Tensor = self.convolutions[str(layer.index)](inputs[0])
                return result
            case Pool(size=2, stride_x=2, stride_y=2):
                return functional.max_pool2d(inputs[0], 2, ceil_mode=True)
            case Route(groups=1):
                return torch.cat(inputs, dim=1)
            case Shortcut(activation="linear"):
                return inputs[0] + inputs[1]
            case Upsample(reverse=False, scale=1.0):
                return functional.interpolate(inputs[0], scale_factor=layer.stride, mode="nearest")
            case Yolo(new_coords=False):
                return inputs[0]
            case _:
                where = self.network.cfg.where(layer.line)
                raise UsageError(
                    f"{where}: expected a layer of shapes-tiny, found [{layer.type}] that cannot be trained"
                )


def decode(raw: Tensor, head: Yolo, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """What enters a head → boxes [N, anchors, h, w, 4] (centre x, y, width, height relative to the input), and the
    logits of objectness [..., 1] and classes [..., C]."""
    y, x = torch.meshgrid(torch.arange(raw.shape[2]), torch.arange(raw.shape[3]), indexing="ij")
    cells = torch.tensor([raw.shape[3], raw.shape[2]])
    offset = head.scale_x_y * raw[..., :2].sigmoid() - (head.scale_x_y - 1) / 2
    anchors = torch.tensor(head.anchors)[:, None, None] / torch.tensor([width, height])
    centre = (offset + torch.stack([x, y], dim=-1)) / cells
    return torch.cat([centre, raw[..., 2:4].exp() * anchors], dim=-1), raw[..., 4:5], raw[..., 5:]


def as_detector(model: Trainable) -> Detector:
    """The trained network as what zoo.shapes.evaluate judges: boxes in Darknet's order, which is cell by cell, and in
    each cell anchor by anchor."""
    net = model.network.net

    def detector(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        boxes, scores = [], []
        with torch.no_grad():
            for raw, head in zip(model(torch.from_numpy(images)), model.heads, strict=True):
                box, objectness, classes = decode(raw, head, net.width, net.height)
                boxes.append(_in_order(box))
                scores.append(_in_order(objectness.sigmoid() * classes.sigmoid()))
        return torch.cat(boxes, dim=1).numpy(), torch.cat(scores, dim=1).numpy()

    return detector


def write_weights(model: Trainable, path: Path, seen: int) -> None:
    """Write a Darknet weights file; `seen` counts the pictures of the training."""
    with atomic_file(path) as file:
        file.write(struct.pack("<iiiQ", *VERSION, seen))
        for stage in model.convolutions.values():
            for tensor in _stored(stage):
                file.write(tensor.detach().numpy().astype("<f4").tobytes())


def _convolution(layer: Convolutional) -> nn.Sequential:
    """Convolution, then batch norm and leaky relu where the cfg has them; Darknet's epsilon is PyTorch's."""
    channels = layer.input_shape[0]
    stages: list[nn.Module] = [
        nn.Conv2d(channels, layer.filters, layer.size, layer.stride_x, layer.padding, bias=not layer.batch_normalize)
    ]
    if layer.batch_normalize:
        stages.append(nn.BatchNorm2d(layer.filters, eps=1e-5))
    if layer.activation == "leaky":
        stages.append(nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
    return nn.Sequential(*stages)


def _stored(stage: nn.Module) -> list[Tensor]:
    """The tensors of one convolution in the file's order: bias, scale, mean, variance, kernel."""
    convolution, *rest = stage.children()
    values = dict(convolution.named_parameters())
    if rest:
        norm = rest[0]
        return [
            *(dict(norm.state_dict())[k] for k in ("bias", "weight", "running_mean", "running_var")),
            values["weight"],
        ]
    return [values["bias"], values["weight"]]


def _by_anchor(raw: Tensor, head: Yolo) -> Tensor:
    n, _, h, w = raw.shape
    return raw.reshape(n, len(head.anchors), 5 + head.classes, h, w).permute(0, 1, 3, 4, 2)


def _in_order(values: Tensor) -> Tensor:
    """[N, anchors, h, w, V] → [N, h · w · anchors, V]."""
    return values.permute(0, 2, 3, 1, 4).flatten(1, 3)
