"""Run as a program: makes graphs that cannot be converted, loads each, and prints what was said, as JSON.

A program of its own, because TensorFlow takes seconds to import and prints: one process serves all cases.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from zoo.base.acting import acting_in_graph
from zoo.base.errors import ZooError
from zoo.convert.from_tensorflow.child import Stopwatch
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.rebuild import rebuild
from zoo.convert.from_tensorflow.source import find_source

tf1 = tf.compat.v1
PLACE = re.compile(r"file|(^|_)(path|dir|directory)($|_)|address|memory_region|output_stream")


def graph(path: Path, build: Callable[[], object]) -> Path:
    with tf.Graph().as_default() as made:
        build()
        path.write_bytes(made.as_graph_def().SerializeToString())
    return path


def image() -> tf.Tensor:
    return tf.cast(tf1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor"), tf.float32)


def truncated(folder: Path) -> Path:
    path = graph(folder / "whole.pb", lambda: tf.identity(image(), name="detection_boxes"))
    path.write_bytes(path.read_bytes()[:-20])
    return path


def noise(folder: Path) -> Path:
    path = folder / "noise.pb"
    path.write_bytes(b"\x08\x96\x01 this is no graph at all")
    return path


def without_a_node(folder: Path) -> Path:
    path = graph(folder / "partial.pb", lambda: tf.identity(image() / 255.0, name="detection_boxes"))
    content = tf1.GraphDef.FromString(path.read_bytes())
    del content.node[[node.name for node in content.node].index("Cast")]
    path.write_bytes(content.SerializeToString())
    return path


def training(folder: Path) -> Path:
    def build() -> None:
        weight = tf1.get_variable("w", [3], use_resource=False)
        loss = tf.reduce_sum(image() * weight, name="loss")
        tf1.train.GradientDescentOptimizer(0.1).minimize(loss)

    return graph(folder / "training.pb", build)


def unfrozen(folder: Path) -> Path:
    return graph(
        folder / "unfrozen.pb",
        lambda: tf.identity(image() * tf1.get_variable("w", [3], use_resource=False), name="detection_boxes"),
    )


def custom(folder: Path) -> Path:
    path = graph(folder / "custom.pb", lambda: tf.identity(image(), name="detection_boxes"))
    content = tf1.GraphDef.FromString(path.read_bytes())
    content.node[-1].op = "TFLite_Detection_PostProcess"
    path.write_bytes(content.SerializeToString())
    return path


def strings(folder: Path) -> Path:
    def build() -> None:
        encoded = tf1.placeholder(tf.string, [None], name="encoded_image_string_tensor")
        tf.identity(tf.strings.length(encoded), name="num_detections")

    return graph(folder / "strings.pb", build)


def reading(folder: Path) -> Path:
    """The content of a file of this machine would become a constant of the model."""

    def build() -> None:
        bytes_read = tf.io.decode_raw(tf.io.read_file(str(folder / "secret")), tf.uint8)
        tf.identity(image() + tf.cast(bytes_read[0], tf.float32), name="detection_boxes")

    (folder / "secret").write_bytes(b"secret")
    return graph(folder / "reading.pb", build)


def writing(folder: Path) -> Path:
    """Nothing needs the result: it runs before the boxes are given."""

    def build() -> None:
        with tf.control_dependencies([tf.io.write_file(str(folder / "owned"), "owned")]):
            tf.identity(image(), name="detection_boxes")

    return graph(folder / "writing.pb", build)


def writing_when_opened(folder: Path) -> Path:
    """TensorFlow runs the initialisation of an older SavedModel as it opens it."""
    with tf.Graph().as_default(), tf1.Session() as session:
        picture = tf1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
        boxes = tf.cast(picture, tf.float32) * tf1.get_variable("w", [3], use_resource=False)
        start = tf.raw_ops.SaveV2(
            prefix=str(folder / "owned"), tensor_names=["w"], shape_and_slices=[""], tensors=[tf.ones([3])]
        )
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(folder / "when_opened"))
        signature = tf1.saved_model.predict_signature_def({"image_tensor": picture}, {"detection_boxes": boxes})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, main_op=start)
        builder.save()
    return folder / "when_opened"


def calling_python(folder: Path) -> Path:
    model = tf.Module()

    def serve(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"detection_scores": tf.numpy_function(lambda x: x, [tf.cast(input_tensor, tf.float32)], tf.float32)}

    signature = [tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")]
    model.serve = tf.function(serve, input_signature=signature)
    tf.saved_model.save(model, str(folder / "python"), signatures=model.serve)
    return folder / "python"


def saved(folder: Path) -> Path:
    """A SavedModel that can be converted."""
    model = tf.Module()
    model.weight = tf.Variable([1.0, 2.0, 3.0])

    def serve(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"detection_scores": tf.cast(input_tensor, tf.float32) * model.weight}

    signature = [tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")]
    model.serve = tf.function(serve, input_signature=signature)
    tf.saved_model.save(model, str(folder), signatures=model.serve)
    return folder


def without_variables(folder: Path) -> Path:
    path = saved(folder / "without_variables")
    for file in (path / "variables").iterdir():
        file.unlink()
    return path


def truncated_variables(folder: Path) -> Path:
    path = saved(folder / "truncated_variables")
    (data,) = (path / "variables").glob("variables.data*")
    data.write_bytes(data.read_bytes()[:4])
    return path


def truncated_saved_model(folder: Path) -> Path:
    path = saved(folder / "truncated_saved_model")
    file = path / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-100])
    return path


def strings_of_tf2(folder: Path) -> Path:
    model = tf.Module()
    signature = [tf.TensorSpec([None], tf.string, name="input_tensor")]
    model.serve = tf.function(lambda input_tensor: tf.strings.length(input_tensor), input_signature=signature)
    tf.saved_model.save(model, str(folder / "strings"), signatures=model.serve)
    return folder / "strings"


def loop_with_memory(folder: Path) -> Path:
    """A loop that carries a sum from image to image is no map over the images."""

    def build() -> None:
        total = tf.while_loop(
            lambda i, s: i < 3, lambda i, s: (i + 1, s * 0.5 + 1.0), [tf.constant(0), tf.reduce_sum(image())]
        )[1]
        tf.identity(total, name="detection_scores")

    tf1.disable_control_flow_v2()
    return graph(folder / "loop.pb", build)


CASES = (
    truncated, noise, without_a_node, training, unfrozen, custom, strings, loop_with_memory, without_variables,
    truncated_variables, truncated_saved_model, strings_of_tf2, reading, writing, writing_when_opened, calling_python,
)  # fmt: skip


def naming_places() -> list[str]:
    """TensorFlow's operators that take a file's name or an address, and would not be refused for it."""
    known = {name: op_def_registry.get(name) for name in dir(tf.raw_ops)}
    return [
        name
        for name, definition in known.items()
        if definition
        and any(PLACE.search(argument.name) for argument in (*definition.input_arg, *definition.attr))
        and not acting_in_graph(tf1.GraphDef(node=[tf1.NodeDef(name=name, op=name)]))
    ]


def main(folder: Path) -> None:
    said = {}
    for case in CASES:
        try:
            path = case(folder)
            rebuild(load(find_source(path), "serving_default"), TensorFlowSourceOptions(), "x", Stopwatch().stage)
            said[case.__name__] = ["nothing", "", ""]
        except ZooError as error:
            said[case.__name__] = [str(error.exit_code), error.message, error.hint]
    said["naming_places"] = naming_places()
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
