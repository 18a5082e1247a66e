"""Writes a module as a SavedModel with a `serving_default` signature, and gives the same bytes for the same module.

TensorFlow numbers its functions by a counter of the process and adds a random fingerprint file; both are undone here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.convert.from_tensorflow.source import SAVED_NAME
from zoo.convert.to_tensorflow.backend import quietly, tf
from zoo.convert.to_tensorflow.module import GraphModule

FINGERPRINT = "fingerprint.pb"  # optional; holds a random number
CAPTURED = "_user_specified_name"


def signature_names(names: Sequence[str]) -> list[str]:
    """Names as a signature takes them (letters, digits and _), in the order of `names`, each once."""
    found: list[str] = []
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)[:100]
        base = base if re.match(r"[A-Za-z]", base) else f"value_{base}"
        number = 1
        while (free := base if number == 1 else f"{base}_{number}") in found:
            number += 1
        found.append(free)
    return found


def write_saved_model(module: GraphModule, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> list[Path]:
    """Write `module` into the new folder `folder`; its files, sorted. `inputs` and `outputs` name the signature's.

    The loaded object can also be called with the inputs in order, and has the variables in `weights`.
    """
    concrete = module.concrete

    def call(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(concrete(*values))

    exported = tf.Module()
    exported.weights = module.weights
    exported.__call__ = tf.function(call, input_signature=module.specs, autograph=False)
    return save(exported, serving_function(module, inputs, outputs), folder)


def save(exported: tf.Module, signature: Any, folder: Path) -> list[Path]:
    """Write `exported` with its `serving_default`; the files, sorted."""
    with quietly():
        tf.saved_model.save(exported, str(folder), signatures={"serving_default": signature})
    (folder / FINGERPRINT).unlink(missing_ok=True)
    _without_counters(folder / SAVED_NAME)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def serving_function(module: GraphModule, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The module as a function with named inputs that gives a dictionary of named outputs."""
    named = [tf.TensorSpec(spec.shape, spec.dtype, name) for spec, name in zip(module.specs, inputs, strict=True)]
    concrete = module.concrete

    def serving_default(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(outputs, concrete(*values), strict=True))

    return tf.function(serving_default, input_signature=named, autograph=False)


def _without_counters(path: Path) -> None:
    """Take from a SavedModel's graph file the numbers that depend on what the process did before.

    They are in the names of functions, and in an attribute that names captured variables by their number.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    library = content.meta_graphs[0].graph_def.library
    names = [function.signature.name for function in library.function]
    names.sort(key=lambda name: (re.sub(r"\d+$", "", name), int(re.search(r"\d*$", name)[0] or 0)))  # type: ignore[index]
    new = {name: f"{re.sub(r'_?[0-9]+$', '', name)}_{number}" for number, name in enumerate(names)}
    for message in _messages(content):
        _rename(message, new)
    for function in library.function:
        for argument in function.arg_attr.values():
            if argument.attr[CAPTURED].s.isdigit():
                del argument.attr[CAPTURED]
    ordered = sorted(library.function, key=lambda function: str(function.signature.name))
    del library.function[:]
    library.function.extend(ordered)
    path.write_bytes(content.SerializeToString(deterministic=True))


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all messages in it."""
    pending = [message]
    while pending:
        message = pending.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                kind = field.message_type.fields_by_name["value"].message_type
                pending += value.values() if kind else ()
            else:
                pending += value if _is_repeated(field) else (value,)


def _rename(message: Any, new: dict[str, str]) -> None:
    """Replace the strings of one message, and the keys of its maps, that are old names."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in [key for key in value if key in new]:
                _move(value, key, new[key])
        elif field.type == field.TYPE_STRING and _is_repeated(field):
            value[:] = [new.get(item, item) for item in value]
        elif field.type == field.TYPE_STRING and value in new:
            setattr(message, field.name, new[value])


def _move(mapping: Any, key: str, new: str) -> None:
    value = mapping[key]
    if hasattr(value, "CopyFrom"):
        mapping[new].CopyFrom(value)
    else:
        mapping[new] = value
    del mapping[key]


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated)
