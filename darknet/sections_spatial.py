"""The sections that compute on images: convolutions, pools, resampling, normalisation. Keys and how to build each."""

from __future__ import annotations

from zoo.darknet.activations import ELEMENTWISE
from zoo.darknet.cfg import INT_LIMIT
from zoo.darknet.keys import ACTIVATION, ALEXEY, COUNT, INTEGER, NATURAL, NUMBER, PJ, SWITCH, Key, choice, refused
from zoo.darknet.layers import (
    Avgpool,
    Batchnorm,
    Convolutional,
    Crop,
    Deconvolutional,
    L2norm,
    Layer,
    Local,
    Normalization,
    Pool,
    Reorg,
    Shape,
    Upsample,
)
from zoo.darknet.place import Place, Spec

MAX_KERNEL = 1 << 12  # of a window's side; Darknet's own have 13 at most
SIDE_ACTIVATION = choice(*ELEMENTWISE)
_DEFORM = "the kernel would be deformed at run time"

CONVOLUTION_KEYS = (
    Key("filters", COUNT, 1),
    Key("size", COUNT, 1),
    Key("pad", SWITCH, 0),
    Key("padding", NATURAL, 0),
    Key("batch_normalize", SWITCH, 0),
    Key("activation", ACTIVATION, "logistic"),
)


def window(place: Place, length: int, size: int, stride: int, padding: int) -> int:
    """Output length of a window of `size` over `length` cells with `padding` in total, by C's division."""
    if length + padding < size:
        raise place.error(f"expected an input of at least {size - padding} cells a side, found {length}")
    return (length + padding - size) // stride + 1


def check_kernel(place: Place, size: int, weights: int) -> None:
    """Refuse windows and kernels beyond what any network has, before anything is computed with them."""
    if size > MAX_KERNEL:
        raise place.error(f"size={size}: expected at most {MAX_KERNEL}", "size")
    if weights > INT_LIMIT:
        raise place.error(f"expected at most {INT_LIMIT} weights, found {weights}")


def blurred(place: Place, kind: int, h: int, w: int, stride_y: int, stride_x: int) -> tuple[int, int]:
    """Height and width after the antialiasing blur."""
    size, padding = (2, 0) if kind == 2 else (3, 2)
    return window(place, h, size, stride_y, padding), window(place, w, size, stride_x, padding)


def _strides(place: Place) -> tuple[int, int]:
    """Horizontal and vertical; stride_x and stride_y below 1 mean: as `stride`."""
    if place.dialect == "pj":
        return place["stride"], place["stride"]
    x, y = place["stride_x"], place["stride_y"]
    return (x if x >= 1 else place["stride"]), (y if y >= 1 else place["stride"])


