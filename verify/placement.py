"""Which operators of a model ran where: a GPU that was asked for must do the real work."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.verify.inputs import Sample, as_inputs
from zoo.verify.runtimes.protocol import Runner

# Operators that a GPU run may leave to the CPU: they compute shapes, not pixels.
SHAPE_OPERATORS = frozenset(
    (
        *("Shape", "Size", "Constant", "ConstantOfShape", "Range", "Expand", "Identity", "Cast", "Where", "Equal"),
        *("Gather", "Concat", "Slice", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "NonZero"),
        *("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Floor", "Ceil", "ReduceProd", "ReduceMax", "ReduceMin"),
    )
)


def operators_of(runner: Runner, sample: Sample) -> dict[str, dict[str, int]]:
    """Nodes by provider, where the runtime can tell and it matters: on a GPU."""
    placement = getattr(runner, "placement", None)
    return placement(as_inputs(sample.feeds, runner.inputs)) if placement and runner.device != "cpu" else {}


def left_to_cpu(operators: Mapping[str, Mapping[str, int]]) -> str:
    """Which operators that do real work ran on the CPU although a GPU was asked for."""
    left = sorted(set(operators.get("CPUExecutionProvider", {})) - SHAPE_OPERATORS)
    return f"the GPU was asked for, but the CPU ran {', '.join(left)}" if left else ""
