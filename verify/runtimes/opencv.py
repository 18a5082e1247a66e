"""OpenCV's DNN module: an `.onnx` file, on the CPU, or on a GPU where this build of OpenCV has CUDA.

Run in a process of its own: a graph it dislikes can end it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import onnx

from zoo.base.artifact import TensorSpec
from zoo.base.errors import MissingBackend, VerificationError
from zoo.base.optional import require
from zoo.verify.runtimes.onnx_file import expose, refuse_outside
from zoo.verify.runtimes.protocol import (
    Array,
    Bound,
    Settings,
    Tensors,
    bind_by_running,
    host_memory,
    refuse_precision,
)
from zoo.verify.runtimes.quiet import captured_stderr


class OpenCVRunner:
    """A net. Names, types and shapes of inputs and outputs are the ONNX file's: OpenCV keeps names only."""

    def __init__(self, path: Path, settings: Settings, engine: str) -> None:
        self._cv2 = cv2 = require("cv2", "running a model in OpenCV")
        self.device = f"cuda:{settings.index}" if settings.on_gpu else "cpu"
        self.runtime = f"opencv {cv2.__version__}"
        self._path, self._settings, self._engine = path, settings, engine
        cv2.setNumThreads(settings.threads)
        self.inputs, self.outputs = _specs(path)
        self._net = _net(cv2, path, settings, engine)
        self._names = _own_names(self._net, self.outputs)

    def run(self, feeds: Tensors) -> dict[str, Array]:
        found = self._forward(feeds)
        missing = [spec.name for spec in self.outputs if spec.name not in found]
        if missing:
            raise VerificationError(f"{self._path.name}: OpenCV gives nothing for the output {missing[0]}")
        return found

    def _forward(self, feeds: Tensors) -> dict[str, Array]:
        """The outputs but those of layers that OpenCV has fused: it gives nothing there."""
        try:
            for name, array in feeds.items():
                self._net.setInput(array, name)
            results = self._net.forward(self._names)
        except self._cv2.error as error:
            raise VerificationError(f"{self._path.name}: the run ends with: {error}") from error
        return {spec.name: array for spec, array in zip(self.outputs, results, strict=True) if array is not None}

    def bind(self, feeds: Tensors) -> Bound:
        return bind_by_running(self.run, feeds)

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """See `Runner`. Every tensor becomes an output of a net of its own; empty where OpenCV cannot run that."""
        with tempfile.TemporaryDirectory() as folder:
            exposed = Path(folder) / "exposed.onnx"
            nodes = expose(self._path, exposed)
            try:
                runner = OpenCVRunner(exposed, self._settings, self._engine)
                found = runner._forward(feeds)
            except VerificationError:
                return {}
        return {node: found[tensor] for tensor, node in nodes.items() if tensor in found}

    def memory(self) -> dict[str, int]:
        return {"host": host_memory()}

    def close(self) -> None:
        del self._net


def load(path: Path, settings: Settings) -> OpenCVRunner:
    """Open an .onnx file. See `zoo.verify.runtimes.protocol`."""
    if settings.on_gpu:
        _need_cuda(require("cv2", "running a model in OpenCV"), settings)
    refuse_precision("OpenCV", settings, ("fp32", "fp16") if settings.on_gpu else ("fp32",))
    return OpenCVRunner(path, settings, _engine(path))


def _need_cuda(cv2: Any, settings: Settings) -> None:
    """Raise MissingBackend where this OpenCV cannot run networks on the GPU asked for; it would use the CPU."""
    if cv2.dnn.DNN_TARGET_CUDA not in cv2.dnn.getAvailableTargets(cv2.dnn.DNN_BACKEND_CUDA):
        raise MissingBackend(
            f"{settings.device} was asked for, but this OpenCV build has no CUDA ({cv2.__version__})",
            hint="use the device cpu: no published wheel has CUDA; build OpenCV with OPENCV_DNN_CUDA for it",
        )
    if settings.index >= cv2.cuda.getCudaEnabledDeviceCount():
        raise MissingBackend(
            f"{settings.device} was asked for, but OpenCV sees {cv2.cuda.getCudaEnabledDeviceCount()} GPUs",
            hint="nvidia-smi lists what is here",
        )


def _net(cv2: Any, path: Path, settings: Settings, engine: str) -> Any:
    """The net, ready to run. Of OpenCV 5's two engines the new one runs on CPUs only."""
    wanted = settings.on_gpu or engine == "classic"
    classic = [cv2.dnn.ENGINE_CLASSIC] if wanted and hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    try:
        with captured_stderr():
            net = cv2.dnn.readNetFromONNX(str(path), *classic)
    except cv2.error as error:
        raise VerificationError(f"{path.name}: OpenCV {cv2.__version__} refuses the model: {error}") from error
    if settings.on_gpu:
        half = settings.precision == "fp16"
        cv2.cuda.setDevice(settings.index)
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_CUDA)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CUDA_FP16 if half else cv2.dnn.DNN_TARGET_CUDA)
    return net


def _engine(path: Path) -> str:
    """What the detector.json beside the model says about OpenCV 5's engines; "" where it says nothing."""
    beside = path.with_name("detector.json")
    try:
        return str(json.loads(beside.read_bytes()).get("engine", "")) if beside.is_file() else ""
    except (ValueError, AttributeError) as error:
        raise VerificationError(f"{beside} is no description of a detector: {error}") from error


def _own_names(net: Any, outputs: tuple[TensorSpec, ...]) -> list[str]:
    """OpenCV's names of the outputs: those of the file, or, in older engines, "onnx_node_output_0!name"."""
    known = {name.rpartition("!")[2]: name for name in net.getUnconnectedOutLayersNames()}
    return [known.get(spec.name, spec.name) for spec in outputs]


def _specs(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    try:
        model = onnx.load(path, load_external_data=False)
        refuse_outside(path, model)
        graph = model.graph
    except Exception as error:  # protobuf raises what its parser finds
        raise VerificationError(f"{path.name} is no ONNX file to run: {error}") from error
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in constants)
    return inputs, tuple(_spec(value) for value in graph.output)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in kind.shape.dim)
    return TensorSpec(value.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape)
