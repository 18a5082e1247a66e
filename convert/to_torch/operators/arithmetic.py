"""Element by element: arithmetic, comparison, logic, and conversions of the element type."""

from __future__ import annotations

import re
from functools import reduce

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from zoo.convert.to_torch.code import Code, call, code
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use

FUNCTIONS = {
    "Abs": "torch.abs",
    "Acos": "torch.acos",
    "Acosh": "torch.acosh",
    "Asin": "torch.asin",
    "Asinh": "torch.asinh",
    "Atan": "torch.atan",
    "Atanh": "torch.atanh",
    "BitwiseAnd": "torch.bitwise_and",
    "BitwiseNot": "torch.bitwise_not",
    "BitwiseOr": "torch.bitwise_or",
    "BitwiseXor": "torch.bitwise_xor",
    "Ceil": "torch.ceil",
    "Cos": "torch.cos",
    "Cosh": "torch.cosh",
    "Det": "torch.linalg.det",
    "Erf": "torch.erf",
    "Exp": "torch.exp",
    "Floor": "torch.floor",
    "IsNaN": "torch.isnan",
    "Log": "torch.log",
    "Neg": "torch.neg",
    "Not": "torch.logical_not",
    "Reciprocal": "torch.reciprocal",
    "Round": "torch.round",
    "Sign": "torch.sign",
    "Sin": "torch.sin",
    "Sinh": "torch.sinh",
    "Sqrt": "torch.sqrt",
    "Tan": "torch.tan",
}
INFIX = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Equal": "==",
    "Less": "<",
    "LessOrEqual": "<=",
    "Greater": ">",
    "GreaterOrEqual": ">=",
}


@operator(*FUNCTIONS)
def function(use: Use) -> Code:
    return call(FUNCTIONS[use.node.op], *use.tensors())


@operator(*INFIX, since=7)
def infix(use: Use) -> Code:
    left, right = operands(use)
    return code("{} " + INFIX[use.node.op] + " {}", left, right)


@operator("And", "Or", "Xor", since=7)
def logic(use: Use) -> Code:
    sign = {"And": "&", "Or": "|", "Xor": "^"}[use.node.op]
    return code("{} " + sign + " {}", use.tensor(0), use.tensor(1))


@operator("Div", since=7)
def divide(use: Use) -> Code:
    left, right = operands(use)
    if use.is_integer():
        return call("torch.div", use.tensor(0), right, rounding_mode="trunc")
    return code("{} / {}", left, right)


@operator("Pow", since=7)
def power(use: Use) -> Code:
    """The result has the type of the base, whatever the exponent's."""
    exponent = parenthesised(use.operand(1))
    result = code("{} ** {}" if exponent.startswith("(") else "{}**{}", use.tensor(0), exponent)
    if use.dtype(0) == use.dtype(1):
        return result
    return code("({}).to({}.dtype)", result, use.tensor(0))


@operator("Mod", since=10)
def modulo(use: Use) -> Code:
    """fmod=1 has the sign of the dividend, fmod=0 (integers) that of the divisor."""
    return call("torch.fmod" if use.attribute("fmod", 0) else "torch.remainder", use.tensor(0), operands(use)[1])


@operator("BitShift", since=11)
def shift(use: Use) -> Code:
    sign = {"LEFT": "<<", "RIGHT": ">>"}.get(use.attribute("direction"))
    if sign is None:
        use.refuse("its direction is neither LEFT nor RIGHT")
    if use.dtype().kind == "u" and use.dtype().itemsize > 1:
        wide = code("{}.to(torch.int64) " + sign + " {}.to(torch.int64)", use.tensor(0), use.tensor(1))
        return code("({}).to({}.dtype)", wide, use.tensor(0))
    return code("{} " + sign + " {}", use.tensor(0), use.tensor(1))


def operands(use: Use) -> tuple[Code, Code]:
    """The two inputs, at least one of them a tensor."""
    left = use.operand(0) if use.number(1) is None else use.tensor(0)
    return parenthesised(left), parenthesised(use.operand(1))


def parenthesised(text: Code) -> Code:
    """Numbers below zero need parentheses beside another operator."""
    return Code(f"({text})") if text.startswith("-") else text


@operator("Min", "Max", since=6)
def extreme(use: Use) -> Code:
    function, bound = {"Min": ("torch.minimum", "max"), "Max": ("torch.maximum", "min")}[use.node.op]
    if len(use.node.inputs) == 2:
        for position in (0, 1):
            if use.number(position) is not None and use.number(1 - position) is None:
                return call(f"{use.tensor(1 - position)}.clamp", **{bound: use.operand(position)})
    return reduce(lambda left, right: call(function, left, right), use.tensors())


