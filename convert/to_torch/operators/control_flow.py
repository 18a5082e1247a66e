"""If, Loop and Scan: ordinary Python control flow, which reads well and runs eagerly.

It can be exported where the decision depends on sizes only; torch.export refuses what depends on data. A Loop that only
carries tensors and ends when its body says so is written as two functions, which torch.while_loop can export.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.convert.onnx_graph.graph import Graph
from zoo.convert.to_torch.code import Code, call, code, literal
from zoo.convert.to_torch.sizes import Sym
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Held, Host, Items, Use


@operator("If")
def conditional(use: Use) -> Any:
    branches = {True: use.graph("then_branch"), False: use.graph("else_branch")}
    known = use.number(0)
    if known is not None and not isinstance(known, Sym):
        return tuple(use.writer.body(branches[bool(known)]))
    program = use.writer.program
    results = tuple(program.variable(f"{name}") for name in use.node.outputs)
    condition = literal(known) if known is not None else use.tensor(0)
    kinds: list[bool] = []
    for header, branch in (code("if {}:", condition), True), (Code("else:"), False):
        with program.block(header):
            outputs = use.writer.body(branches[branch])
            kinds = [isinstance(held, Items) for held in outputs]
            for result, held in zip(results, outputs, strict=True):
                program.store((result,), use.writer.as_tensor(held, use.node.outputs[0]))
    return tuple(Items(result) if is_list else result for result, is_list in zip(results, kinds, strict=True))


@operator("Loop")
def loop(use: Use) -> Any:
    """`for` over the trip count; a condition that the body computes breaks out of it."""
    body, program = use.graph("body"), use.writer.program
    if _runs_once(use):
        return _once(use, body)
    if _ends_by_data(use, body):
        return _repeated(use, body)
    carried = [_carry(use, position) for position in range(2, len(use.node.inputs))]
    collected = [use.let("collected", Code("[]")) for _ in body.outputs[1 + len(carried) :]]
    iteration = program.variable("iteration")
    for value, held in zip(body.inputs, [_number(iteration), np.array(True), *carried], strict=True):
        use.writer.hold(value.name, held)
    with program.block(code("for {} in {}:", iteration, _trips(use))):
        keep, *outputs = use.writer.body(body)
        for items, held in zip(collected, outputs[len(carried) :], strict=True):
            program.store((), call(f"{items}.append", use.writer.as_tensor(held, "collected")))
        _next(use, carried, outputs[: len(carried)])
        _break_unless(use, keep)
    return (*carried, *_stacked(use, body, collected, len(carried)))


def _runs_once(use: Use) -> bool:
    trips, first = use.number(0) if use.has(0) else None, use.number(1) if use.has(1) else True
    return trips is not None and not isinstance(trips, Sym) and trips == 1 and first is not None and bool(first)


def _once(use: Use, body: Graph) -> Any:
    """A loop of one trip (a map over a batch of 1) is its body."""
    count = len(use.node.inputs) - 2
    given = [np.array(0), np.array(True), *(use.held(position) for position in range(2, 2 + count))]
    for value, held in zip(body.inputs, given, strict=True):
        use.writer.hold(value.name, held)
    _, *outputs = use.writer.body(body)
    stacked = [call(f"{use.writer.as_tensor(held, 'item')}.unsqueeze", 0) for held in outputs[count:]]
    return (*outputs[:count], *stacked)


def _ends_by_data(use: Use, body: Graph) -> bool:
    """True where the body computes the condition, and nothing is collected."""
    made = {name: node for node in body.nodes for name in node.outputs}
    node = made.get(body.outputs[0].name)
    is_computed = node is not None and node.op != "Identity"
    carries_tensors = not any(isinstance(use.held(position), Items) for position in range(2, len(use.node.inputs)))
    return is_computed and carries_tensors and len(body.outputs) == len(use.node.inputs) - 1


def _repeated(use: Use, body: Graph) -> tuple[Code, ...]:
    """Two nested functions, and a call that repeats the second while the first says so."""
    program, count = use.writer.program, len(use.node.inputs) - 2
    hints = ("iteration", "go", *(value.name for value in body.inputs[2:]))
    parameters = tuple(program.variable(hint) for hint in hints)
    signature = ", ".join(f"{parameter}: Tensor" for parameter in parameters)
    unfinished, advance = program.variable("unfinished"), program.variable("advance")
    iteration, go = parameters[:2]
    limit = code("{} & ({} < {})", go, iteration, use.sizes(0)[0]) if use.has(0) else code("{}.clone()", go)
    with program.block(Code(f"def {unfinished}({signature}) -> Tensor:")):
        program.store((), Code(f"return {limit}"))
    for value, parameter in zip(body.inputs, parameters, strict=True):
        use.writer.hold(value.name, parameter)
    with program.block(Code(f"def {advance}({signature}) -> tuple[Tensor, ...]:")):
        outputs = [use.writer.as_tensor(held, "next") for held in use.writer.body(body)]
        fresh = [code("{}.clone()", output) if output in parameters else output for output in outputs]
        program.store((), Code(f"return {', '.join((f'{iteration} + 1', *fresh))}"))
    start = call("torch.zeros", (), dtype=Code("torch.int64"), device=use.device())
    first = use.number(1) if use.has(1) else True
    if first is None or isinstance(first, Sym):
        begin = code("{}.clone()", use.tensor(1))
    else:
        begin = call("torch.full", (), bool(first), device=use.device())
    carried = [code("{}.clone()", use.tensor(position)) for position in range(2, 2 + count)]
    results = tuple(program.variable(name or "unused") for name in ("", "", *use.node.outputs))
    program.store(results, use.helper("repeat", unfinished, advance, (start, begin, *carried)))
    return results[2:]


def _number(variable: Code) -> Host:
    return Host(np.array(Sym(variable, positive=True), object), np.dtype(np.int64))


def _carry(use: Use, position: int) -> Held:
    """A variable that starts as the input and is given a new value in each iteration."""
    held = use.held(position)
    tensor = use.writer.as_tensor(held, use.node.inputs[position])
    variable = use.let("carried", tensor)
    return Items(variable) if isinstance(held, Items) else variable


def _next(use: Use, carried: list[Held], outputs: list[Held]) -> None:
    """All at once: an output may be the old value of another."""
    targets = [held.code if isinstance(held, Items) else held for held in carried]
    values = [use.writer.as_tensor(held, "carried") for held in outputs]
    if targets:
        program = use.writer.program
        program.store(tuple(t for t in targets if isinstance(t, Code)), Code(", ".join(values)))


def _trips(use: Use) -> Code:
    """What the loop runs over; nothing if the condition is false from the start."""
    trips = call("range", use.sizes(0)[0]) if use.has(0) else use.helper("count_up")
    if not use.has(1):
        return trips
    first = use.number(1)
    if first is None:
        return code("{} if {} else ()", trips, use.tensor(1))
    return code("{} if {} else ()", trips, first) if isinstance(first, Sym) else trips if first else Code("()")


def _break_unless(use: Use, keep: Held) -> None:
    if isinstance(keep, np.ndarray):
        if bool(keep):
            return
        condition = Code("False")
    elif isinstance(keep, Host):
        element = keep.elements.item()
        if not isinstance(element, Sym) and element:
            return
        condition = literal(element)
    else:
        condition = use.writer.as_tensor(keep, "keep")
    condition = Code(f"({condition})") if " " in condition else condition
    with use.writer.program.block(code("if not {}:", condition)):
        use.writer.program.store((), Code("break"))


def _stacked(use: Use, body: Graph, collected: list[Code], carried: int) -> list[Code]:
    results = []
    for items, value in zip(collected, body.outputs[1 + carried :], strict=True):
        shape = tuple(size if isinstance(size, int) else 0 for size in value.shape or ())
        dtype = use.dtype_code(value.dtype or np.dtype(np.float32))
        results.append(use.helper("stacked", items, shape, dtype, use.device()))
    return results


@operator("Scan", since=9)
def scan(use: Use) -> Any:
    body, program, count = use.graph("body"), use.writer.program, use.attribute("num_scan_inputs")
    states = len(use.node.inputs) - count
    carried = [_carry(use, position) for position in range(states)]
    axes = use.attribute("scan_input_axes", (0,) * count)
    back = use.attribute("scan_input_directions", (0,) * count)
    steps = [use.let("steps", call(f"{use.tensor(states + i)}.unbind", axes[i])) for i in range(count)]
    steps = [code("{}[::-1]", step) if back[i] else step for i, step in enumerate(steps)]
    collected = [use.let("collected", Code("[]")) for _ in body.outputs[states:]]
    items = [program.variable("step") for _ in steps]
    for value, held in zip(body.inputs, [*carried, *items], strict=True):
        use.writer.hold(value.name, held)
    targets = Code(", ".join(items))
    source = steps[0] if count == 1 else call("zip", *steps, strict=True)
    with program.block(code("for {} in {}:", targets, source)):
        outputs = use.writer.body(body)
        for item, held in zip(collected, outputs[states:], strict=True):
            program.store((), call(f"{item}.append", use.writer.as_tensor(held, "collected")))
        _next(use, carried, outputs[:states])
    axes = use.attribute("scan_output_axes", (0,) * len(collected))
    back = use.attribute("scan_output_directions", (0,) * len(collected))
    stacked = [
        call("torch.stack", code("{}[::-1]", item) if back[i] else item, axes[i]) for i, item in enumerate(collected)
    ]
    return (*carried, *stacked)
