"""ONNX Runtime as the judge of what a writer made: one thread, nothing said, inputs in the order of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

Level: Any = onnxruntime.GraphOptimizationLevel


def session_of(model: Path | bytes, *, optimised: bool = True) -> Any:
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = Level.ORT_ENABLE_ALL if optimised else Level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_onnxruntime(proto: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of a model in memory, in the order of its graph."""
    return run_session(session_of(proto.SerializeToString()), inputs)


def run_session(session: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    names = (value.name for value in session.get_inputs())
    outputs: list[np.ndarray] = session.run(None, dict(zip(names, inputs, strict=True)))
    return outputs
