"""The activations of Darknet by name, and who knows them. No formulas: each reader of a network writes its own.

relu, leaky (slope 0.1), linear, logistic, loggy, tanh, elu, selu, relie (slope 0.01), ramp, plse, stair, hardtan and
lhtan are in both programs; the others only in AlexeyAB's. An unknown name runs as relu in both; here it is refused.
"""

from __future__ import annotations

_BOTH = (
    "elu",
    "hardtan",
    "leaky",
    "lhtan",
    "linear",
    "loggy",
    "logistic",
    "plse",
    "ramp",
    "relie",
    "relu",
    "selu",
    "stair",
    "tanh",
)
_ALEXEY = (
    "gelu",
    "hard_mish",
    "mish",
    "normalize_channels",
    "normalize_channels_softmax",
    "normalize_channels_softmax_maxval",
    "relu6",
    "revleaky",
    "swish",
)

# Name → the dialects that know it.
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_BOTH, ("alexey", "pj")),
    **dict.fromkeys(_ALEXEY, ("alexey",)),
}

# What a layer other than a convolution can compute: for the remaining names both programs hold code only in the
# convolution (and for swish and mish in the shortcut); elsewhere they silently give zeros.
ELEMENTWISE = (*_BOTH, "gelu", "relu6", "revleaky")