@operator("Sum", since=6)
def total(use: Use) -> Code:
    return Code(" + ".join(use.tensors()))


@operator("Mean", since=6)
def mean(use: Use) -> Code:
    return code("({}) / {}", Code(" + ".join(use.tensors())), len(use.node.inputs))


@operator("Clip", since=6)
def clip(use: Use) -> Code:
    """Bounds are attributes before opset 11. A lower bound above the upper one gives the upper one, as in torch."""
    bounds = {}
    for position, (name, attribute) in enumerate((("min", "min"), ("max", "max")), start=1):
        if attribute in use.node.attributes:
            bounds[name] = use.attribute(attribute)
        elif use.has(position):
            number = use.number(position)
            bounds[name] = use.tensor(position) if number is None else number
    if bounds == {"min": 0, "max": 6} and not use.is_integer():
        return call(use.layer(call("nn.ReLU6")), use.tensor(0))
    if any(isinstance(bound, Code) for bound in bounds.values()):  # torch wants two numbers or two tensors
        bounds = {name: use.tensor(("min", "max").index(name) + 1) for name in bounds}
    return call("torch.clamp", use.tensor(0), **bounds) if bounds else use.tensor(0)


@operator("IsInf", since=10)
def is_infinite(use: Use) -> Code:
    negative, positive = use.attribute("detect_negative", 1), use.attribute("detect_positive", 1)
    if negative and positive:
        return call("torch.isinf", use.tensor(0))
    if not negative and not positive:
        return call("torch.zeros_like", use.tensor(0), dtype=Code("torch.bool"))
    return call("torch.isposinf" if positive else "torch.isneginf", use.tensor(0))


@operator("Where", since=9)
def where(use: Use) -> Code:
    yes = use.operand(1) if use.number(2) is None else use.tensor(1)
    return call("torch.where", use.tensor(0), yes, use.operand(2))


@operator("Cast", since=6)
def cast(use: Use) -> Code:
    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(use.attribute("to")))
    except KeyError:
        use.refuse(f"its element type {use.attribute('to')} is unknown")
    if dtype == np.bool_ or use.dtype() != dtype:
        return call(f"{use.tensor(0)}.to", use.dtype_code(dtype))
    return use.tensor(0)


@operator("CastLike", since=15)
def cast_like(use: Use) -> Code:
    return code("{}.to({}.dtype)", use.tensor(0), use.tensor(1))


@operator("Einsum", since=12)
def einsum(use: Use) -> Code:
    equation = use.attribute("equation")
    if not re.fullmatch(r"[A-Za-z.,> -]*", equation):
        use.refuse("its equation has characters that no equation has")
    return call("torch.einsum", equation, *use.tensors())


@operator("MatMul")
def matmul(use: Use) -> Code:
    """A constant matrix on the right is a linear layer, stored transposed as PyTorch does."""
    weight = use.constant(1)
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32 or use.maybe_rank(0) in (None, 0):
        return code("{} @ {}", use.tensor(0), use.tensor(1))
    rows, columns = weight.shape
    layer = use.layer(call("nn.Linear", rows, columns, bias=False), (1,), weight=weight.T)
    return call(layer, use.tensor(0))


@operator("Gemm", since=7)
def gemm(use: Use) -> Code:
    """alpha · A · B + beta · C; a linear layer where B is constant and C is a constant vector or missing."""
    alpha, beta = use.attribute("alpha", 1.0), use.attribute("beta", 1.0)
    weight, bias = use.constant(1), use.constant(2)
    plain = weight is not None and weight.dtype == np.float32 and alpha == 1 and not use.attribute("transA", 0)
    if plain and weight is not None and (not use.has(2) or (bias is not None and beta == 1)):
        stored = weight if use.attribute("transB", 0) else weight.T
        features = stored.shape[0]
        if bias is None:
            layer = use.layer(call("nn.Linear", stored.shape[1], features, bias=False), (1,), weight=stored)
            return call(layer, use.tensor(0))
        if bias.shape in ((features,), (1, features)):
            constructor = call("nn.Linear", stored.shape[1], features)
            layer = use.layer(constructor, (1, 2), weight=stored, bias=bias.reshape(features))
            return call(layer, use.tensor(0))
    left = code("{}.T", use.tensor(0)) if use.attribute("transA", 0) else use.tensor(0)
    right = code("{}.T", use.tensor(1)) if use.attribute("transB", 0) else use.tensor(1)
    product = code("{} @ {}", left, right)
    if alpha != 1:
        product = code("{} * ({})", alpha, product)
    if not use.has(2):
        return product
    return code("{} + {}", product, use.tensor(2) if beta == 1 else code("{} * {}", beta, use.tensor(2)))
