"""Weights → initializers: batch normalisation folded in float64, or kept as a node with each program's formula.

AlexeyAB/darknet divides by √(variance + 1e-5), pjreddie/darknet by √variance + 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.convert.from_darknet.context import Array, Context, Factors
from zoo.convert.onnx_graph.build import plain_chunks, scaled_chunks


def deviation(context: Context, variance: Array) -> Factors:
    """What the program divides by."""
    wide = variance.astype(np.float64)
    return np.sqrt(wide) + 1e-6 if context.network.dialect == "pj" else np.sqrt(wide + np.float64(np.float32(1e-5)))


def folded(context: Context, tensors: Mapping[str, Array]) -> tuple[Factors | None, Factors]:
    """The factor for each filter (None: 1) and the bias that remain of bias and batch norm."""
    bias = tensors["bias"].astype(np.float64)
    if "scale" not in tensors:
        return None, bias
    factors = tensors["scale"].astype(np.float64) / deviation(context, tensors["variance"])
    return factors, bias - tensors["mean"].astype(np.float64) * factors


def kernel_and_bias(
    context: Context, name: str, tensors: Mapping[str, Array], kernel: Array | None = None
) -> tuple[str, str]:
    """Initializers for a convolution or a matrix; bias is "" where a BatchNormalization is to follow."""
    kernel = tensors["kernel"] if kernel is None else kernel
    if context.options.keep_batch_norm and "scale" in tensors:
        return context.graph.blob(f"{name}.kernel", kernel.shape, plain_chunks(kernel)), ""
    factors, bias = folded(context, tensors)
    chunks = plain_chunks(kernel) if factors is None else scaled_chunks(kernel, factors)
    return context.graph.blob(f"{name}.kernel", kernel.shape, chunks), vector(context, f"{name}.bias", bias)


def vector(context: Context, name: str, values: Factors | Array) -> str:
    """A vector as an initializer under its own name."""
    return context.graph.blob(name, values.shape, plain_chunks(values.astype(np.float32)))


def batch_normalization(context: Context, name: str, tensors: Mapping[str, Array], value: str, hint: str) -> str:
    """A BatchNormalization node that computes the program's own formula."""
    epsilon, variance = 1e-5, tensors["variance"]
    if context.network.dialect == "pj":
        epsilon, variance = 0.0, np.square(deviation(context, variance)).astype(np.float32)
    bias = tensors.get("bias", np.zeros_like(tensors["scale"]))
    pairs = (("scale", tensors["scale"]), ("bias", bias), ("mean", tensors["mean"]), ("variance", variance))
    parts = [vector(context, f"{name}.{part}", values) for part, values in pairs]
    return context.graph.op("BatchNormalization", value, *parts, hint=hint, epsilon=epsilon)
