"""Normalisations, and losses (which the exporters of trained models sometimes leave in)."""

from __future__ import annotations

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.operators.activation import float32
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Several, Use


@operator("BatchNormalization", since=7)
def batch_norm(use: Use) -> Code | Several:
    """A layer where all four statistics are constant, so that it can be trained on."""
    epsilon = float32(use.attribute("epsilon", 1e-5))
    if use.attribute("training_mode", 0):
        momentum = float32(use.attribute("momentum", 0.9))
        return Several(use.helper("batch_norm_training", *use.tensors(), epsilon, momentum), 3)
    if use.wants(1):
        use.refuse("before opset 14 its further outputs were for training only")
    constants = [use.constant(position) for position in range(1, 5)]
    weight, bias, mean, variance = constants
    rank = use.maybe_rank(0)
    if weight is not None and bias is not None and mean is not None and variance is not None and rank in (2, 3, 4, 5):
        name = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}[rank]
        arguments = {} if epsilon == 1e-5 else {"eps": epsilon}
        weights = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
        constructor = call(f"nn.BatchNorm{name}", weight.size, **arguments)
        return call(use.layer(constructor, (1, 2, 3, 4), **weights), use.tensor(0))
    tensors = [use.tensor(position) for position in (0, 3, 4, 1, 2)]
    return call("F.batch_norm", *tensors, eps=epsilon)


@operator("InstanceNormalization", since=6)
def instance_norm(use: Use) -> Code:
    epsilon = float32(use.attribute("epsilon", 1e-5))
    return call("F.instance_norm", use.tensor(0), weight=use.tensor(1), bias=use.tensor(2), eps=epsilon)


@operator("LayerNormalization", since=17)
def layer_norm(use: Use) -> Code | Several:
    axis, epsilon = use.attribute("axis", -1), float32(use.attribute("epsilon", 1e-5))
    if use.wants(1) or use.wants(2):
        return Several(use.helper("layer_norm_with_statistics", *_scaled(use), use.optional(2), axis, epsilon), 3)
    rank = use.rank(0)
    if not all(isinstance(size, int) for size in use.shape(0)[axis % rank :]):
        statistics = use.helper("layer_norm_with_statistics", *_scaled(use), use.optional(2), axis, epsilon)
        return code("{}[0]", statistics)
    shape = use.shape(0)[axis % rank :]
    return call("F.layer_norm", use.tensor(0), shape, use.tensor(1), use.optional(2), epsilon)


def _scaled(use: Use) -> list[Code]:
    return [use.tensor(0), use.tensor(1)]


@operator("RMSNormalization", since=23)
def rms_norm(use: Use) -> Code:
    epsilon = float32(use.attribute("epsilon", 1e-5))
    return use.helper("rms_norm", use.tensor(0), use.tensor(1), use.attribute("axis", -1), epsilon)


@operator("GroupNormalization", since=18)
def group_norm(use: Use) -> Code:
    """Opset 18 scales by group, 21 and later by channel."""
    groups, epsilon = use.attribute("num_groups"), float32(use.attribute("epsilon", 1e-5))
    scale, bias = use.tensor(1), use.tensor(2)
    if use.version < 21:
        channels = use.shape(0)[1]
        if not isinstance(channels, int):
            use.refuse("the number of its channels must be known")
        scale, bias = (code("{}.repeat_interleave({})", t, channels // groups) for t in (scale, bias))
    return call("F.group_norm", use.tensor(0), groups, scale, bias, epsilon)


@operator("LRN")
def local_response(use: Use) -> Code:
    size, bias = use.attribute("size"), float32(use.attribute("bias", 1.0))
    alpha, beta = float32(use.attribute("alpha", 1e-4)), float32(use.attribute("beta", 0.75))
    return use.helper("local_response_norm", use.tensor(0), size, alpha, beta, bias)


@operator("LpNormalization")
def lp_norm(use: Use) -> Code:
    """Zero vectors stay zero."""
    return use.helper("lp_normalize", use.tensor(0), use.attribute("p", 2), use.attribute("axis", -1))


@operator("MeanVarianceNormalization", since=9)
def mean_variance(use: Use) -> Code:
    return use.helper("mean_variance_norm", use.tensor(0), tuple(use.attribute("axes", (0, 2, 3))))


@operator("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood(use: Use) -> Code:
    arguments = {"reduction": _reduction(use)}
    if "ignore_index" in use.node.attributes:
        arguments["ignore_index"] = use.attribute("ignore_index")
    return call("F.nll_loss", use.tensor(0), code("{}.long()", use.tensor(1)), use.optional(2), **arguments)


@operator("SoftmaxCrossEntropyLoss", since=12)
def cross_entropy(use: Use) -> tuple[Code, ...] | Code:
    named = use.let("log_probabilities", call("torch.log_softmax", use.tensor(0), dim=1))
    arguments = {"reduction": _reduction(use)}
    if "ignore_index" in use.node.attributes:
        arguments["ignore_index"] = use.attribute("ignore_index")
    loss = call("F.nll_loss", named, code("{}.long()", use.tensor(1)), use.optional(2), **arguments)
    return (loss, named) if use.wants(1) else loss


def _reduction(use: Use) -> str:
    reduction = use.attribute("reduction", "mean")
    if reduction not in ("none", "mean", "sum"):
        use.refuse(f"its reduction {reduction!r} is unknown")
    return str(reduction)
