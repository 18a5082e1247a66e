"""Darknet's activations as ONNX nodes: name → function (context, value, name of the result) → value.

mish has no fast operator: ONNX Runtime's Softplus takes 35–45 ns an element on one core, its other elementwise
operators about 1.5. With s = sigmoid(x) and p = s·(2 − s),

    tanh(softplus(x)) = ((1 + eˣ)² − 1) / ((1 + eˣ)² + 1) = p / (2 − p),

which needs no exponential of its own, cannot overflow, and is as exact as Softplus → Tanh → Mul (2.4e-6 against
2.3e-6 from float64 over ±15) in a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Callable

from zoo.convert.onnx_graph.build import GraphBuilder

Emit = Callable[[GraphBuilder, str, str], str]


def activate(graph: GraphBuilder, activation: str, value: str, name: str) -> str:
    """Apply an activation; the result is called `name`. linear adds no node."""
    return value if activation == "linear" else ACTIVATIONS[activation](graph, value, name)


def _one(op: str, **attributes: float) -> Emit:
    def emit(graph: GraphBuilder, value: str, name: str) -> str:
        return graph.op(op, value, hint=name, **attributes)

    return emit


def _clip(low: float, high: float) -> Emit:
    def emit(graph: GraphBuilder, value: str, name: str) -> str:
        return graph.op("Clip", value, graph.constant(low), graph.constant(high), hint=name)

    return emit


def _swish(graph: GraphBuilder, x: str, name: str) -> str:
    return graph.op("Mul", x, graph.op("Sigmoid", x, hint=f"{name}.sigmoid"), hint=name)


def _mish(graph: GraphBuilder, x: str, name: str) -> str:
    two = graph.constant(2.0)
    sigmoid = graph.op("Sigmoid", x, hint=f"{name}.sigmoid")
    p = graph.op("Mul", sigmoid, graph.op("Sub", two, sigmoid, hint=f"{name}.a"), hint=f"{name}.p")
    tanh = graph.op("Div", p, graph.op("Sub", two, p, hint=f"{name}.b"), hint=f"{name}.tanh")
    return graph.op("Mul", x, tanh, hint=name)


def _hard_mish(graph: GraphBuilder, x: str, name: str) -> str:
    """x above 0, x²/2 + x from −2 to 0, 0 below: relu(x) + c·(c/2 + 1) with c = clip(x, −2, 0)."""
    c = _clip(-2.0, 0.0)(graph, x, f"{name}.c")
    half = graph.op("Mul", c, graph.constant(0.5), hint=f"{name}.half")
    curve = graph.op("Mul", c, graph.op("Add", half, graph.constant(1.0), hint=f"{name}.b"), hint=f"{name}.curve")
    return graph.op("Add", graph.op("Relu", x, hint=f"{name}.relu"), curve, hint=name)


def _ramp(graph: GraphBuilder, x: str, name: str) -> str:
    """x·(x > 0) + x/10."""
    tenth = graph.op("Mul", x, graph.constant(0.1), hint=f"{name}.tenth")
    return graph.op("Add", graph.op("Relu", x, hint=f"{name}.relu"), tenth, hint=name)


def _loggy(graph: GraphBuilder, x: str, name: str) -> str:
    """2 / (1 + e⁻ˣ) − 1 = tanh(x / 2)."""
    return graph.op("Tanh", graph.op("Mul", x, graph.constant(0.5), hint=f"{name}.half"), hint=name)


def _gelu(graph: GraphBuilder, x: str, name: str) -> str:
    """x/2 · (1 + tanh(0.797885·x + 0.035677·x³)), the constants as the program has them."""
    square = graph.op("Mul", x, x, hint=f"{name}.square")
    cubic = graph.op("Mul", square, graph.constant(0.035677), hint=f"{name}.a")
    inner = graph.op("Mul", x, graph.op("Add", cubic, graph.constant(0.797885), hint=f"{name}.b"), hint=f"{name}.c")
    tanh = graph.op("Tanh", inner, hint=f"{name}.tanh")
    half = graph.op("Mul", x, graph.constant(0.5), hint=f"{name}.half")
    return graph.op("Mul", half, graph.op("Add", tanh, graph.constant(1.0), hint=f"{name}.d"), hint=name)


def _linear_outside(low: float, high: float, slope: float, inside: float, offset: float) -> Emit:
    """inside·c + offset + slope·(x − c) with c = clip(x, low, high): linear pieces of plse and lhtan."""

    def emit(graph: GraphBuilder, x: str, name: str) -> str:
        c = _clip(low, high)(graph, x, f"{name}.c")
        rest = graph.op("Sub", x, c, hint=f"{name}.rest")
        outer = graph.op("Mul", rest, graph.constant(slope), hint=f"{name}.outer")
        inner = c if inside == 1 else graph.op("Mul", c, graph.constant(inside), hint=f"{name}.inner")
        inner = inner if not offset else graph.op("Add", inner, graph.constant(offset), hint=f"{name}.offset")
        return graph.op("Add", inner, outer, hint=name)

    return emit


def _stair(graph: GraphBuilder, x: str, name: str) -> str:
    """floor(x/2), plus x − floor(x) where floor(x) is odd."""
    n = graph.op("Floor", x, hint=f"{name}.n")
    halved = graph.op("Mul", n, graph.constant(0.5), hint=f"{name}.halved")
    half = graph.op("Floor", halved, hint=f"{name}.half")
    odd = graph.op("Ceil", graph.op("Sub", halved, half, hint=f"{name}.parity"), hint=f"{name}.odd")
    slope = graph.op("Mul", graph.op("Sub", x, n, hint=f"{name}.rest"), odd, hint=f"{name}.slope")
    return graph.op("Add", half, slope, hint=name)


def _normalize(softmax: bool, maximum: bool) -> Emit:
    """Over the channels of each place: relu(x) or eˣ⁻ᵐ, divided by 1e-4 plus the sum of it."""

    def emit(graph: GraphBuilder, x: str, name: str) -> str:
        if maximum:
            top = graph.op("ReduceMax", x, hint=f"{name}.max", axes=[1], keepdims=1)
            x = graph.op("Sub", x, top, hint=f"{name}.shifted")
        part = graph.op("Exp" if softmax else "Relu", x, hint=f"{name}.part")
        total = graph.op("ReduceSum", part, graph.integers(1), hint=f"{name}.sum", keepdims=1)
        return graph.op("Div", part, graph.op("Add", total, graph.constant(1e-4), hint=f"{name}.eps"), hint=name)

    return emit


ACTIVATIONS: dict[str, Emit] = {
    "elu": _one("Elu", alpha=1.0),
    "gelu": _gelu,
    "hard_mish": _hard_mish,
    "hardtan": _clip(-1.0, 1.0),
    "leaky": _one("LeakyRelu", alpha=0.1),
    "lhtan": _linear_outside(0.0, 1.0, 0.001, 1.0, 0.0),
    "loggy": _loggy,
    "logistic": _one("Sigmoid"),
    "mish": _mish,
    "normalize_channels": _normalize(softmax=False, maximum=False),
    "normalize_channels_softmax": _normalize(softmax=True, maximum=False),
    "normalize_channels_softmax_maxval": _normalize(softmax=True, maximum=True),
    "plse": _linear_outside(-4.0, 4.0, 0.01, 0.125, 0.5),
    "ramp": _ramp,
    "relie": _one("LeakyRelu", alpha=0.01),
    "relu": _one("Relu"),
    "relu6": _clip(0.0, 6.0),
    "revleaky": _one("LeakyRelu", alpha=0.1),
    "selu": _one("Selu", alpha=1.6732, gamma=1.0507),
    "stair": _stair,
    "swish": _swish,
    "tanh": _one("Tanh"),
}
