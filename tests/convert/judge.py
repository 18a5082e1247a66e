"""ONNX Runtime as the judge of what a writer made: one thread, nothing said, inputs in the order of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime


def run_onnxruntime(proto: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of a model in memory, in the order of its graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = (value.name for value in session.get_inputs())
    outputs: list[Any] = session.run(None, dict(zip(names, inputs, strict=True)))
    return outputs
