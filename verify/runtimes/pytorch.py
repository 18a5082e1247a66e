"""PyTorch: a `.pt2` made by torch.export, or the `model.py` with `model.safetensors` that zoo writes.

Neither keeps the names of inputs and outputs in a form to rely on; they come from the manifest beside the file.
Loading a `model.py` runs it: it is opened only where the manifest records it, byte for byte.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.base.artifact import TensorSpec, read_artifact
from zoo.base.errors import MissingBackend, UsageError, VerificationError
from zoo.base.optional import require
from zoo.verify.runtimes.protocol import (
    Array,
    Bound,
    Settings,
    Tensors,
    bind_by_running,
    declared,
    host_memory,
    refuse_precision,
)
from zoo.verify.runtimes.pt2 import refuse_code
from zoo.verify.runtimes.quiet import captured_stderr

HALF = 2  # bytes
# What PyTorch on x86 leaves to MKL's vector library (ATen/cpu/vml.h).
BY_MKL = (
    *("acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "log", "log10"),
    *("log2", "sin", "sqrt", "tan", "tanh", "trunc"),
)


class TorchRunner:
    """A module in eval mode on one device."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._torch = torch = require("torch", "running a PyTorch model")
        self.runtime = f"torch {torch.__version__}"
        self._path, self._settings = path, settings
        self._device = _device(torch, settings)
        torch.set_num_threads(settings.threads)
        _settle(torch)
        declared_inputs, self.outputs = _names(path)
        self._module, sizes = _module(torch, path, self._device)
        self.inputs = tuple(_sized(spec, sizes.get(place, ())) for place, spec in enumerate(declared_inputs))
        self.device = str(self._device)

    def run(self, feeds: Tensors) -> dict[str, Array]:
        return self._run(feeds, 1 if self._settings.shared else self._settings.threads)

    def _run(self, feeds: Tensors, threads: int) -> dict[str, Array]:
        torch = self._torch
        torch.set_num_threads(threads)
        self._set_precision()
        try:
            with torch.inference_mode(), self._rounding():
                results = self._module(*self._values(feeds))
        except Exception as error:  # what a module raises cannot be foreseen
            raise VerificationError(f"{self._path.name}: the run ends with: {error}") from error
        tensors = results if isinstance(results, tuple | list) else (results,)
        names = [spec.name for spec in self.outputs]
        if len(tensors) != len(names):
            raise VerificationError(f"{self._path.name}: gives {len(tensors)} outputs, its manifest has {len(names)}")
        self.device = str(tensors[0].device)
        return {name: _in_single(tensor).cpu().numpy() for name, tensor in zip(names, tensors, strict=True)}

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """See `Runner`. Nodes are named after the operator and its number: neither form of a model keeps names."""
        found: dict[str, Array] = {}
        self._set_precision()
        with self._torch.no_grad(), self._rounding(), _watching(self._torch, found):
            self._module(*self._values(feeds))
        return found

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(partial(self._run, threads=self._settings.threads), feeds)

    def memory(self) -> dict[str, int]:
        if not self._settings.on_gpu:
            return {"host": host_memory()}
        return {"host": host_memory(), **_device_memory(self._torch, self._device)}

    def close(self) -> None:
        del self._module

    def _rounding(self) -> Any:
        """For fp16 PyTorch's own mixed precision: it multiplies matrices and kernels in float16."""
        half = self._settings.precision == "fp16"
        return self._torch.autocast(self._device.type, dtype=self._torch.float16, enabled=half)

    def _values(self, feeds: Tensors) -> list[Any]:
        return [self._torch.from_numpy(feeds[spec.name]).to(self._device) for spec in self.inputs]

    def _set_precision(self) -> None:
        """TF32 is a switch of the whole process: set before every run."""
        wanted = self._settings.precision == "tf32"
        self._torch.backends.cuda.matmul.allow_tf32 = wanted
        self._torch.backends.cudnn.allow_tf32 = wanted
        self._torch.backends.cudnn.benchmark = self._settings.tune


def _device_memory(torch: Any, device: Any) -> dict[str, int]:
    """What PyTorch holds of the GPU, with what it keeps for later."""
    return {
        "device": int(torch.cuda.memory_reserved(device)),
        "device_peak": int(torch.cuda.max_memory_reserved(device)),
    }


