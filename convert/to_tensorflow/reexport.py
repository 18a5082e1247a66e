"""TensorFlow → TensorFlow, not through ONNX: a TF 1 frozen graph or an old SavedModel as a SavedModel of today.

The network stays the source's own, with its names and outputs; only the signature is new: `serving_default` with the
batch and size that are asked for. A SavedModel that was exported for batch 1 answers for the first picture of a batch
only, without an error; the new one runs it once for each picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from zoo.base.artifact import Artifact, FileRecord, TensorSpec
from zoo.base.errors import ConversionError, UsageError
from zoo.base.files import atomic_folder
from zoo.convert.from_tensorflow.meaning import INPUT_MEANING, meaning_of
from zoo.convert.from_tensorflow.resizer import corrected
from zoo.convert.from_tensorflow.source import FROZEN, Source, find_source
from zoo.convert.from_tensorflow.text_protos import read_labels, read_pipeline
from zoo.convert.to_tensorflow.artifact import SAVED_MODEL, record_of
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.saved_model import save, signature_names
from zoo.convert.versions import versions

DIRECT = "written from the TensorFlow source itself, not through ONNX"
ONE_BY_ONE = "the source was exported for batch 1: each picture of a batch runs by itself"


Run = Callable[..., Mapping[str, tf.Tensor]]


@dataclass(frozen=True)
class ReexportOptions:
    """`batch`, `width` and `height` fix the input's sizes; None leaves each as open as the source has it, but for a
    batch of 1, which opens. `signature` is the SavedModel's.
    """

    batch: int | None = None
    width: int | None = None
    height: int | None = None
    signature: str = "serving_default"

    def __post_init__(self) -> None:
        for name in ("batch", "width", "height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")


@dataclass(frozen=True)
class Network:
    """A loaded source: `run` takes the inputs by name and gives the outputs by name; `keep` are its variables."""

    run: Run
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    keep: Any


def tensorflow_to_tensorflow(
    source: Path,
    out: Path,
    options: ReexportOptions = ReexportOptions(),
    *,
    name: str = "",
    labels: tuple[str, ...] = (),
) -> Artifact:
    """Write the frozen graph (.pb), SavedModel or zoo archive's folder `source` to `out`/saved_model, with a manifest.

    Raises ConversionError where the source is damaged, UsageError where an option cannot be met. Then nothing is
    written.
    """
    found = find_source(source.resolve())
    with quietly():
        network = _frozen(found) if found.kind == FROZEN else _saved(found, options.signature)
    facts = read_pipeline(found.pipeline_config) if found.pipeline_config else {}
    inputs = {key: _asked(spec, options) for key, spec in network.inputs.items()}
    fitted = _fitting(found, options, inputs, facts)
    is_repeated = any(_batch(network.inputs[key]) == 1 != _batch(spec) for key, spec in inputs.items())
    if is_repeated:
        network = dataclasses.replace(network, run=_one_by_one(network))
    with quietly(), atomic_folder(out) as folder:
        signature = _signature(network.run, inputs)
        exported = tf.Module()
        exported.weights = network.keep
        written = _saved_again(exported, signature, folder / SAVED_MODEL, found)
        outputs = signature.get_concrete_function().structured_outputs
        artifact = Artifact(
            folder=out,
            name=name or source.resolve().stem,
            format="tf",
            family="tensorflow",
            sources=tuple(FileRecord.of(path, role) for role, path in found.files),
            files=tuple(record_of(path, folder) for path in written),
            inputs=tuple(_described(spec, key, INPUT_MEANING, is_picture=True) for key, spec in inputs.items()),
            outputs=tuple(_described(spec, key, meaning_of(key)) for key, spec in sorted(outputs.items())),
            options=dataclasses.asdict(options),
            detector={"box_format": "yxyx", "first_class": 1, **facts, **fitted},
            versions=versions(tensorflow=str(tf.__version__)),
            labels=labels or (read_labels(found.label_map) if found.label_map else ()),
            notes=(DIRECT, ONE_BY_ONE) if is_repeated else (DIRECT,),
        )
        dataclasses.replace(artifact, folder=folder).write()
    return artifact


def _frozen(source: Source) -> Network:
    """The graph's placeholders are the inputs, what the Object Detection API calls its results the outputs."""
    from zoo.convert.from_tensorflow.load import load

    try:
        definition = tf.compat.v1.GraphDef.FromString(source.path.read_bytes())
        whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    except (ValueError, DecodeError, OSError, tf.errors.OpError) as error:
        raise _unreadable(source, error) from error
    loaded = load(source, "")
    inputs = {key: whole.graph.get_tensor_by_name(reference) for key, reference in loaded.inputs.items()}
    names = signature_names(list(loaded.outputs))
    results = {
        key: whole.graph.get_tensor_by_name(reference)
        for key, reference in zip(names, loaded.outputs.values(), strict=True)
    }
    pruned = whole.prune(list(inputs.values()), results)
    keys = signature_names(list(inputs))
    specs = {key: _spec(tensor) for key, tensor in zip(keys, inputs.values(), strict=True)}

    def run(**values: tf.Tensor) -> Mapping[str, tf.Tensor]:
        found: Mapping[str, tf.Tensor] = pruned(*(values[key] for key in keys))
        return found

    return Network(run, specs, {key: _spec(tensor) for key, tensor in results.items()}, [])


