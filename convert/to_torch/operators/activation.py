"""Activations: layers of the module where PyTorch has one with the same meaning."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use

# Operator → layer, and its arguments as (attribute, default) in the order of the layer's constructor.
LAYERS: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {
    "Celu": ("nn.CELU", (("alpha", 1.0),)),
    "Elu": ("nn.ELU", (("alpha", 1.0),)),
    "HardSwish": ("nn.Hardswish", ()),
    "LeakyRelu": ("nn.LeakyReLU", (("alpha", 0.01),)),
    "Mish": ("nn.Mish", ()),
    "Relu": ("nn.ReLU", ()),
    "Sigmoid": ("nn.Sigmoid", ()),
    "Softsign": ("nn.Softsign", ()),
    "Tanh": ("nn.Tanh", ()),
}


@operator(*LAYERS)
def layer(use: Use) -> Code:
    name, arguments = LAYERS[use.node.op]
    values = [float32(use.attribute(key, default)) for key, default in arguments]
    return call(use.layer(call(name, *values)), use.tensor(0))


def float32(value: float) -> float:
    """The shortest number that is the same float32: ONNX stores 0.1 as 0.10000000149."""
    return float(str(np.float32(value)))


@operator("Softplus")
def softplus(use: Use) -> Code:
    """log(1 + exp x) everywhere; torch's own softplus turns linear above 20, which is below float32 rounding."""
    return call(use.layer(call("nn.Softplus")), use.tensor(0))


@operator("Gelu", since=20)
def gelu(use: Use) -> Code:
    approximate = "tanh" if use.attribute("approximate", "none") == "tanh" else "none"
    return call(use.layer(call("nn.GELU", approximate=approximate)), use.tensor(0))


@operator("Swish", since=24)
def swish(use: Use) -> Code:
    alpha = float32(use.attribute("alpha", 1.0))
    if alpha == 1:
        return call(use.layer(call("nn.SiLU")), use.tensor(0))
    return code("{0} * torch.sigmoid({1} * {0})", use.tensor(0), alpha)


@operator("HardSigmoid", since=6)
def hard_sigmoid(use: Use) -> Code:
    alpha, beta = float32(use.attribute("alpha", 0.2)), float32(use.attribute("beta", 0.5))
    return code("torch.clamp({} * {} + {}, 0.0, 1.0)", alpha, use.tensor(0), beta)


@operator("Selu", since=6)
def selu(use: Use) -> Code:
    alpha = float32(use.attribute("alpha", 1.6732631921768188))
    gamma = float32(use.attribute("gamma", 1.0507010221481323))
    return code("{} * F.elu({}, {})", gamma, use.tensor(0), alpha)


@operator("ThresholdedRelu", since=10)
def thresholded_relu(use: Use) -> Code:
    return call("F.threshold", use.tensor(0), float32(use.attribute("alpha", 1.0)), 0.0)


@operator("Shrink", since=9)
def shrink(use: Use) -> Code:
    bias, bound = float32(use.attribute("bias", 0.0)), float32(use.attribute("lambd", 0.5))
    return use.helper("shrink", use.tensor(0), bias, bound)


@operator("PRelu", since=7)
def prelu(use: Use) -> Code:
    """The slope broadcasts against the input (PyTorch's layer knows only one slope for each channel)."""
    slope = use.constant(1)
    rank = use.maybe_rank(0)
    if slope is not None and rank and slope.ndim == rank - 1 and slope.size == slope.shape[0]:
        layer = use.layer(call("nn.PReLU", slope.size), (1,), weight=slope.reshape(-1))
        return call(layer, use.tensor(0))
    return code("torch.where({0} < 0, {0} * {1}, {0})", use.tensor(0), use.tensor(1))


@operator("Softmax", "LogSoftmax", since=13)
def softmax(use: Use) -> Code:
    name = {"Softmax": "torch.softmax", "LogSoftmax": "torch.log_softmax"}[use.node.op]
    return call(name, use.tensor(0), dim=use.attribute("axis", -1))


@operator("Softmax", "LogSoftmax", "Hardmax", until=12)
def flat_softmax(use: Use) -> Code:
    """Before opset 13 all dimensions from `axis` on are one."""
    axis = use.attribute("axis", 1)
    flat = code("{}.flatten({})", use.tensor(0), axis)
    if use.node.op == "Hardmax":
        result = use.helper("hardmax", flat, -1)
    else:
        result = call("torch.softmax" if use.node.op == "Softmax" else "torch.log_softmax", flat, dim=-1)
    return code("{}.view_as({})", result, use.tensor(0))


@operator("Hardmax", since=13)
def hardmax(use: Use) -> Code:
    return use.helper("hardmax", use.tensor(0), use.attribute("axis", -1))


@operator("Dropout", since=7)
def dropout(use: Use) -> Code | tuple[Code, Code]:
    """Nothing at inference; a layer, so that `.train()` brings it back. The mask is then all true."""
    ratio = use.constant(1) if use.has(1) else np.float32(use.attribute("ratio", 0.5))
    training = use.constant(2)
    if ratio is None or (use.has(2) and (training is None or (bool(training) and float(ratio) > 0))):
        use.refuse("dropout during inference would give other numbers each time")
    result = call(use.layer(call("nn.Dropout", float32(float(ratio)))), use.tensor(0))
    if not use.wants(1):
        return result
    return result, call("torch.ones_like", use.tensor(0), dtype=Code("torch.bool"))
