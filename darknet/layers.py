"""The layers of a network as typed values: resolved, checked, and ready for whoever computes or converts them.

One frozen dataclass for each section type. Shapes are (channels, height, width); a vector of n values is (n, 1, 1) and
has `flat` set: Darknet refuses to treat it as an image. `sources` are the layers whose outputs the layer reads, in
order; -1 is the network's input. What each layer computes is said beside its fields where the name does not say it.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.darknet.tree import Tree

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """What every layer has. `type` is the section's canonical name, `line` the line of its heading in the cfg."""

    index: int
    type: str
    line: int
    sources: tuple[int, ...]
    input_shape: Shape
    output_shape: Shape
    flat: bool


@dataclass(frozen=True)
class Convolutional(Layer):
    """Kernel [filters, channels / groups, size, size]; then batch norm or bias, then the activation.

    `padding` is in cells of the undilated kernel: the program pads padding · dilation on every side. `share` is the
    layer whose weights (batch norm included) are used. With `xnor` each filter becomes ± its mean absolute value
    and the input ± 1. With `antialiasing` (1: 3×3 binomial, padding 1; 2: 2×2 mean, no padding) the convolution
    runs with stride 1 and the blur after the activation has `stride_x`, `stride_y`. `flipped` says the file
    holds the kernel transposed.
    """

    filters: int
    size: int
    stride_x: int
    stride_y: int
    padding: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str
    share: int | None
    xnor: bool
    antialiasing: int
    flipped: bool


@dataclass(frozen=True)
class Deconvolutional(Layer):
    """Transposed convolution; kernel [channels, filters, size, size]."""

    filters: int
    size: int
    stride: int
    padding: int
    batch_normalize: bool
    activation: str


@dataclass(frozen=True)
class Local(Layer):
    """A convolution with its own kernel at every place: [height, width, filters, channels, size, size]; `pad` is
    the padding of the input, in cells."""

    filters: int
    size: int
    stride: int
    pad: int
    activation: str


@dataclass(frozen=True)
class Pool(Layer):
    """maxpool and local_avgpool: `padding` is the total; padding // 2 of it lies left and above.

    Outside is −infinity for the maximum, and not counted in the average. `depth` pools over channels instead: output
    channel g is the maximum of the channels g, g + depth, g + 2·depth, … (0: off). `antialiasing` as in Convolutional.
    """

    size: int
    stride_x: int
    stride_y: int
    padding: int
    depth: int
    antialiasing: int


@dataclass(frozen=True)
class Connected(Layer):
    """Weights [output, input]; then batch norm or bias (pj), or batch norm and bias (alexey: the same thing)."""

    output: int
    batch_normalize: bool
    activation: str


@dataclass(frozen=True)
class Batchnorm(Layer):
    """(x − mean) / deviation · scale + bias for each channel. pj's file has no bias: it is 0 there."""

    has_bias: bool


@dataclass(frozen=True)
class Normalization(Layer):
    """Local response normalisation over a sliding window of channels, as the program slides it:
    n[0] = kappa + alpha · Σ x²[0 … size/2 − 1];
    n[k] = n[k − 1] − alpha · x²[k − (size − 1)/2 − 1] + alpha · x²[k + size/2], terms outside left out;
    y = x · n^(−beta)."""

    size: int
    alpha: float
    beta: float
    kappa: float


@dataclass(frozen=True)
class Route(Layer):
    """Concatenation of slice `group_id` of `groups` of the channels of every source."""

    groups: int
    group_id: int


@dataclass(frozen=True)
class Shortcut(Layer):
    """The previous layer (`sources[0]`) plus the others.

    alexey: the first min(c) channels are added (flat elements where sizes differ: they agree in height and width).
    pj: out = alpha · out + beta · from on the common channels, subsampling or scattering where the strides differ.
    `weights_type` "none", "per_feature" (one weight for each source) or "per_channel"; `weights_normalization` "none",
    "relu" or "softmax" over the sources.
    """

    activation: str
    weights_type: str
    weights_normalization: str
    alpha: float
    beta: float


@dataclass(frozen=True)
class Scale(Layer):
    """scale_channels: `sources[1]` times the previous layer, which is 1×1×c, or with the key `scale_wh` h×w×1."""

    activation: str


@dataclass(frozen=True)
class Sam(Layer):
    """`sources[1]` times the previous layer, element by element."""

    activation: str


