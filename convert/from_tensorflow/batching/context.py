"""What the batching rules work with: making operators in the new graph, and knowing sizes while it is being built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import context as eager_context
from tensorflow.python.eager.context import eager_mode
from tensorflow.python.eager.execute import quick_execute
from tensorflow.python.framework import tensor_util

from zoo.convert.from_tensorflow.batching.value import NotBatched, Value
from zoo.convert.from_tensorflow.graph import Node

SMALL = 256  # elements: of constants that are shapes, axes and the like, computed while the graph is built


@dataclass(frozen=True)
class Context:
    """The graph under construction, which is TensorFlow's default graph while rules run."""

    graph: Any

    def copy(self, node: Node, tensors: list[Any]) -> list[Any]:
        """The outputs of the operator of `node`, with its attributes, on other inputs; computed where they are small
        constants."""
        attributes = {key: value for key, value in node.attributes.items() if key[0] != "_"}
        operation = self.graph._create_op_internal(node.op, tensors, attrs=attributes, name=node.name)
        outputs = list(operation.outputs)
        small = all(_is_small(tensor) for tensor in (*tensors, *outputs))
        return _computed(operation) if tensors and small and all(static(t) is not None for t in tensors) else outputs


def _is_small(tensor: Any) -> bool:
    count = tensor.shape.num_elements()
    return tensor.dtype != tf.string and (count is None or count <= SMALL)


def static(tensor: Any) -> np.ndarray | None:
    """The value of a tensor that is known while the graph is built; None of any other."""
    array = tensor_util.constant_value(tensor)
    return None if array is None else np.asarray(array)


def sizes_in(tensor: Any) -> list[int | None] | None:
    """What is known of the elements of a one-dimensional tensor of sizes; None where nothing is."""
    if tensor.shape.rank != 1 or tensor.dtype not in (tf.int32, tf.int64) or tensor.shape[0] is None:
        return None
    array = static(tensor)
    if array is not None:
        return [int(size) for size in array]
    shape = tensor_util.constant_value_as_shape(tensor)
    return None if shape.rank is None else list(shape.as_list())


def constant(value: Value, node: Node, what: str) -> np.ndarray:
    """The value of an input that the rule must know. Raises NotBatched where it is computed from the image."""
    array = static(value.tensor) if value.is_shared else None
    if array is None:
        raise NotBatched(f"{node}: its {what} is not constant")
    return array


def _computed(operation: Any) -> list[Any]:
    """The outputs of an operator whose inputs are constants, as constants of the new graph."""
    attributes = []
    for attribute in operation.op_def.attr:
        value = operation.get_attr(attribute.name)
        attributes += [attribute.name, value.as_datatype_enum if isinstance(value, tf.DType) else value]
    arrays = [static(tensor) for tensor in operation.inputs]
    eager_context().ensure_initialized()
    with eager_mode():
        inputs = [tf.constant(array, tensor.dtype) for array, tensor in zip(arrays, operation.inputs, strict=True)]
        results = quick_execute(operation.type, len(operation.outputs), inputs, tuple(attributes), eager_context())
        arrays = [result.numpy() for result in results]
    return [tf.constant(array) for array in arrays]
