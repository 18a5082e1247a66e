"""Judges the structure of an untrusted ONNX model: could this graph run at all? Says which node is wrong and why.

`onnx.checker` is not used: it copies the whole model, recurses, and its messages name no node of ours. Not judged
here: whether an operator is known (the writers' tables do) and whether shapes agree (ONNX's inference does).
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import AttributeProto, GraphProto, NodeProto

from zoo.base.errors import ConversionError

MAX_DEPTH = 16  # graphs inside graphs; real models have two or three
OWN_DOMAINS = {"", "ai.onnx"}
EXPORT_AGAIN = "the file was not written by a conforming exporter: export the model again"


def describe(index: int, op: str, name: str) -> str:
    """A node as messages name it: node 12 (Conv 'backbone/conv1')."""
    return f"node {index} ({op} {name!r})" if name else f"node {index} ({op})"


def check_model(model: onnx.ModelProto, source: str) -> int:
    """The opset of `model`, whose graph is well formed. Raises ConversionError, in which `source` names the model."""
    opset = _opset(model, source)
    if len(model.graph.sparse_initializer):
        raise ConversionError(
            f"{source}: sparse initializers are not supported", hint="export the model with dense weights"
        )
    _check_graph(model.graph, source, outer=(), depth=1)
    return opset


def _opset(model: onnx.ModelProto, source: str) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in OWN_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1:
        raise ConversionError(f"{source} names {len(versions)} opsets of ONNX, expected 1", hint=EXPORT_AGAIN)
    if not 1 <= versions[0] <= newest:
        raise ConversionError(
            f"{source} is written in ONNX opset {versions[0]}; the onnx package here knows 1 to {newest}",
            hint="update the onnx package, or export the model with an older opset",
        )
    return int(versions[0])


def _check_graph(graph: GraphProto, source: str, outer: tuple[set[str], ...], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ConversionError(
            f"{source}: graphs are nested more than {MAX_DEPTH} deep", hint="no real model is: the file is hostile"
        )
    known = _given_names(graph, source)
    scopes = (*outer, known)
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    for index, node in enumerate(graph.node):
        label = describe(index, node.op_type, node.name)
        _check_domain(node, label, source)
        for name in node.input:
            if name and not _is_known(name, scopes):
                raise _missing(name, label, index, graph, producers, source)
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise ConversionError(
                    f"{source}: {label} takes attribute {attribute.name!r} from a function, but is in none",
                    hint=EXPORT_AGAIN,
                )
            for body in _bodies(attribute):
                _check_graph(body, source, scopes, depth + 1)
        for name in node.output:
            if name and _is_known(name, scopes):
                raise ConversionError(f"{source}: {label} makes {name!r}, which exists already", hint=EXPORT_AGAIN)
            known.add(name)
    for output in graph.output:
        if not _is_known(output.name, scopes):
            raise ConversionError(
                f"{source}: no node, input or initializer makes the output {output.name!r}", hint=EXPORT_AGAIN
            )


def _given_names(graph: GraphProto, source: str) -> set[str]:
    """The inputs and initializers. An initializer may share an input's name: it is then that input's fixed value."""
    for kind, entries in (("input", graph.input), ("initializer", graph.initializer)):
        names = [entry.name for entry in entries]
        if "" in names:
            raise ConversionError(f"{source}: an {kind} has no name", hint=EXPORT_AGAIN)
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConversionError(f"{source}: two {kind}s are called {twice!r}", hint=EXPORT_AGAIN)
    return {entry.name for entry in graph.input} | {entry.name for entry in graph.initializer}


def _check_domain(node: NodeProto, label: str, source: str) -> None:
    if node.domain not in OWN_DOMAINS:
        raise ConversionError(
            f"{source}: {label} is not an operator of ONNX but of {node.domain!r}",
            hint="export with standard operators only; functions of the model itself: onnx.inliner inlines them",
        )


def _bodies(attribute: AttributeProto) -> Iterable[GraphProto]:
    return [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs


def _is_known(name: str, scopes: tuple[set[str], ...]) -> bool:
    return any(name in scope for scope in scopes)


def _missing(
    name: str, label: str, index: int, graph: GraphProto, producers: dict[str, int], source: str
) -> ConversionError:
    """Why `name` is not there when the node at `index` needs it: nobody makes it, a cycle, or the wrong order."""
    if name not in producers:
        why = f"needs {name!r}, which no input, initializer or node gives"
    else:
        maker = graph.node[producers[name]]
        other = describe(producers[name], maker.op_type, maker.name)
        if _depends_on(producers[name], index, graph, producers):
            why = f"needs {name!r} of {other}, which needs this node: the graph has a cycle"
        else:
            why = f"needs {name!r} before {other} makes it: the graph is not sorted"
    return ConversionError(f"{source}: {label} {why}", hint=EXPORT_AGAIN)


def _depends_on(start: int, target: int, graph: GraphProto, producers: dict[str, int]) -> bool:
    """True where the node `start` needs, directly or not, what the node `target` makes."""
    pending, seen = [start], set()
    while pending:
        index = pending.pop()
        if index == target:
            return True
        if index not in seen:
            seen.add(index)
            pending += [producers[name] for name in graph.node[index].input if name in producers]
    return False
