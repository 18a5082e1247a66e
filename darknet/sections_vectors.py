"""The sections that compute on vectors, or pass values on: connected, softmax, recurrent layers and the like."""

from __future__ import annotations

from zoo.darknet.activations import ACTIVATIONS, ELEMENTWISE
from zoo.darknet.keys import ACTIVATION, ALEXEY, COUNT, INTEGER, NATURAL, NUMBER, PJ, SWITCH, TEXT, Key, choice, refused
from zoo.darknet.layers import (
    Activation,
    Connected,
    ConvLstm,
    Crnn,
    Gru,
    Implicit,
    Layer,
    Lstm,
    Passing,
    Rnn,
    Softmax,
    size_of,
)
from zoo.darknet.place import Place, Spec
from zoo.darknet.sections_spatial import check_kernel, window


def _connected(place: Place) -> Layer:
    output = place["output"]
    check_kernel(place, 1, output * size_of(place.shape))
    return place.make(
        Connected,
        (output, 1, 1),
        output=output,
        batch_normalize=bool(place["batch_normalize"]),
        activation=place["activation"],
    )


def _pass(place: Place) -> Layer:
    if not place.layers:
        raise place.error("expected a layer before this one")
    return place.make(Passing, place.shape, flat=place.flat or place.type == "cost")


def _contrastive(place: Place) -> Layer:
    return place.make(Passing, (size_of(place.shape), 1, 1), flat=True)


def _activation(place: Place) -> Layer:
    return place.make(Activation, place.shape, flat=place.flat, activation=place["activation"])


def _logistic(place: Place) -> Layer:
    return place.make(Activation, place.shape, flat=place.flat, activation="logistic")


def _implicit(place: Place) -> Layer:
    filters, atoms = place["filters"], place["atoms"]
    check_kernel(place, 1, filters * atoms)
    return place.make(Implicit, (filters, atoms, 1), sources=())


def _softmax(place: Place) -> Layer:
    inputs, groups, temperature = size_of(place.shape), place["groups"], place["temperature"]
    if inputs % groups:
        raise place.error(f"groups={groups}: expected a divisor of the {inputs} inputs", "groups")
    if not temperature > 0:
        raise place.error(f"temperature={temperature:g}: expected more than 0", "temperature")
    return place.make(
        Softmax, (inputs, 1, 1), flat=True, groups=groups, temperature=temperature, tree=place.tree(inputs)
    )


def _rnn(place: Place) -> Layer:
    output = place["output"]
    alexey = place.dialect == "alexey"
    hidden = place["hidden"] if alexey else output
    check_kernel(place, 1, max(hidden * max(size_of(place.shape), hidden, output), 1))
    own = {1: "logistic", 2: "loggy"}.get(place["logistic"] if alexey else 0, place["activation"])
    return place.make(
        Rnn,
        (output, 1, 1),
        flat=not alexey,
        hidden=hidden,
        output=output,
        batch_normalize=bool(place["batch_normalize"]),
        activation=place["activation"],
        self_activation=own,
        shortcut=bool(place["shortcut"]),
    )


def _gru(place: Place) -> Layer:
    output = place["output"]
    check_kernel(place, 1, output * max(size_of(place.shape), output))
    return place.make(
        Gru,
        (output, 1, 1),
        flat=True,
        output=output,
        batch_normalize=bool(place["batch_normalize"]),
        tanh=bool(place.dialect == "pj" and place["tanh"]),
    )


def _lstm(place: Place) -> Layer:
    output = place["output"]
    check_kernel(place, 1, output * max(size_of(place.shape), output))
    return place.make(
        Lstm,
        (output, 1, 1),
        flat=place.dialect == "pj",
        output=output,
        batch_normalize=bool(place["batch_normalize"]),
    )


def _same_size(place: Place) -> tuple[int, int, int, int]:
    """size, padding, dilation and groups of a recurrent convolution, which must keep height and width."""
    _, h, w = place.image()
    if place.dialect == "pj":
        return 3, 1, 1, 1
    size, groups = place["size"], place["groups"]
    padding = size // 2 if place["pad"] else place["padding"]
    dilation = place["dilation"] if size > 1 else 1
    check_kernel(place, size, 0)
    kept = (window(place, h, size, 1, 2 * padding), window(place, w, size, 1, 2 * padding))
    if kept != (h, w):
        raise place.error(f"size={size}, padding={padding}: expected a convolution that keeps {h}×{w}, found {kept}")
    return size, padding, dilation, groups


def _check_groups(place: Place, groups: int, *channels: int) -> None:
    if any(count % groups for count in channels):
        raise place.error(f"groups={groups}: expected a divisor of {', '.join(map(str, channels))}", "groups")


