"""What a layer is called: after its node, in as few words as tell it from the others.

Exporters end a node's name with its operator ("block_2/project/Conv2D", "000_convolutional.conv"); such an ending says
nothing that the layer's class does not say, so what is before it names the convolution, and "…_relu" its activation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from zoo.convert.onnx_graph.graph import Graph, Node
from zoo.convert.to_torch.naming import identifier

# Operator → what its layer adds to the name of the convolution that it belongs to.
ROLES = {
    "Conv": "",
    "ConvTranspose": "",
    "Gemm": "",
    "MatMul": "",
    "BatchNormalization": "norm",
    "Celu": "celu",
    "Clip": "relu6",
    "Elu": "elu",
    "Gelu": "gelu",
    "HardSwish": "hardswish",
    "LeakyRelu": "leaky",
    "MaxPool": "pool",
    "AveragePool": "pool",
    "Mish": "mish",
    "PRelu": "prelu",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Tanh": "tanh",
}
ENDING = re.compile(
    r"(conv(olution)?([123]d)?|depthwise|biasadd|matmul|gemm|linear|(fused)?batch_?norm(alization)?(v\d)?|norm|relu6?|"
    r"leaky(relu)?|sigmoid|tanh|mish|softplus|elu|gelu|max_?pool(2d)?|avg_?pool|average_?pool)(_\d+)*",
    re.IGNORECASE,
)
MOST_WORDS = 4  # of a path


def layer_hints(graph: Graph) -> dict[str, str]:
    """The name of the first output of each node that may become a layer → what to call the layer.

    Where the tails of two names are equal, both get longer. Nodes with the same weights are one layer.
    """
    nodes = {(node.op, node.inputs[1:] or node.outputs): node for node in _layer_nodes(graph)}
    paths = {key: _path(node) for key, node in nodes.items()}
    length = dict.fromkeys(paths, 1)
    while True:
        names = {key: _joined(path[-length[key] :], key[0]) for key, path in paths.items()}
        counts = Counter(names.values())
        short = [
            key for key, name in names.items() if counts[name] > 1 and length[key] < min(len(paths[key]), MOST_WORDS)
        ]
        if not short:
            break
        length.update({key: length[key] + 1 for key in short})
    return {
        node.outputs[0]: names[node.op, node.inputs[1:] or node.outputs] for node in _layer_nodes(graph) if node.outputs
    }


def _layer_nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        if node.op in ROLES:
            yield node
        for body in node.subgraphs():
            yield from _layer_nodes(body)


def _path(node: Node) -> list[str]:
    """The words of a node's name, without an ending that only repeats the operator."""
    parts = [part for part in re.split(r"[/:;]", node.name) if re.search("[0-9a-zA-Z]", part)]
    if not parts:
        return [f"{node.op}_{node.index}"]
    stem, dot, last = parts[-1].rpartition(".")
    if dot and stem and ENDING.fullmatch(last):
        return [*parts[:-1], stem]
    return parts[:-1] if len(parts) > 1 and ENDING.fullmatch(parts[-1]) else parts


def _joined(path: list[str], op: str) -> str:
    name, role = "_".join(path), ROLES[op]
    said = identifier(name).rstrip("0123456789_").endswith(role.rstrip("6"))
    return name if said or not role else f"{name}_{role}"