def _convolutional(place: Place) -> Layer:
    c, h, w = place.image()
    alexey = place.dialect == "alexey"
    size, filters = place["size"], place["filters"]
    xnor = bool(place["xnor"])
    groups = 1 if alexey and xnor else max(1, place["groups"])
    if c % groups or filters % groups:
        raise place.error(f"groups={groups}: expected a divisor of {c} channels and {filters} filters", "groups")
    check_kernel(place, size, c // groups * filters * size * size)
    padding = size // 2 if place["pad"] else place["padding"]
    stride_x, stride_y = _strides(place)
    antialiasing = place["antialiasing"] if alexey else 0
    run_x, run_y = (1, 1) if antialiasing else (stride_x, stride_y)
    _check_one_by_one(place, stride_x, stride_y, padding)
    dilation = place["dilation"] if alexey and size > 1 else 1
    if dilation > 1 and padding != size // 2:
        raise place.error(f"dilation={dilation} with padding={padding}: expected the padding {size // 2}", "dilation")
    out_h, out_w = window(place, h, size, run_y, 2 * padding), window(place, w, size, run_x, 2 * padding)
    if dilation > 1 and not size % 2:
        raise place.error(f"dilation={dilation}: expected an odd size, found {size}", "dilation")
    if antialiasing:
        out_h, out_w = blurred(place, antialiasing, out_h, out_w, stride_y, stride_x)
    share = _shared(place, (filters, c, groups, size))
    return place.make(
        Convolutional,
        (filters, out_h, out_w),
        filters=filters,
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding,
        dilation=dilation,
        groups=groups,
        batch_normalize=share.batch_normalize if share else bool(place["batch_normalize"] or (alexey and place["cbn"])),
        activation=place["activation"],
        share=share.index if share else None,
        xnor=xnor,
        antialiasing=antialiasing,
        flipped=bool(share.flipped if share else place["flipped"]),
    )


def _check_one_by_one(place: Place, stride_x: int, stride_y: int, padding: int) -> None:
    """The programs skip the unrolling of a 1×1 convolution, and so padding and stride (alexey: if stride_x is 1)."""
    if place["size"] != 1:
        return
    if place.dialect == "pj" and (stride_x, padding) != (1, 0):
        raise place.error(
            "pjreddie/darknet misreads a 1×1 convolution with stride or padding: expected stride=1, padding=0"
        )
    if place.dialect == "alexey" and stride_x == 1 and (stride_y, padding) != (1, 0):
        raise place.error("AlexeyAB/darknet misreads this 1×1 convolution: expected padding=0 and stride_y=1")


def _shared(place: Place, kernel: tuple[int, int, int, int]) -> Convolutional | None:
    """The layer whose weights this one uses, followed to the one that owns them."""
    if place.dialect == "pj" or place["share_index"] is None:
        return None
    index = place.earlier(place["share_index"], "share_index")
    owner = place.layers[index]
    if isinstance(owner, Convolutional) and owner.share is not None:
        owner = place.layers[owner.share]
    if not isinstance(owner, Convolutional):
        raise place.error(f"share_index: expected a convolutional layer, found [{owner.type}]", "share_index")
    found = (owner.filters, owner.input_shape[0], owner.groups, owner.size)
    if found != kernel:
        raise place.error(
            f"share_index: expected (filters, channels, groups, size) = {kernel}, found {found}", "share_index"
        )
    return owner


def _deconvolutional(place: Place) -> Layer:
    c, h, w = place.image()
    size, stride, filters = place["size"], place["stride"], place["filters"]
    check_kernel(place, size, c * filters * size * size)
    padding = size // 2 if place["pad"] else place["padding"]
    output = (filters, (h - 1) * stride + size - 2 * padding, (w - 1) * stride + size - 2 * padding)
    return place.make(
        Deconvolutional,
        output,
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        batch_normalize=bool(place["batch_normalize"]),
        activation=place["activation"],
    )


def _local(place: Place) -> Layer:
    c, h, w = place.image()
    size, stride, pad, filters = place["size"], place["stride"], place["pad"], place["filters"]
    over = 1 if pad else size
    out_h, out_w = window(place, h, over, stride, 0), window(place, w, over, stride, 0)
    check_kernel(place, size, out_h * out_w * filters * c * size * size)
    unrolled = tuple((length + 2 * pad - size) // stride + 1 for length in (h, w))
    if unrolled != (out_h, out_w):  # the program's unrolling and its output would not fit together
        raise place.error(
            f"size={size}, stride={stride}, pad={pad}: expected {out_h}×{out_w} windows, found {unrolled}"
        )
    return place.make(
        Local,
        (filters, out_h, out_w),
        filters=filters,
        size=size,
        stride=stride,
        pad=pad,
        activation=place["activation"],
    )


def _pool(place: Place) -> Layer:
    c, h, w = place.image()
    alexey = place.dialect == "alexey"
    size = place["stride"] if place["size"] is None else place["size"]
    padding = size - 1 if place["padding"] is None else place["padding"]
    check_kernel(place, size, 0)
    stride_x, stride_y = place["stride"], place["stride"]
    if alexey:
        stride_x, stride_y = place["stride_x"] or stride_x, place["stride_y"] or stride_y
    depth = place["out_channels"] if alexey and place.type == "maxpool" and place["maxpool_depth"] else 0
    antialiasing = place["antialiasing"] if alexey and place.type == "maxpool" else 0
    if depth:
        output = (depth, h, w)
        if depth > c:
            raise place.error(f"out_channels={depth}: expected at most the {c} channels of the input", "out_channels")
    else:
        run_x, run_y = (1, 1) if antialiasing else (stride_x, stride_y)
        out_h, out_w = window(place, h, size, run_y, padding), window(place, w, size, run_x, padding)
        _check_windows(place, size, padding, ((h, run_y, out_h), (w, run_x, out_w)))
        output = (c, out_h, out_w)
    if antialiasing:
        output = (output[0], *blurred(place, antialiasing, output[1], output[2], stride_y, stride_x))
    return place.make(
        Pool,
        output,
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding,
        depth=depth,
        antialiasing=antialiasing,
    )


def _check_windows(place: Place, size: int, padding: int, axes: tuple[tuple[int, int, int], ...]) -> None:
    """Every window must see a cell of the input: the program gives −FLT_MAX (or 0 / 0) where one does not."""
    for length, stride, count in axes:
        if (padding + 1) // 2 >= size or (count - 1) * stride - padding // 2 >= length:
            raise place.error(f"size={size}, padding={padding}: expected windows that all touch the input", "padding")


def _avgpool(place: Place) -> Layer:
    return place.make(Avgpool, (place.image()[0], 1, 1))


def _upsample(place: Place) -> Layer:
    c, h, w = place.image()
    stride = place["stride"]
    if not 1 <= abs(stride) <= MAX_KERNEL:
        raise place.error(f"stride={stride}: expected 1 to {MAX_KERNEL}, or negative to sum", "stride")
    reverse, stride = stride < 0, abs(stride)
    if reverse and (h % stride or w % stride):
        raise place.error(f"stride=-{stride}: expected a divisor of {h} and {w}", "stride")
    output = (c, h // stride, w // stride) if reverse else (c, h * stride, w * stride)
    return place.make(Upsample, output, stride=stride, reverse=reverse, scale=place["scale"])


def _reorg(place: Place) -> Layer:
    c, h, w = place.image()
    stride, reverse = place["stride"], bool(place["reverse"])
    flatten = bool(place.dialect == "pj" and place["flatten"])
    extra = place["extra"] if place.dialect == "pj" else 0
    output: Shape = (c * stride * stride, h // stride, w // stride)
    if reverse:
        output = (c // (stride * stride), h * stride, w * stride)
    fits = _reorg_fits(place.type, reverse, (c, h, w), stride)
    if not flatten and not extra and not fits:
        raise place.error(f"stride={stride}: expected a divisor of the input, found {c}×{h}×{w}", "stride")
    if flatten and stride != 1:
        raise place.error(f"flatten=1: expected stride=1, found {stride}", "stride")
    if extra:
        return place.make(
            Reorg, (c * h * w + extra, 1, 1), flat=True, stride=stride, reverse=reverse, flatten=flatten, extra=extra
        )
    return place.make(Reorg, output, stride=stride, reverse=reverse, flatten=flatten, extra=0)


def _reorg_fits(kind: str, reverse: bool, shape: Shape, stride: int) -> bool:
    """Where the program's index arithmetic stays inside the tensor and reaches all of it."""
    c, h, w = shape
    square = stride * stride
    if reverse:
        return c % (square if kind == "reorg" else square * square) == 0
    return not h % stride and not w % stride and (kind == "reorg3d" or c % square == 0)


def _crop(place: Place) -> Layer:
    c, h, w = place.image()
    height, width = place["crop_height"], place["crop_width"]
    if height > h or width > w:
        raise place.error(f"crop {height}×{width}: expected at most the input's {h}×{w}", "crop_height")
    return place.make(Crop, (c, height, width), noadjust=bool(place["noadjust"]))


def _batchnorm(place: Place) -> Layer:
    return place.make(Batchnorm, place.image(), has_bias=place.dialect == "alexey")


def _normalization(place: Place) -> Layer:
    c, h, w = place.image()
    size = place["size"]
    if size // 2 > c:
        raise place.error(f"size={size}: expected half of it to be at most the {c} channels", "size")
    return place.make(
        Normalization, (c, h, w), size=size, alpha=place["alpha"], beta=place["beta"], kappa=place["kappa"]
    )


def _l2norm(place: Place) -> Layer:
    return place.make(L2norm, place.image())


_POOL_KEYS = (
    Key("stride", COUNT, 1),
    Key("size", COUNT),
    Key("padding", NATURAL),
    Key("stride_x", COUNT, None, ALEXEY),
    Key("stride_y", COUNT, None, ALEXEY),
)
_ANTIALIASING = Key("antialiasing", NATURAL, 0, ALEXEY, only=(0, 1, 2), reason="only 1 and 2 exist")

SPATIAL = (
    Spec(
        "convolutional",
        _convolutional,
        (
            *CONVOLUTION_KEYS,
            Key("stride", COUNT, 1),
            Key("stride_x", INTEGER, -1, ALEXEY),
            Key("stride_y", INTEGER, -1, ALEXEY),
            Key("groups", INTEGER, 1),
            Key("dilation", COUNT, 1, ALEXEY),
            Key("cbn", SWITCH, 0, ALEXEY),
            Key("share_index", INTEGER, None, ALEXEY),
            Key("xnor", SWITCH, 0),
            Key("bin_output", SWITCH, 0, ALEXEY),
            _ANTIALIASING,
            Key("flipped", SWITCH, 0),
            refused("binary", "the program exchanges the weights after the first picture"),
            *(refused(name, _DEFORM, ALEXEY) for name in ("sway", "rotate", "stretch", "stretch_sway")),
        ),
        training=("dot",),
        training_alexey=("angle", "assisted_excitation", "coordconv", "grad_centr", "reverse", "stream", "wait_stream"),
        aliases=("conv",),
    ),
    Spec(
        "deconvolutional",
        _deconvolutional,
        (
            *(key for key in CONVOLUTION_KEYS if key.name != "activation"),
            Key("stride", COUNT, 1),
            Key("activation", SIDE_ACTIVATION, "logistic"),
        ),
        aliases=("deconv",),
        dialects=PJ,
    ),
    Spec(
        "local",
        _local,
        (
            Key("filters", COUNT, 1),
            Key("size", COUNT, 1),
            Key("stride", COUNT, 1),
            Key("pad", NATURAL, 0),
            Key("activation", SIDE_ACTIVATION, "logistic"),
        ),
    ),
    Spec(
        "maxpool",
        _pool,
        (
            *_POOL_KEYS,
            Key("maxpool_depth", SWITCH, 0, ALEXEY),
            Key("out_channels", COUNT, 1, ALEXEY),
            _ANTIALIASING,
            refused("maxpool_zero_nonmax", "the program changes the layer's input in place", ALEXEY),
        ),
        aliases=("max",),
    ),
    Spec("local_avgpool", _pool, _POOL_KEYS, aliases=("local_avg",), dialects=ALEXEY),
    Spec("avgpool", _avgpool, aliases=("avg",)),
    Spec("upsample", _upsample, (Key("stride", INTEGER, 2), Key("scale", NUMBER, 1.0))),
    Spec(
        "reorg",
        _reorg,
        (
            Key("stride", COUNT, 1),
            Key("reverse", SWITCH, 0),
            Key("flatten", SWITCH, 0, PJ),
            Key("extra", NATURAL, 0, PJ),
        ),
    ),
    Spec("reorg3d", _reorg, (Key("stride", COUNT, 1), Key("reverse", SWITCH, 0)), dialects=ALEXEY),
    Spec(
        "crop",
        _crop,
        (Key("crop_height", COUNT, 1), Key("crop_width", COUNT, 1), Key("noadjust", SWITCH, 0)),
        training=("flip", "angle", "saturation", "exposure", "shift"),
    ),
    Spec("batchnorm", _batchnorm),
    Spec(
        "normalization",
        _normalization,
        (
            Key("size", COUNT, 5),
            Key("alpha", NUMBER, 0.0001),
            Key("beta", NUMBER, 0.75),
            Key("kappa", NUMBER, 1.0),
        ),
        aliases=("lrn",),
    ),
    Spec("l2norm", _l2norm, dialects=PJ),
)