def _crnn(place: Place) -> Layer:
    c, h, w = place.image()
    alexey = place.dialect == "alexey"
    size, padding, dilation, groups = _same_size(place)
    hidden = place["hidden"] if alexey else place["hidden_filters"]
    output = place["output"] if alexey else place["output_filters"]
    _check_groups(place, groups, c, hidden, output)
    check_kernel(place, size, hidden * max(c, hidden, output) * size * size)
    return place.make(
        Crnn,
        (output, h, w),
        hidden=hidden,
        output=output,
        size=size,
        padding=padding,
        dilation=dilation,
        groups=groups,
        batch_normalize=bool(place["batch_normalize"]),
        activation=place["activation"],
        shortcut=bool(place["shortcut"]),
    )


def _conv_lstm(place: Place) -> Layer:
    c, h, w = place.image()
    output = place["output"]
    size, padding, dilation, groups = _same_size(place)
    _check_groups(place, groups, c, output)
    check_kernel(place, size, output * max(c, output) * size * size)
    limit = place["state_constrain"]
    return place.make(
        ConvLstm,
        (output, h, w),
        output=output,
        size=size,
        padding=padding,
        dilation=dilation,
        groups=groups,
        batch_normalize=bool(place["batch_normalize"]),
        activation=place["activation"],
        peephole=bool(place["peephole"]),
        state_constrain=float(place.net.time_steps * 32 if limit is None else limit),
    )


_VECTOR_ACTIVATION = Key("activation", choice(*ELEMENTWISE), "logistic")
_NORMALIZED = (Key("output", COUNT, 1), Key("batch_normalize", SWITCH, 0))
_CONVOLVED = (
    Key("size", COUNT, 3, ALEXEY),
    Key("stride", COUNT, 1, ALEXEY, only=(1,), reason="the state would change its size"),
    Key("dilation", COUNT, 1, ALEXEY),
    Key("pad", SWITCH, 0, ALEXEY),
    Key("padding", NATURAL, 0, ALEXEY),
    Key("groups", COUNT, 1, ALEXEY),
    refused("xnor", "binary recurrent convolutions", ALEXEY),
)

VECTORS = (
    Spec("connected", _connected, (*_NORMALIZED, _VECTOR_ACTIVATION), aliases=("conn",)),
    Spec(
        "dropout",
        _pass,
        training=("probability",),
        training_alexey=("dropblock", "dropblock_size_rel", "dropblock_size_abs"),
    ),
    Spec("cost", _pass, training=("type", "scale", "ratio"), training_pj=("noobj", "thresh")),
    Spec("empty", _pass, aliases=("silence",), dialects=ALEXEY),
    Spec(
        "contrastive",
        _contrastive,
        training=("classes", "temperature", "yolo_layer", "cls_normalizer", "max_delta", "contrastive_neg_max"),
        dialects=ALEXEY,
    ),
    Spec("activation", _activation, (Key("activation", choice(*ELEMENTWISE), "linear"),)),
    Spec("logistic", _logistic, dialects=PJ),
    Spec(
        "implicit",
        _implicit,
        (Key("filters", COUNT, 128), Key("atoms", COUNT, 1)),
        training=("mean", "std"),
        dialects=ALEXEY,
    ),
    Spec(
        "softmax",
        _softmax,
        (
            Key("groups", COUNT, 1),
            Key("temperature", NUMBER, 1.0),
            Key("tree", TEXT),
            refused("spatial", "the program honours it on the GPU only"),
        ),
        training=("noloss",),
        aliases=("soft",),
    ),
    Spec(
        "rnn",
        _rnn,
        (
            *_NORMALIZED,
            _VECTOR_ACTIVATION,
            Key("hidden", COUNT, 1, ALEXEY),
            Key("hidden", COUNT, None, PJ, reason="has no effect: as many as output"),
            Key("logistic", INTEGER, 0, ALEXEY),
            Key("shortcut", SWITCH, 0),
        ),
    ),
    Spec("gru", _gru, (*_NORMALIZED, Key("tanh", SWITCH, 0, PJ))),
    Spec("lstm", _lstm, _NORMALIZED),
    Spec(
        "crnn",
        _crnn,
        (
            Key("output", COUNT, 1, ALEXEY),
            Key("hidden", COUNT, 1, ALEXEY),
            Key("output_filters", COUNT, 1, PJ),
            Key("hidden_filters", COUNT, 1, PJ),
            Key("batch_normalize", SWITCH, 0),
            Key("activation", choice(*ACTIVATIONS), "logistic"),
            Key("shortcut", SWITCH, 0),
            *_CONVOLVED,
        ),
    ),
    Spec(
        "conv_lstm",
        _conv_lstm,
        (
            *_NORMALIZED,
            Key("activation", ACTIVATION, "linear"),
            Key("peephole", SWITCH, 0),
            Key("state_constrain", INTEGER),
            Key("lstm_activation", choice("tanh"), "tanh"),
            refused("bottleneck", "the program's CPU code stops there"),
            refused("shortcut", "the program honours it on the GPU only"),
            *_CONVOLVED,
        ),
        training=("time_normalizer",),
        dialects=ALEXEY,
    ),
    Spec("history", dialects=ALEXEY, why_not="it gathers the frames of a training sequence"),
    Spec("iseg", dialects=PJ, why_not="it only exists for training"),
)
