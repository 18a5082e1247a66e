"""The node tests of the `onnx` wheel as test cases for a writer, counted as docs/conformance.md says.

A case applies where it has an input, every input and output is a dense tensor of float32, int32, int64 or bool and it
belongs to ONNX's own operators. The first input stays an input, the others become initializers: that is how they appear
in a detector. A graph that only asks for a shape gets an input of open sizes, else its answer would be known before.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

STORED = "onnx/backend/test/data/node/"  # where wheels of onnx keep their node tests
KINDS = {TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}

Run = Callable[[onnx.ModelProto, list[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One model with inputs that are left, and for each data set the expected outputs."""

    name: str
    model: onnx.ModelProto
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    rtol: float
    atol: float

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}


@dataclass(frozen=True)
class Result:
    """`error` is empty where the case passed."""

    case: Case
    error: str

    @property
    def passed(self) -> bool:
        return not self.error


def collect() -> list[Case]:
    """Every applicable case of the installed onnx, in the order of their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generators compute infinities on purpose
        from onnx.backend.test.case.node import collect_testcases

        tests: list[Any] = [test for test in collect_testcases(None) if test.model and len(test.data_sets or ()) == 1]
    cases = [_case(test.name, test.model, test.data_sets[0], test.rtol, test.atol) for test in tests]
    return sorted(filter(None, cases), key=lambda case: case.name)


def stored(wheel: Path) -> list[Case]:
    """Every applicable case that an older wheel of onnx has as files, with that package's tolerances."""
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if name.startswith(STORED)]
        cases = [_stored_case(archive, files, name) for name in sorted({name.split("/")[5] for name in files} - {""})]
    return list(filter(None, cases))


def _stored_case(archive: zipfile.ZipFile, files: list[str], name: str) -> Case | None:
    inputs, outputs = (
        [
            onnx.load_tensor_from_string(archive.read(file))
            for file in sorted(files, key=lambda file: (len(file), file))
            if file.startswith(f"{STORED}{name}/test_data_set_0/{kind}_")
        ]
        for kind in ("input", "output")
    )
    model = onnx.load_model_from_string(archive.read(f"{STORED}{name}/model.onnx"))
    if not _applies(model):
        return None
    data = tuple([numpy_helper.to_array(tensor) for tensor in tensors] for tensors in (inputs, outputs))
    return _case(name, model, data, 1e-3, 1e-7)


def _case(name: str, model: onnx.ModelProto, data: tuple[Any, ...], rtol: float, atol: float) -> Case | None:
    inputs, outputs = data
    if not inputs or not _applies(model):
        return None
    if not all(isinstance(array, np.ndarray | np.generic) for array in (*inputs, *outputs)):
        return None
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    names = [value.name for value in model.graph.input]
    arrays = [np.asarray(array) for array in inputs]
    for initializer, array in zip(names[1:], arrays[1:], strict=False):
        fixed.graph.initializer.append(numpy_helper.from_array(array, initializer))
    if all(node.op_type in ("Shape", "Size") for node in model.graph.node):
        for axis, size in enumerate(fixed.graph.input[0].type.tensor_type.shape.dim):
            size.dim_param = f"size_{axis}"
    return Case(name, fixed, arrays[:1], [np.asarray(array) for array in outputs], rtol, atol)


def _applies(model: onnx.ModelProto) -> bool:
    values = [*model.graph.input, *model.graph.output]
    own = {entry.domain for entry in model.opset_import} <= {"", "ai.onnx"}
    return own and all(value.type.tensor_type.elem_type in KINDS for value in values)


def judge(case: Case, run: Run) -> Result:
    """Run a case and compare with the tolerance that the onnx wheel itself uses for it."""
    try:
        results = run(case.model, case.inputs)
        if len(results) != len(case.outputs):
            return Result(case, f"{len(results)} outputs, expected {len(case.outputs)}")
        for expected, result in zip(case.outputs, results, strict=True):
            _compare(expected, result, case)
    except Exception as error:  # a writer that crashes on one case must not hide the others
        lines = str(error).strip().splitlines() or [""]
        return Result(case, f"{type(error).__name__}: {lines[0][:200]}")
    return Result(case, "")


def _compare(expected: np.ndarray, result: np.ndarray, case: Case) -> None:
    if expected.dtype != result.dtype:
        raise AssertionError(f"{result.dtype}, expected {expected.dtype}")
    if expected.shape != result.shape:
        raise AssertionError(f"shape {result.shape}, expected {expected.shape}")
    if not np.allclose(result, expected, case.rtol, case.atol, equal_nan=True):
        raise AssertionError(f"numbers differ by up to {np.nanmax(np.abs(result - expected.astype(np.float64)))}")
