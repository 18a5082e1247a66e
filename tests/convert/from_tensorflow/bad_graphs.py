"""Run as a program: makes graphs that cannot be converted, loads each, and prints what was said, as JSON.

A program of its own, because TensorFlow takes seconds to import and prints: one process serves all cases.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from zoo.base.errors import ZooError
from zoo.convert.from_tensorflow.child import Stopwatch
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.rebuild import rebuild
from zoo.convert.from_tensorflow.source import find_source

tf1 = tf.compat.v1


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
    truncated_variables, truncated_saved_model, strings_of_tf2,
)  # fmt: skip


def main(folder: Path) -> None:
    said = {}
    for case in CASES:
        try:
            path = case(folder)
            rebuild(load(find_source(path), "serving_default"), TensorFlowSourceOptions(), "x", Stopwatch().stage)
            said[case.__name__] = ["nothing", "", ""]
        except ZooError as error:
            said[case.__name__] = [str(error.exit_code), error.message, error.hint]
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