@dataclass(frozen=True)
class Upsample(Layer):
    """Nearest neighbour times `scale`; with `reverse` the sum over stride × stride windows times `scale`."""

    stride: int
    reverse: bool
    scale: float


@dataclass(frozen=True)
class Reorg(Layer):
    """reorg is an index scramble over the *input's* dimensions, reorg3d a space-to-depth with the offset major.

    With (w, h, c) the input (reorg) or the output (reorg3d) and k' = c / stride²: element (i, j, k) of a w×h×c block is
    paired with element (i·stride + o % stride, j·stride + o / stride, k % k'), o = k / k', of a block
    w·stride × h·stride × k'. `flatten` (pj) reorders to cells × channels; `extra` (pj) appends that many zeros.
    """

    stride: int
    reverse: bool
    flatten: bool
    extra: int


@dataclass(frozen=True)
class Crop(Layer):
    """Centre crop, offsets rounded down; then 2·x − 1 unless `noadjust`."""

    noadjust: bool


@dataclass(frozen=True)
class Passing(Layer):
    """dropout, cost, empty, contrastive: at inference the values pass (contrastive: zeros come out)."""


@dataclass(frozen=True)
class Avgpool(Layer):
    """The mean over the whole map."""


@dataclass(frozen=True)
class L2norm(Layer):
    """Each place's channels divided by their Euclidean norm."""


@dataclass(frozen=True)
class Activation(Layer):
    """activation and logistic: the activation alone."""

    activation: str


@dataclass(frozen=True)
class Implicit(Layer):
    """A learned constant [filters, atoms, 1]; reads nothing."""


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax of x / temperature over `groups` contiguous chunks, or over each sibling group of `tree`."""

    groups: int
    temperature: float
    tree: Tree | None


@dataclass(frozen=True)
class Rnn(Layer):
    """state' = activation(input) + self(state) (+ state with `shortcut`); output = activation(state').

    `self_activation` is the recurrent product's own activation. State: [hidden], between calls.
    """

    hidden: int
    output: int
    batch_normalize: bool
    activation: str
    self_activation: str
    shortcut: bool


@dataclass(frozen=True)
class Crnn(Layer):
    """An Rnn of convolutions. State: [hidden, height, width], between calls."""

    hidden: int
    output: int
    size: int
    padding: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str
    shortcut: bool


@dataclass(frozen=True)
class Gru(Layer):
    """z, r = logistic(input + state); h = candidate(input + r·state), logistic unless `tanh`;
    state' = z·state + (1 − z)·h. State: [output], between calls."""

    output: int
    batch_normalize: bool
    tanh: bool


@dataclass(frozen=True)
class Lstm(Layer):
    """c' = f·c + i·g; h' = o·tanh(c'). State: c and h, [output] each, between calls."""

    output: int
    batch_normalize: bool


@dataclass(frozen=True)
class ConvLstm(Layer):
    """An Lstm of convolutions, `activation` after each of them; with `peephole` f, i read c and o reads c'. c' is then
    limited to ± `state_constrain`. State: c and h, [output, height, width] each, between calls."""

    output: int
    size: int
    padding: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str
    peephole: bool
    state_constrain: float


@dataclass(frozen=True)
class Head(Layer):
    """What gives detections. `anchors` are the (width, height) pairs in use, after the mask, in the cfg's unit
    (yolo: pixels of the network's input; region: cells)."""

    classes: int
    anchors: tuple[tuple[float, float], ...]
    nms_kind: str
    beta_nms: float


@dataclass(frozen=True)
class Yolo(Head):
    """Per anchor x, y, w, h, objectness, classes."""

    scale_x_y: float
    new_coords: bool


@dataclass(frozen=True)
class GaussianYolo(Head):
    """Per anchor x, σx, y, σy, w, σw, h, σh, objectness, classes; `yolo_point` says which point x, y is."""

    scale_x_y: float
    yolo_point: str


@dataclass(frozen=True)
class Region(Head):
    """Per anchor `coords` numbers, objectness (none used with `background`), classes."""

    coords: int
    softmax: bool
    background: bool
    classfix: int
    tree: Tree | None


@dataclass(frozen=True)
class Detection(Head):
    """YOLOv1: side²·classes, then side²·num objectness, then side²·num·4; `sqrt` says width and height are roots."""

    side: int
    num: int
    softmax: bool
    sqrt: bool


def size_of(shape: Shape) -> int:
    """How many values a shape holds."""
    return shape[0] * shape[1] * shape[2]