def load(path: Path, settings: Settings) -> TorchRunner:
    """Open a .pt2 or a model.py. See `zoo.verify.runtimes.protocol`."""
    refuse_precision("PyTorch", settings, ("fp32", "tf32", "fp16") if settings.on_gpu else ("fp32", "fp16"))
    return TorchRunner(path, settings)


def _device(torch: Any, settings: Settings) -> Any:
    if not settings.on_gpu:
        return torch.device("cpu")
    if settings.index >= torch.cuda.device_count():
        raise MissingBackend(
            f"{settings.device} was asked for, but PyTorch {torch.__version__} sees {torch.cuda.device_count()} GPUs",
            hint="zoo doctor shows the driver; PyTorch must be a build with CUDA",
        )
    return torch.device("cuda", settings.index)


def _settle(torch: Any) -> None:
    """Call each of MKL's vector functions once, on one number. MKL chooses a function's kernel on its first call, and
    that is not safe where several threads make it: with the MKL 2024.2 of PyTorch's wheels one of them may get a kernel
    of half the digits for that call (pytorch/pytorch#188792; docs/verify.md has how often)."""
    for dtype in (torch.float32, torch.float64):
        number = torch.full((1,), 0.5, dtype=dtype)
        for name in BY_MKL:
            getattr(torch, name)(number)


def _in_single(tensor: Any) -> Any:
    """float16 as float32: what a program would do with it next."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == HALF else tensor


def _watching(torch: Any, found: dict[str, Array]) -> Any:
    """While this is active, what every operator gives is copied into `found`."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        supports_higher_order_operators = True  # a loop is seen as one operator

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for one in result if isinstance(result, tuple | list) else (result,):
                if isinstance(one, torch.Tensor) and one.is_floating_point():
                    name = function.__name__.partition(".")[0]
                    found[f"{name} {len(found)}"] = one.detach().cpu().numpy().copy()
            return result

    make: Any = Watch
    return make()


def _names(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    inputs, outputs = declared(path)
    if not inputs:
        raise UsageError(f"{path}: no manifest beside it names its inputs and outputs", hint="zoo convert … --to torch")
    return inputs, outputs


def _sized(spec: TensorSpec, sizes: Sequence[int | None]) -> TensorSpec:
    """The input with the sizes that the exported program has fixed: the manifest tells what the network takes, which
    may be more."""
    if len(sizes) != len(spec.shape):
        return spec
    return replace(spec, shape=tuple(told if own is None else own for own, told in zip(sizes, spec.shape, strict=True)))


def _module(torch: Any, path: Path, device: Any) -> tuple[Any, dict[int, tuple[int | None, ...]]]:
    """The module, and of an exported program the sizes of each input by its place, None for one that is open."""
    if path.suffix != ".py":
        refuse_code(path)
    try:
        with warnings.catch_warnings(), captured_stderr():
            warnings.simplefilter("ignore")  # deprecations inside PyTorch
            if path.suffix == ".py":
                return _written(path).to(device), {}
            program = torch.export.load(path)
            if device.type != "cpu":
                program = torch.export.passes.move_to_device_pass(program, str(device))
            return program.module(), _sizes(program)
    except Exception as error:  # torch.export.load raises what its readers raise
        raise VerificationError(f"{path.name}: PyTorch {torch.__version__} refuses the model: {error}") from error


def _sizes(program: Any) -> dict[int, tuple[int | None, ...]]:
    """Of each tensor that the program takes, by its place."""
    taken = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    values = (taken[name] for name in program.graph_signature.user_inputs)
    return {
        place: tuple(size if isinstance(size, int) else None for size in value.shape)
        for place, value in enumerate(values)
        if hasattr(value, "shape")
    }


def _written(path: Path) -> Any:
    """The module of a `model.py` that the manifest vouches for."""
    if not read_artifact(path.parent).is_intact():
        raise VerificationError(f"{path.name} is not as the manifest records it: not run")
    spec = importlib.util.spec_from_file_location("zoo_written_model", path)
    if spec is None or spec.loader is None:
        raise VerificationError(f"{path.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()
