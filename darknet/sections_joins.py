"""The sections that read other layers: route, shortcut, scale_channels, sam. Keys and how to build each."""

from __future__ import annotations

from zoo.darknet.activations import ELEMENTWISE
from zoo.darknet.keys import ALEXEY, BOTH, COUNT, INTEGER, INTEGERS, NATURAL, NUMBER, PJ, SWITCH, Key, choice
from zoo.darknet.layers import Convolutional, Layer, Pool, Route, Sam, Scale, Shape, Shortcut, size_of
from zoo.darknet.place import Place, Spec

MAX_SOURCES = 256


def _earlier(place: Place, key: str) -> tuple[int, ...]:
    """The layers that a list names."""
    if place[key] is None:
        raise place.error(f"expected {key}=…, the layers to read; found none")
    numbers = place[key] if isinstance(place[key], tuple) else (place[key],)
    if len(numbers) > MAX_SOURCES:
        raise place.error(f"{key}: expected at most {MAX_SOURCES} layers, found {len(numbers)}", key)
    indices = tuple(place.earlier(number, key) for number in numbers)
    for index in indices:
        _check_readable(place, key, place.layers[index])
    return indices


def _check_readable(place: Place, key: str, source: Layer) -> None:
    strided = isinstance(source, Convolutional | Pool) and (source.stride_x, source.stride_y) != (1, 1)
    if isinstance(source, Convolutional | Pool) and source.antialiasing and strided:
        raise place.error(
            f"{key}: layer {source.index} has antialiasing: the program would read its output before the blur", key
        )
    if source.type == "cost":
        raise place.error(f"{key}: layer {source.index} is [cost], which has no output at inference", key)


def _route(place: Place) -> Layer:
    sources = _earlier(place, "layers")
    groups, group_id = (place["groups"], place["group_id"]) if place.dialect == "alexey" else (1, 0)
    if group_id >= groups:
        raise place.error(f"group_id={group_id}: expected less than groups={groups}", "group_id")
    layers = [place.layers[index] for index in sources]
    for layer in layers:
        if layer.output_shape[0] % groups:
            raise place.error(
                f"groups={groups}: expected a divisor of the {layer.output_shape[0]} channels of layer {layer.index}",
                "groups",
            )
    sizes = {layer.output_shape[1:] for layer in layers}
    if len(sizes) == 1 and not any(layer.flat for layer in layers):
        channels = sum(layer.output_shape[0] // groups for layer in layers)
        shape, flat = (channels, *layers[0].output_shape[1:]), False
    elif groups == 1:
        shape, flat = (sum(size_of(layer.output_shape) for layer in layers), 1, 1), True
    else:
        raise place.error(f"groups={groups}: expected inputs of one height and width, found {sorted(sizes)}", "layers")
    return place.make(Route, shape, sources=sources, flat=flat, groups=groups, group_id=group_id)


def _shortcut(place: Place) -> Layer:
    shape = place.image()
    sources = (place.index - 1, *_earlier(place, "from"))
    if place.index == 0:
        raise place.error("expected a layer before this one")
    alexey = place.dialect == "alexey"
    for index in sources[1:]:
        _check_addable(place, shape, place.layers[index])
    weights_type = place["weights_type"] if alexey else "none"
    return place.make(
        Shortcut,
        shape,
        sources=sources,
        activation=place["activation"],
        weights_type="per_feature" if weights_type == "per_layer" else weights_type,
        weights_normalization=_normalization(place, weights_type) if alexey else "none",
        alpha=1.0 if alexey else place["alpha"],
        beta=1.0 if alexey else place["beta"],
    )


def _normalization(place: Place, weights_type: str) -> str:
    name: str = place["weights_normalization"]
    if weights_type == "none":
        return "none"
    return "relu" if name == "avg_relu" else name


def _check_addable(place: Place, shape: Shape, source: Layer) -> None:
    """alexey: equal height and width. pj: one is a whole multiple of the other, the same both ways."""
    (_, h, w), (_, from_h, from_w) = shape, source.output_shape
    where = f"from: expected a layer of {h}×{w} (height × width)"
    if source.flat:
        raise place.error(f"{where}, found the vector of layer {source.index}", "from")
    if (h, w) == (from_h, from_w):
        return
    if place.dialect == "alexey":
        raise place.error(
            f"{where}, found layer {source.index} of {from_h}×{from_w}",
            "from",
            hint="pjreddie/darknet adds across strides: use dialect pj",
        )
    stride, sample = from_w // w, w // from_w
    if (stride, sample) != (from_h // h, h // from_h):
        raise place.error(f"{where} or a whole multiple, found layer {source.index} of {from_h}×{from_w}", "from")
    # The program walks min(w) × min(h) cells with these strides; beyond the tensor it would read other memory.
    stride, sample = max(stride, 1), max(sample, 1)
    if (min(w, from_w) - 1) * stride >= from_w or (min(w, from_w) - 1) * sample >= w:
        raise place.error(f"{where} or a whole multiple, found layer {source.index} of {from_h}×{from_w}", "from")
    if (min(h, from_h) - 1) * stride >= from_h or (min(h, from_h) - 1) * sample >= h:
        raise place.error(f"{where} or a whole multiple, found layer {source.index} of {from_h}×{from_w}", "from")


def _scale(place: Place) -> Layer:
    c, h, w = place.image()
    sources = (place.index - 1, *_earlier(place, "from"))
    target = place.layers[sources[1]].output_shape
    expected = (1, *target[1:]) if place["scale_wh"] else (target[0], 1, 1)
    if (c, h, w) != expected or place.layers[sources[1]].flat:
        raise place.error(f"from: expected the layer before to give {expected} for {target}, found {(c, h, w)}", "from")
    return place.make(Scale, target, sources=sources, activation=place["activation"])


def _sam(place: Place) -> Layer:
    shape = place.image()
    sources = (place.index - 1, *_earlier(place, "from"))
    target = place.layers[sources[1]]
    if target.output_shape != shape or target.flat:
        raise place.error(f"from: expected a layer of {shape}, found {target.output_shape}", "from")
    return place.make(Sam, shape, sources=sources, activation=place["activation"])


_ACTIVATION = Key("activation", choice(*ELEMENTWISE), "linear")

JOINS = (
    Spec(
        "route",
        _route,
        (
            Key("layers", INTEGERS),
            Key("groups", COUNT, 1, ALEXEY),
            Key("group_id", NATURAL, 0, ALEXEY),
        ),
        training_alexey=("stream", "wait_stream"),
    ),
    Spec(
        "shortcut",
        _shortcut,
        (
            Key("from", INTEGERS, None, ALEXEY),
            Key("from", INTEGER, None, PJ),
            Key("activation", choice(*ELEMENTWISE, "swish", "mish"), "linear", BOTH),
            Key("weights_type", choice("none", "per_feature", "per_layer", "per_channel"), "none", ALEXEY),
            Key("weights_normalization", choice("none", "relu", "avg_relu", "softmax"), "none", ALEXEY),
            Key("alpha", NUMBER, 1.0, PJ),
            Key("beta", NUMBER, 1.0, PJ),
        ),
    ),
    Spec(
        "scale_channels",
        _scale,
        (Key("from", INTEGER), _ACTIVATION, Key("scale_wh", SWITCH, 0)),
        dialects=ALEXEY,
    ),
    Spec("sam", _sam, (Key("from", INTEGER), _ACTIVATION), dialects=ALEXEY),
)
