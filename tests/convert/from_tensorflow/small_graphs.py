"""Run as a program: makes a small graph for each rewrite, converts it, and saves TensorFlow's results for a batch.

    python tests/convert/from_tensorflow/small_graphs.py FOLDER

writes FOLDER/CASE.onnx, and FOLDER/CASE.npz with the input "images" and what TensorFlow gives. Of graphs exported for
batch 1, that is TensorFlow's result of each image alone. The sources stay: FOLDER/CASE.pb or FOLDER/CASE.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.convert.from_tensorflow.child import Stopwatch
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.rebuild import rebuild
from zoo.convert.from_tensorflow.source import find_source
from zoo.convert.onnx_graph.write import write_model

tf1 = tf.compat.v1
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 9, 12, 3), np.uint8)
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype(np.float32)
Outputs = dict[str, tf.Tensor]


def per_image(image: tf.Tensor) -> tf.Tensor:
    """What an exporter's preprocessing does to one picture: another size for wide ones, then the normalisation."""
    small = tf1.image.resize_bilinear(image[None], [6, 7])[0]
    return small * (2.0 / 255.0) - 1.0


def loop(images: tf.Tensor) -> Outputs:
    mapped = tf.map_fn(per_image, tf.cast(images, tf.float32))
    return {"detection_scores": tf.nn.conv2d(mapped, KERNEL, 2, "SAME")}


def branches(images: tf.Tensor) -> Outputs:
    """Both branches apply the same operators to other numbers, and agree in shape."""
    shape = tf.shape(images)
    factor = tf.cond(shape[1] > shape[2], lambda: tf.cast(shape[1], tf.float32), lambda: tf.cast(shape[2], tf.float32))
    return {"detection_scores": tf.cast(images, tf.float32)[..., :2] / factor}


def padded(images: tf.Tensor) -> Outputs:
    """A picture that is padded to 16×16, whatever its size: what follows knows the size."""
    shape = tf.shape(images)
    square = tf.pad(tf.cast(images, tf.float32), [[0, 0], [0, 16 - shape[1]], [0, 16 - shape[2]], [0, 0]])
    return {"detection_scores": tf.nn.conv2d(square, KERNEL, 2, "SAME")}


def crops(images: tf.Tensor) -> Outputs:
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.2, 0.1, 1.0, 0.7], [-0.1, 0.3, 0.5, 1.1]])
    picture = tf.cast(images, tf.float32)
    return {"detection_masks": tf.image.crop_and_resize(picture, boxes, tf.zeros([3], tf.int32), [5, 4])[None]}


def shapes(images: tf.Tensor) -> Outputs:
    """Operators whose axes move by one: each gives one image's part of a batch."""
    x = tf.cast(images, tf.float32) / 255.0
    flat = tf.reshape(x, [1, -1, 3])
    best, where = tf.math.top_k(tf.transpose(flat, [0, 2, 1]), 5)
    parts = tf.unstack(best, axis=1)
    joined = tf.concat([part[:, None] for part in parts] + [tf.cast(where, tf.float32)], 1)
    gathered = tf.gather(joined, [4, 0, 2], axis=1)
    return {
        "detection_boxes": tf.stack([gathered, tf.tile(gathered[:, :1], [1, 3, 1])], 2),
        "detection_scores": tf.sigmoid(tf.reduce_max(joined, 2) - tf.reduce_mean(joined, [1, 2])[:, None]),
        "detection_classes": tf.where(best[:, :, 0] > 0.99, best[:, :, 1], tf.zeros_like(best[:, :, 2])),
        "num_detections": tf.cast(tf.reduce_sum(tf.cast(flat > 0.5, tf.int32), [1, 2]), tf.float32),
    }


def frozen(path: Path, build: Callable[[tf.Tensor], Outputs]) -> tuple[Path, dict[str, np.ndarray]]:
    """A TensorFlow 1 graph for any batch, with its control flow of that time."""
    with tf.Graph().as_default() as graph:
        tf1.disable_control_flow_v2()
        given = tf1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
        results = {key: tf.identity(value, name=key) for key, value in build(given).items()}
        with tf1.Session() as session:
            arrays = session.run(results, {given: IMAGES})
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path, arrays


def saved(folder: Path, build: Callable[[tf.Tensor], Outputs]) -> tuple[Path, dict[str, np.ndarray]]:
    """A TensorFlow 2 SavedModel for batch 1, with a variable and a function inside a function."""
    tf1.enable_control_flow_v2()
    module = tf.Module()
    module.one = tf.Variable(1.0)
    module.inner = tf.function(lambda images: {key: value * module.one for key, value in build(images).items()})
    signature = [tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")]
    module.serve = tf.function(lambda input_tensor: module.inner(input_tensor), input_signature=signature)
    module.serve.get_concrete_function()
    module.one.assign(2.0)
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    alone = [module.serve(tf.constant(image[None])) for image in IMAGES]
    return folder, {key: np.concatenate([result[key].numpy() for result in alone]) for key in alone[0]}


CASES = {
    "loop_of_tf1": (frozen, loop),
    "branches_of_tf1": (frozen, branches),
    "padded_of_tf1": (frozen, padded),
    "loop_of_tf2": (saved, loop),
    "branches_of_tf2": (saved, branches),
    "padded_of_tf2": (saved, padded),
    "crops_of_tf2": (saved, crops),
    "shapes_of_tf2": (saved, shapes),
}


def main(folder: Path) -> None:
    for name, (make, build) in CASES.items():
        path, arrays = make(folder / (f"{name}.pb" if make is frozen else name), build)
        loaded = load(find_source(path), "serving_default")
        rebuilt = rebuild(loaded, TensorFlowSourceOptions(), name, Stopwatch().stage)
        assert not rebuilt.notes, rebuilt.notes
        write_model(rebuilt.model, folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", allow_pickle=False, images=IMAGES, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
