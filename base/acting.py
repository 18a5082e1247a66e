"""What a stranger's TensorFlow graph would do besides computing: read and write files, open connections, call Python.

TensorFlow runs all of that without asking, so a graph that has such an operator is refused before TensorFlow gets it.
Graphs come as TensorFlow's protobuf messages; TensorFlow itself is not imported here, and nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

ACTING = re.compile(
    r".*PyFunc.*|RemoteCall|(Try)?Rpc.*|_?(Host)?(Send|Recv)|Collective.*|Abort|WorkerHeartbeat"
    r"|(Read|Write)File|MatchingFiles|ImmutableConst|PrintV2|FileSystemSetConfiguration|RecordInput"
    r"|.*FromTextFile.*|LoadAndRemapMatrix|GenerateVocabRemapping|FixedUnigram.*|(De|En)codeProto.*"
    r"|.*Dataset.*|.*Iterator.*|.*Reader.*|.*SummaryWriter|(Create|Write|Import).*(Summary|Event).*|Debug.*"
)
# Checkpoints. A SavedModel has these to be saved and restored; what it computes needs none of them.
SAVING = re.compile(r"Save(V2|Slices)?|MergeV2Checkpoints|DistributedSave")
RESTORING = re.compile(r"Restore(V2|Slice)?")
STARTED = ("saved_model_main_op", "legacy_init_op")  # collections that name what runs when a SavedModel is opened


def acting_in_graph(graph: Any) -> list[str]:
    """The operators of a frozen graph (GraphDef) that act, sorted."""
    return _named(_everywhere(graph), ACTING, SAVING, RESTORING)


def acting_in_saved_model(meta: Any) -> list[str]:
    """The operators of a SavedModel (MetaGraphDef) that act, sorted.

    Its saver may write and read checkpoints, and restoring it may read them. What its signatures give, what runs when
    it is opened and what its objects may call may do neither.
    """
    graph = meta.graph_def
    outputs = [info.name for signature in meta.signature_def.values() for info in signature.outputs.values()]
    started = [name for key in STARTED if key in meta.collection_def for name in _nodes(meta.collection_def[key])]
    functions = {function.signature.name: function for function in graph.library.function}
    run = [*_leading_to([*outputs, *started], graph, functions)]
    run += [node for name in meta.object_graph_def.concrete_functions for node in _inside([name], functions)]
    restoring = _leading_to([meta.saver_def.restore_op_name], graph, functions)
    return sorted({*_named(_everywhere(graph), ACTING), *_named(run, SAVING, RESTORING), *_named(restoring, SAVING)})


def _named(nodes: Iterable[Any], *patterns: re.Pattern[str]) -> list[str]:
    return sorted({node.op for node in nodes if any(pattern.fullmatch(node.op) for pattern in patterns)})


def _nodes(collection: Any) -> list[str]:
    """The names in a collection: of nodes, or as older exports wrote them."""
    return [*collection.node_list.value, *(text.decode(errors="replace") for text in collection.bytes_list.value)]


def _everywhere(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _leading_to(names: Iterable[str], graph: Any, functions: dict[str, Any]) -> Iterator[Any]:
    """The nodes that run for these tensors or nodes, control inputs and the bodies of functions included."""
    nodes = {node.name: node for node in graph.node}
    pending, seen = [*names], set[str]()
    while pending:
        name = pending.pop().lstrip("^").partition(":")[0]
        if name in nodes and name not in seen:
            seen.add(name)
            yield nodes[name]
            yield from _inside(_called(nodes[name]), functions)
            pending += nodes[name].input


def _inside(names: Iterable[str], functions: dict[str, Any]) -> Iterator[Any]:
    """The nodes of functions, and of those that these call."""
    pending, seen = [*names], set[str]()
    while pending:
        name = pending.pop()
        if name in functions and name not in seen:
            seen.add(name)
            for node in functions[name].node_def:
                yield node
                pending += _called(node)


def _called(node: Any) -> list[str]:
    """The functions that a node names: as its operator, or in its attributes."""
    values = node.attr.values()
    return [node.op, *(one.name for value in values for one in (value.func, *value.list.func) if one.name)]