def _spec(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _unreadable(source: Source, error: Exception) -> ConversionError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return ConversionError(
        f"{source.path} cannot be loaded by TensorFlow: {reason}",
        hint="fetch or export it again, and compare its size and hash with the original",
    )


def _saved(source: Source, signature: str) -> Network:
    """A SavedModel of TensorFlow 1 or 2, with its variables."""
    try:
        model = tf.saved_model.load(str(source.path))
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise _unreadable(source, error) from error
    if signature not in model.signatures:
        known = ", ".join(sorted(model.signatures)) or "none"
        raise ConversionError(f"{source.path} has no signature {signature!r}", hint=f"it has: {known}")
    function = model.signatures[signature]
    inputs = dict(sorted(function.structured_input_signature[1].items()))
    outputs = {key: _spec(value) for key, value in function.structured_outputs.items()}
    return Network(function, inputs, outputs, list(function.variables))


def _saved_again(exported: tf.Module, signature: Any, folder: Path, source: Source) -> list[Path]:
    try:
        return save(exported, signature, folder)
    except AssertionError as error:  # what TensorFlow raises for a resource that is no variable
        raise ConversionError(
            f"{source.path} keeps more than variables (a table, a file): {str(error).splitlines()[0][:200]}",
            hint="convert it through ONNX: zoo convert … --to onnx, and that file --to tf",
        ) from error


def _signature(run: Run, inputs: Mapping[str, tf.TensorSpec]) -> Any:
    named = [tf.TensorSpec(spec.shape, spec.dtype, key) for key, spec in inputs.items()]

    def serving_default(*values: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return run(**dict(zip(inputs, values, strict=True)))

    return tf.function(serving_default, input_signature=named, autograph=False)


def _asked(spec: tf.TensorSpec, options: ReexportOptions) -> tf.TensorSpec:
    """The input as asked for. Pictures are [batch, height, width, 3]; other inputs keep their sizes."""
    if spec.shape.rank != 4:
        return spec
    sizes = spec.shape.as_list()
    wanted = [options.batch, options.height, options.width]
    for axis, (size, what) in enumerate(zip(wanted, ("batch", "height", "width"), strict=True)):
        fixed = sizes[axis] if axis else None
        if size is not None and fixed not in (None, size):
            raise UsageError(
                f"the source takes {what} {fixed} only, not {size}", hint=f"leave {what} out, or ask for {fixed}"
            )
        sizes[axis] = fixed if size is None else size
    return tf.TensorSpec(sizes, spec.dtype)


def _fitting(
    source: Source, options: ReexportOptions, inputs: Mapping[str, tf.TensorSpec], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """How the source fits pictures, where the new file takes them in one size and the program around it must do so."""
    from zoo.convert.from_tensorflow.fitting import fitting
    from zoo.convert.from_tensorflow.load import load

    if not any(spec.shape.rank == 4 and spec.shape[1:3].is_fully_defined() for spec in inputs.values()):
        return {}
    try:
        with quietly():
            return corrected(fitting(load(source, options.signature)), facts)
    except ConversionError:  # of a graph that TensorFlow runs and zoo does not read
        return {}


def _batch(spec: tf.TensorSpec) -> int | None:
    """The fixed batch of an input; 0 where it is no picture."""
    return spec.shape[0] if spec.shape.rank == 4 else 0


def _one_by_one(network: Network) -> Run:
    """Run the network on each picture and put the results one after another: most have one row for a picture, an inner
    result of a detector of two stages has one for each of its proposals."""

    def one(pictures: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return network.run(**{key: picture[None] for key, picture in pictures.items()})

    def each(**values: tf.Tensor) -> Mapping[str, tf.Tensor]:
        found = tf.map_fn(one, values, fn_output_signature=dict(network.outputs))
        return {key: _joined(value, network.outputs[key]) for key, value in found.items()}

    return each


def _joined(results: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """[N, K, …], what each of N pictures gave, as [N · K, …]."""
    sizes = tf.shape(results)
    joined = tf.reshape(results, tf.concat([sizes[:1] * sizes[1:2], sizes[2:]], 0))
    joined.set_shape(tf.TensorShape([None]).concatenate(spec.shape[1:]))
    return joined


def _described(spec: tf.TensorSpec, name: str, meaning: str, *, is_picture: bool = False) -> TensorSpec:
    """As the manifest says it. The post-processing of a frozen graph hides even the number of axes."""
    if spec.shape.rank is None:
        return TensorSpec(name, spec.dtype.name, ("unknown",), meaning)
    names = ("batch", "height", "width", "unknown") if is_picture else ("batch", *["unknown"] * spec.shape.rank)
    known = (axis if size is None else size for size, axis in zip(spec.shape, names, strict=False))
    return TensorSpec(name, spec.dtype.name, tuple(known), meaning)
